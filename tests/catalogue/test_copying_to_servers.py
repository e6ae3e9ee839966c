"""An index copied to tables that servers keep: what arrives, what a kill leaves, and what is refused."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
from copies import BITS, assert_same, features, opened

import hashlens as hl
import servers
from hashlens.catalogue import Catalogue, copy_to, copying, search_table
from hashlens.engines import Rows, milvus
from hashlens.errors import BadInput, NotFound
from refusals import is_one_sentence

NAMES = ("cat", 'd\'og, "brown" \\ {1}')  # what a query language might stumble over
ADDRESSES: dict[str, Callable[[], str]] = {
    "lancedb": lambda: f"lancedb://{tempfile.mkdtemp()}/codes",
    "milvus": lambda: servers.milvus() + servers.new_name(),
    "postgresql": lambda: servers.postgresql() + servers.new_name(),
}


@pytest.fixture(scope="module")
def model() -> hl.HashModel:
    return hl.fit(features(60, names=NAMES), "orthohash", bits=BITS, epochs=1, device="cpu")


@pytest.fixture
def index(model: hl.HashModel, tmp_path: Path) -> Catalogue:
    made = Catalogue.create(tmp_path / "index", model)
    made.update(features(60, names=NAMES))
    return made


@pytest.fixture(params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in ADDRESSES])
def address(request: pytest.FixtureRequest) -> str:
    return ADDRESSES[request.param]()


def test_a_copy_holds_the_index_and_follows_it(index: Catalogue, address: str) -> None:
    first = copy_to(index, opened(address))
    assert (first.added, first.changed, first.removed, first.unchanged) == (60, 0, 0, 0)
    assert (first.recall, first.sample) == (1.0, 60)
    assert_same(opened(address, None), index)

    table = opened(address)
    rows = table.rows(table.search(np.zeros((1, 3), np.uint8), 4)[1][0])
    table.put(Rows(rows.ids[:2], rows.codes[:2] ^ 128, rows.paths[:2], rows.labels[:2]))  # two other codes
    table.put(Rows(rows.ids[2:3], rows.codes[2:3], rows.paths[2:3], [("bird",)]))  # another label
    table.put(Rows(np.array([10**9]), rows.codes[:1], ["gone"], [()]))  # an image that there is no more
    table.remove(rows.ids[3:])
    second = copy_to(index, opened(address))
    assert (second.added, second.changed, second.removed, second.unchanged) == (1, 3, 1, 56)
    assert_same(opened(address), index)


def test_a_copy_that_was_stopped_is_not_searched_and_goes_on(
    index: Catalogue, model: hl.HashModel, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "ROWS_AT_ONCE", 20)

    @contextmanager
    def stopped_after_two(_what: str, _count: int) -> Iterator[Callable[..., None]]:
        done: list[int] = []

        def advance(count: int) -> None:
            done.append(count)
            if len(done) == 2:
                raise KeyboardInterrupt

        yield advance

    with pytest.raises(KeyboardInterrupt):
        copy_to(index, opened(address), progress=stopped_after_two)
    half = opened(address, None)
    assert (len(half), half.whole) == (40, False)
    with pytest.raises(BadInput, match="not copied whole") as error:
        search_table(half, model, [features(1)])
    assert is_one_sentence(error)

    again = copy_to(index, opened(address))
    assert (again.added, again.changed, again.removed, again.unchanged) == (20, 0, 0, 40)
    monkeypatch.undo()
    assert_same(opened(address), index)


def test_a_search_there_finds_what_the_index_finds(index: Catalogue, model: hl.HashModel, address: str) -> None:
    copy_to(index, opened(address))
    table, queries, names = opened(address, None), [features(5, seed=1)], list(index.labels())
    for labels in ([], names[1:], names):
        found = search_table(table, model, queries, 7, labels)
        expected = index.search_images(queries, 7, labels, rescore=False)
        assert found.answers == expected.answers and len(found.answers) == 5
        assert found.ties == expected.ties
    with pytest.raises(BadInput, match="has the label bird") as error:
        search_table(table, model, queries, 7, ["bird"])
    assert is_one_sentence(error)


def test_an_index_is_searched_there(index: Catalogue, address: str) -> None:
    copy_to(index, opened(address))
    there, queries = index.searched_in(opened(address, None)), [features(5, seed=1)]
    for labels in ((), NAMES[1:], NAMES):
        assert there.search_images(queries, 7, labels).answers == index.search_images(queries, 7, labels).answers
    assert there.search_ids([3, 9], 4) == index.search_ids([3, 9], 4)
    with pytest.raises(NotFound, match="has the label 'bird'"):
        there.search_images(queries, 7, ["bird"])

    index.remove("mine")
    assert there.search_images(queries, 7).answers[0][1] == []  # what is gone here is not shown from there


@pytest.mark.postgresql
def test_the_service_searches_there(index: Catalogue) -> None:
    address = ADDRESSES["postgresql"]()
    copy_to(index, opened(address))
    table = opened(address, None)
    table.remove([7])  # by which answers of the table are told from those of the index
    table.flush()
    with servers.serving(index.folder, "--port", 0, "--engine", address) as (_, url):
        for labels in ([], [NAMES[0]]):
            asked = {"id": 3, "k": 60, "labels": labels}
            found = httpx.post(f"{url}/search", json=asked, timeout=60).json()["results"]
            expected = index.search_ids([3], 60, labels)[0]
            assert [one["id"] for one in found] == [hit.id for hit in expected if hit.id != 7]
            assert len(found) == (28 if labels else 58)


def test_an_index_can_have_its_codes_there(model: hl.HashModel, address: str, tmp_path: Path) -> None:
    here, there = (
        Catalogue.create(tmp_path / "here", model),
        Catalogue.create(tmp_path / "there", model, engine=address),
    )
    for made in (here, there):
        made.update(features(60, names=NAMES))
    queries = [features(5, seed=1)]
    assert (
        Catalogue.open(tmp_path / "there").search_images(queries, 7).answers
        == here.search_images(queries, 7).answers
    )


def test_what_does_not_fit_is_refused_and_changes_nothing(index: Catalogue, address: str, tmp_path: Path) -> None:
    copy_to(index, opened(address))
    model = hl.fit(features(60, seed=2), "orthohash", bits=BITS, epochs=1, device="cpu")
    other = Catalogue.create(tmp_path / "other", model)
    other.update(features(60))
    for wrong in (
        lambda: copy_to(other, opened(address)),
        lambda: search_table(opened(address), model, [features(1)]),
        lambda: opened(address, 64),
        lambda: other.searched_in(opened(address)),
        lambda: opened(f"{address}_that_is_not_there", None),
    ):
        with pytest.raises(BadInput) as error:
            wrong()
        assert is_one_sentence(error)
    assert_same(opened(address), index)


@pytest.mark.postgresql
def test_what_postgresql_refuses_is_said_in_a_sentence_without_the_password() -> None:
    import psycopg

    server, name = servers.postgresql(), servers.new_name()
    with psycopg.connect(server.partition("&table=")[0], autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {name} (id bigint, code text)")
    folder = server.partition("host=")[2].partition("&")[0]
    for address, said in (
        (server + name, "was not written by hashlens copy"),
        ("postgresql://me:hidden@127.0.0.1:1/photos?table=codes", "refused"),
        (f"postgresql://me:hidden@/photos?host={folder}&table=codes", "me"),
        ("postgresql://me:hidden@localhost/photos", "Name a table"),
        (f"{server}{name}&index=ivf", "no index 'ivf'"),
        (f"{server}{name}&index=hnsw&ef_search=0", "ef_search is 0"),
    ):
        with pytest.raises(BadInput, match=said) as error:
            opened(address)
        assert is_one_sentence(error) and "hidden" not in str(error.value)


@pytest.mark.postgresql
def test_hnsw_finds_nearly_all_and_never_too_few() -> None:
    random = np.random.default_rng(0)
    codes, queries = (hl.codes.pack(random.random((count, 64)) < 0.5) for count in (3000, 50))
    address = f"{servers.postgresql()}{servers.new_name()}&index=hnsw"
    table, exact = opened(address, 64), hl.HammingIndex.build(codes)
    ids = np.arange(len(codes))
    table.put(
        Rows(ids, codes, [""] * len(ids), [("rare",) if one % 300 == 7 else ("often",) for one in ids.tolist()])
    )
    table.flush()
    assert not table.exact
    for allow in (None, ids[::300], ids[::7]):
        found, _ = table.search(queries, 10, allow)
        true, _ = exact.search(queries, 10, allow)
        assert found.shape == true.shape == (50, 10)
        assert (found <= true[:, -1:]).mean() > 0.95
    distances, found = table.search(queries, 300, labels=["rare"])
    assert found.shape == (50, 10) and set(found.ravel().tolist()) == set(ids[7::300].tolist())
    np.testing.assert_array_equal(np.sort(distances, axis=1), distances)


@pytest.mark.milvus
@pytest.mark.parametrize("index", ["", "?index=ivf&nprobe=4"])
def test_more_than_milvus_gives_out_is_found_all_the_same(index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus, "MOST_FOUND", 7)
    random = np.random.default_rng(0)
    codes = hl.codes.pack(random.random((60, 20)) < 0.5)
    table, exact = opened(servers.milvus() + servers.new_name() + index), hl.HammingIndex.build(codes, 20)
    ids = np.arange(60)
    table.put(Rows(ids, codes, [""] * 60, [("even",) if one % 2 == 0 else () for one in ids.tolist()]))
    table.flush()
    assert table.exact == (not index)
    for allow in (None, ids[::3]):
        for ask in (
            lambda one, allow=allow: one.search(codes[:2], 30, allow),
            lambda one: one.within(codes[:2], 9),
        ):
            for mine, ours in zip(ask(table), ask(exact), strict=True):
                for row, expected in zip(mine, ours, strict=True):
                    np.testing.assert_array_equal(row, expected)
    even = exact.search(codes[:2], 20, ids[::2])
    np.testing.assert_array_equal(table.search(codes[:2], 20, labels=["even"])[1], even[1])
    with pytest.raises(BadInput, match="does not fit into Milvus"):
        table.put(Rows(ids[:1], codes[:1], ["x" * 70_000], [()]))


@pytest.mark.milvus
def test_what_milvus_refuses_is_said_in_a_sentence_without_the_password() -> None:
    server = servers.milvus()
    for address, said in (
        ("milvus://me:hidden@127.0.0.1:1/photos", "127.0.0.1:1"),
        ("milvus://me:hidden@localhost", "Name a collection"),
        ("milvus://localhost:many/photos", "names no port"),
        (f"{server}{servers.new_name()}?index=hnsw", "no index 'hnsw'"),
        (f"{server}{servers.new_name()}?nprobe=0", "nprobe is 0"),
        (f"{server}{servers.new_name()}?colour=red", "knows no 'colour'"),
        (f"{server}{servers.new_name()}", "no codes at"),
    ):
        with pytest.raises(BadInput, match=said) as error:
            opened(address, None)
        assert is_one_sentence(error) and "hidden" not in str(error.value)
