"""The service as a program asks it: what it answers, and how it refuses."""

from __future__ import annotations

import io
import json
import os
import sqlite3
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from PIL import Image
from schemathesis.specs.openapi.checks import positive_data_acceptance
from serving import CLASSES, IMAGES_PER_CLASS, png, running, write_photos

import hashlens as hl
from hashlens.service import create_app

pytestmark = pytest.mark.usefixtures("one_thread")

MakeIndex = Callable[[Path | str], hl.Catalogue]


def check_problem(response: httpx.Response, status: int, says: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert says in problem["detail"]
    assert problem["detail"].endswith(".") and "\n" not in problem["detail"]
    assert tempfile.gettempdir() not in problem["detail"]  # nor where the index of a test is


def a_photo(photos: Path) -> Path:
    return next(photos.glob("boots/*.png"))


def test_health_says_what_is_served(client: httpx.Client, catalogue: hl.Catalogue) -> None:
    found = client.get("/health").json()
    assert found["images"] == len(catalogue)
    assert found["bits"] == 24
    assert found["index"] == "photos-index"
    assert found["version"] == hl.__version__
    assert found["labelled"] and found["takes_images"]


def test_an_image_is_found_in_every_form(client: httpx.Client, catalogue: hl.Catalogue, photos: Path) -> None:
    content = a_photo(photos).read_bytes()
    expected = catalogue.search_images([a_photo(photos)], 7, device="cpu").answers[0][1]
    for response in (
        client.post("/search", files={"image": ("a.png", content, "image/png")}, data={"k": 7}),
        client.post("/search?k=7", files={"image": content}),
        client.post("/search?k=7", content=content, headers={"Content-Type": "image/png"}),
        client.post("/search?k=7", content=content, headers={"Content-Type": "application/octet-stream"}),
    ):
        assert response.status_code == 200, response.text
        assert response.json()["more"]
        assert sorted(one["distance"] for one in response.json()["results"]) == sorted(
            hit.distance for hit in expected
        )
    asked = response.json()["query"]
    again = client.post("/search", json={"code": asked["code"], "details": asked["details"], "k": 7}).json()
    assert again == response.json()
    plain = client.post("/search", json={"code": asked["code"], "k": 7}).json()["results"]
    assert [one["distance"] for one in plain] == [
        hit.distance for hit in catalogue.search(catalogue.model().encode(a_photo(photos)), 7)[0]
    ]


def test_parts_of_a_ranking_are_the_whole(client: httpx.Client) -> None:
    whole = client.post("/search", json={"id": 3, "k": 1000}).json()
    assert len(whole["results"]) == len(CLASSES) * IMAGES_PER_CLASS - 1 and not whole["more"]
    assert 3 not in [one["id"] for one in whole["results"]]
    parts = []
    while True:
        answer = client.post("/search", json={"id": 3, "k": 50, "offset": len(parts)}).json()
        parts += answer["results"]
        if not answer["more"]:
            break
    assert [one["id"] for one in parts] == [one["id"] for one in whole["results"]]
    radius = sorted(one["distance"] for one in parts)[20]
    near = client.post("/search", json={"id": 3, "k": 1000, "radius": radius}).json()["results"]
    assert {one["id"] for one in near} == {one["id"] for one in parts if one["distance"] <= radius}


def test_labels_narrow_a_search(client: httpx.Client) -> None:
    for name in CLASSES:
        found = client.post("/search", json={"id": 3, "k": 1000, "labels": [name]}).json()["results"]
        assert found and all(one["labels"] == [name] for one in found)
    both = client.post("/search", json={"id": 3, "k": 1000, "labels": list(CLASSES[:2])}).json()["results"]
    assert {one["labels"][0] for one in both} == set(CLASSES[:2])
    counted = client.get("/labels").json()["labels"]
    assert {one["name"]: one["images"] for one in counted} == dict.fromkeys(CLASSES, IMAGES_PER_CLASS)
    assert [one["name"] for one in client.get("/labels", params={"prefix": "BOO"}).json()["labels"]] == ["boots"]
    assert len(client.get("/labels?limit=2").json()["labels"]) == 2


def test_several_images_are_answered_in_their_order(client: httpx.Client, photos: Path) -> None:
    content = a_photo(photos).read_bytes()
    files = [("image", ("a.png", content)), ("image", ("cut.png", content[:90])), ("image", ("b.png", png()))]
    answers = client.post("/search/batch", files=files, data={"k": 2}).json()["answers"]
    assert answers[0]["results"][0]["distance"] == 0 and len(answers[2]["results"]) == 2
    assert answers[1]["error"].startswith("cut.png cannot be used: ")


def test_pictures_go_out_by_id(client: httpx.Client, photos: Path, catalogue: hl.Catalogue) -> None:
    (entry,) = catalogue.entries([5])
    response = client.get("/images/5")
    assert response.content == Path(entry.path).read_bytes()
    assert response.headers["content-type"] == "image/png"
    small = client.get("/images/5/thumbnail?size=32")
    assert Image.open(io.BytesIO(small.content)).size == (32, 25)
    assert Image.open(io.BytesIO(client.get("/images/5/thumbnail?size=1024").content)).size == (72, 56)
    for path in ("/images/5", "/images/5/thumbnail?size=32"):
        response = client.get(path)
        assert "max-age" in response.headers["cache-control"]
        again = client.get(path, headers={"If-None-Match": response.headers["etag"]})
        assert again.status_code == 304 and not again.content
    facts = client.get("/images/5/facts").json()
    assert facts == {"id": 5, "path": entry.path, "labels": list(entry.labels)}
    drawn = client.get("/images?limit=9").json()["images"]
    assert 1 <= len(drawn) <= 9


def test_pictures_of_tables_and_sets_go_out_too(make_index: MakeIndex, tmp_path: Path) -> None:
    digits = hl.open_source("digits:test")
    rows = [{"bytes": png(digits.image(item)), "path": None} for item in range(30)]
    pq.write_table(pa.table({"image": rows}), tmp_path / "table.parquet", row_group_size=4)
    for source in (tmp_path / "table.parquet", "digits:test"):
        app = create_app(make_index(source), device="cpu")
        with running(app) as address, httpx.Client(base_url=address) as client:
            assert client.get("/health").json()["labelled"] == (source == "digits:test")
            for item in (0, 17, 29):
                shown = Image.open(io.BytesIO(client.get(f"/images/{item + 1}").content)).convert("RGB")
                assert np.array_equal(np.asarray(shown), np.asarray(digits.image(item)))
                small = client.get(f"/images/{item + 1}/thumbnail")
                assert small.headers["content-type"] == "image/png"


def test_an_image_that_is_gone_or_changed_is_a_grey_tile(make_index: MakeIndex, tmp_path: Path) -> None:
    write_photos(tmp_path / "photos", range(12))
    catalogue = make_index(tmp_path / "photos")
    gone, changed, secret = (Path(catalogue.entries([image])[0].path) for image in (1, 2, 3))
    gone.unlink()
    os.utime(changed, (1, 1))
    secret.unlink()
    secret.symlink_to("/etc/passwd")
    with running(create_app(catalogue, device="cpu")) as address, httpx.Client(base_url=address) as client:
        for image, reason in ((1, "it is gone"), (2, "changed since indexing"), (3, "changed since indexing")):
            tile = client.get(f"/images/{image}/thumbnail?size=200")
            assert tile.status_code == 200
            assert tile.headers["content-type"] == "image/svg+xml"
            assert tile.headers["cache-control"] == "no-store"
            assert reason in tile.text
            check_problem(client.get(f"/images/{image}"), 404, reason)
        assert client.post("/search", json={"id": 1}).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 422, "the file is empty"),
        (b"buy milk", 422, "not an image"),
        (png()[:60], 422, "damaged"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", 422, "not an image"),
    ],
)
def test_what_is_no_image_is_refused(client: httpx.Client, content: bytes, status: int, says: str) -> None:
    check_problem(client.post("/search", content=content, headers={"Content-Type": "image/png"}), status, says)
    check_problem(client.post("/search", files={"image": ("a.png", content)}), status, says)


def test_an_image_of_101_megapixels_is_refused_before_it_is_decoded(client: httpx.Client) -> None:
    header = png(Image.new("1", (10_100, 10_000)))
    response = client.post("/search", content=header, headers={"Content-Type": "image/png"})
    check_problem(response, 413, "10100 × 10000 pixels are more than the 100 megapixels that are allowed")


def test_200_megabytes_are_refused(client: httpx.Client) -> None:
    body = bytes(200_000_000)
    check_problem(client.post("/search", content=body, headers={"Content-Type": "image/png"}), 413, "32 MiB")

    def pieces() -> Any:  # without a length that tells before
        for _ in range(50):
            yield body[:1_000_000]

    check_problem(client.post("/search", content=pieces(), headers={"Content-Type": "image/png"}), 413, "32 MiB")
    check_problem(client.post("/search", files={"image": body[:40_000_000]}), 413, "32 MiB")
    assert client.get("/health").status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"id": 3, "k": 0}, 422, "k is 0: "),
        ({"id": 3, "k": 10**9}, 422, "k is 1000000000: "),
        ({"id": 3, "k": "many"}, 422, "k is many: "),
        ({"id": 3, "k": "many\n\nand\x1b[31mred"}, 422, "k is many and\\x1b[31mred: "),
        ({"id": 3, "offset": -1}, 422, "offset is -1: "),
        ({"id": 3, "radius": -1}, 422, "radius is -1: "),
        ({"id": 10**30}, 422, "id is 1000"),
        ({"id": 999_999}, 404, "There is no image with the id 999999"),
        ({"id": 3, "labels": ["no such"]}, 404, "has the label 'no such'"),
        ({"id": 3, "labels": "boots"}, 422, "labels is boots: "),
        ({"id": 3, "code": "000000"}, 422, "an id or a code"),
        ({}, 422, "an id or a code"),
        ({"code": "00"}, 422, "2 hexadecimal digits, but codes of this index have 6"),
        ({"code": "zzzzzz"}, 422, "code is zzzzzz: "),
        ({"code": "000000", "details": "fwA"}, 422, "details are of 2 bytes"),
        ({"code": "000000", "details": "f"}, 422, "not base64url"),
        ({"code": "000000", "details": "&"}, 422, "details is &: "),
        ({"id": 3, "colour": "red"}, 422, "colour: "),
        ([3], 422, "not an object"),
    ],
)
def test_values_that_cannot_be_used_are_refused(client: httpx.Client, body: Any, status: int, says: str) -> None:
    check_problem(client.post("/search", json=body), status, says)


def test_other_requests_are_refused(client: httpx.Client) -> None:
    json_type = {"Content-Type": "application/json"}
    check_problem(client.post("/search", content=b"{", headers=json_type), 400, "not JSON")
    check_problem(client.post("/search", content=b"[" * 100_000, headers=json_type), 400, "not JSON")
    check_problem(client.post("/search", content=b"x", headers={"Content-Type": "text/html"}), 415, "text/html")
    check_problem(client.post("/search"), 415, "of no type")
    check_problem(client.post("/search", data={"k": "3"}, files={"picture": b"x"}), 422, "'picture'")
    check_problem(client.post("/search", files=[("image", png()), ("image", png())]), 422, "2 images")
    check_problem(client.post("/search", files={"image": (None, "text")}), 422, "a text")
    check_problem(client.post("/search/batch", json={"id": 1}), 415, "application/json")
    check_problem(client.post("/search/batch", files=[("image", png())] * 65), 400, "64")
    form = {"Content-Type": "multipart/form-data"}
    check_problem(client.post("/search", content=b"x", headers=form), 400, "oundary")
    check_problem(client.post("/search?k=0", json={"id": 1}), 422, "k is 0")
    check_problem(client.get("/search"), 405, "does not take this method")
    check_problem(client.get("/nowhere"), 404, "nothing at this address")
    check_problem(client.get("/images/999999"), 404, "no image with the id 999999")
    check_problem(client.get("/images/999999/thumbnail"), 404, "no image")
    check_problem(client.get("/images/999999/facts"), 404, "no image")
    check_problem(client.get("/images/first"), 422, "id is first")
    check_problem(client.get("/images/1/thumbnail?size=100000"), 422, "size is 100000")
    for path in ("/page/../app.py", "/page/%2e%2e/app.py", "/page//etc/passwd", "/images/../../etc/passwd"):
        assert client.get(path).status_code == 404


def test_an_index_of_features_is_searched_by_id(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    source = hl.sources.FeatureArray("mine", x, np.arange(60) % 2)
    catalogue = hl.Catalogue.create(tmp_path / "index", hl.fit(source, bits=16, epochs=1, device="cpu"))
    catalogue.update(source)
    with running(create_app(catalogue)) as address, httpx.Client(base_url=address) as client:
        assert client.get("/health").json()["takes_images"] is False
        assert len(client.post("/search", json={"id": 3}).json()["results"]) == 10
        check_problem(client.post("/search", files={"image": png()}), 422, "ready-made features")
        assert client.get("/images/1/thumbnail").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(("after", "status"), [("entries", 404), ("search_ids", 200)])
def test_an_image_that_is_removed_during_a_search_for_it_is_no_defect(
    make_index: MakeIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, status: int
) -> None:
    write_photos(tmp_path / "photos", range(12))
    catalogue = make_index(tmp_path / "photos")
    call = getattr(hl.Catalogue, after)

    def and_remove(self: hl.Catalogue, *arguments: Any) -> Any:
        found = call(self, *arguments)
        if len(self):
            self.remove(next(iter(self.sources())))
        return found

    with running(create_app(catalogue, device="cpu")) as address:
        monkeypatch.setattr(hl.Catalogue, after, and_remove)
        answer = httpx.post(f"{address}/search", json={"id": 1}, timeout=60)
    assert answer.status_code == status
    assert status == 404 or len(answer.json()["results"]) == 10


def test_callers_are_not_told_where_the_index_is(
    make_index: MakeIndex, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_photos(tmp_path / "photos", range(12))
    catalogue = make_index(tmp_path / "photos")
    folder = str(catalogue.folder.parent)
    with running(create_app(catalogue, device="cpu")) as address, httpx.Client(base_url=address) as client:
        for told in ("/health", "/openapi.json", "/metrics", "/labels", "/images", "/"):
            assert client.get(told).status_code == 200 and folder not in client.get(told).text
        check_problem(
            client.post("/search", json={"id": 3, "labels": ["no such"]}), 404, "No image in photos-index"
        )
        check_problem(client.get("/images/999/facts"), 404, "in the index photos-index.")
        with sqlite3.connect(catalogue.folder / "catalogue.sqlite") as rows:
            rows.execute("UPDATE images SET code = x'000000' WHERE id = 3")
        caplog.clear()
        for response in (
            client.post("/search", json={"id": 3}),
            client.post("/search", json={"code": "000000", "k": 100}),
            client.get("/images/3/thumbnail"),
            client.get("/images/3/facts"),
        ):
            check_problem(response, 503, "The index cannot be used; the log of the service says why.")
        assert f"{catalogue.folder / 'catalogue.sqlite'} is damaged" in caplog.text
        (catalogue.folder / "catalogue.sqlite").rename(catalogue.folder / "hidden")
        check_problem(client.post("/search", json={"id": 1}), 503, "The index cannot be used")


def test_an_empty_index_is_served(model: hl.HashModel, tmp_path: Path) -> None:
    catalogue = hl.Catalogue.create(tmp_path / "index", model)
    with running(create_app(catalogue, device="cpu")) as address, httpx.Client(base_url=address) as client:
        assert client.get("/health").json()["images"] == 0
        assert client.get("/images").json() == {"images": []}
        assert client.post("/search", files={"image": png()}).json()["results"] == []


def test_metrics_tell_of_requests(address: str) -> None:
    with httpx.Client(base_url=address) as client:
        client.get("/images/7/facts")
        client.get(f"/{'x' * 50}")
        text = client.get("/metrics").text
    assert 'hashlens_requests_total{method="GET",route="/images/{id}/facts",status="200"}' in text
    assert 'route="other",status="404"' in text and "xxx" not in text
    assert 'hashlens_request_seconds_bucket{route="/images/{id}/facts",le="+Inf"}' in text
    assert f"hashlens_images {len(CLASSES) * IMAGES_PER_CLASS}" in text


def test_requests_at_once_are_answered_like_one_after_the_other(client: httpx.Client, photos: Path) -> None:
    contents = [path.read_bytes() for path in sorted(photos.glob("*/*.png"))[:24]]

    def ask(content: bytes) -> Any:
        return client.post("/search", files={"image": content}).json()

    expected = [ask(content) for content in contents]
    with ThreadPoolExecutor(24) as pool:
        assert list(pool.map(ask, contents)) == expected


def test_the_documentation_is_complete(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert json.dumps(document).count("HTTPValidationError") == 0
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            assert about["summary"] and about["description"], (path, method)
            assert "503" in about["responses"] and "401" in about["responses"]
    body = document["paths"]["/search"]["post"]["requestBody"]["content"]
    assert {"multipart/form-data", "application/json", "image/*"} <= set(body)


def test_schemathesis_finds_nothing(address: str) -> None:
    """The service keeps what its documentation promises, whatever is asked."""
    operations = [one.ok() for one in schemathesis.openapi.from_url(f"{address}/openapi.json").get_all_operations()]
    assert len(operations) == 10
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck), database=None)
        def check(case: Any) -> None:
            # A schema cannot tell bytes of an image from others, nor that an id excludes a code.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        check()
