"""Every reader of files, or of requests, that may be damaged: how whole ones are made, and what is read of them."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn

import hashlens as hl
from hashlens.backbones import Backbone, Preprocessing, onnx_runtime
from hashlens.backbones.backbone import read_weights
from hashlens.backbones.extraction import _OptionalCache
from hashlens.backbones.feature_cache import FeatureCache
from hashlens.catalogue import Catalogue, copy_to, ray_encoding
from hashlens.catalogue.catalogue import DATABASE_FILE
from hashlens.classes import Sense, open_taxonomy, read_senses, read_similarity, write_senses
from hashlens.engines import HammingIndex
from hashlens.engines.hamming import multi_index
from hashlens.errors import BadInput
from hashlens.files import read_array
from hashlens.metrics import Report
from hashlens.metrics.instance_retrieval import read_ground_truth
from hashlens.metrics.judgements import read_judgements
from hashlens.metrics.report import METRICS_FILE, QUERIES_FILE
from hashlens.models import Encoded, HashModel
from hashlens.reports.facts import facts_of
from hashlens.service import create_app
from hashlens.sources import Skipped, Source, UnreadableImage, decode
from hashlens.training.checkpoints import Checkpoint

MIB = 1 << 20
CLASSES = ("cat", "dog", "été")
BITS = 16


@dataclass(frozen=True)
class Reader:
    """Something that reads files.

    Attributes:
        make: writes whole files into an empty folder.
        read: reads them, and tells what it understood; raises ``BadInput``, or ``UnreadableImage``, to refuse.
        guards: whether a checksum guards a file, by its name, so that it must never be understood otherwise.
        alone: whether each file is read for itself, so that only the damaged one need be read again.
        spare: bytes of memory that may be taken besides twice the size of the files.
    """

    make: Callable[[Path], None]
    read: Callable[[Path], Any]
    guards: Callable[[str], bool] = lambda name: False
    alone: bool = False
    spare: int = 64 * MIB


def everything(name: str) -> bool:
    return True


def vectors(count: int = 60) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)


def features(count: int = 60) -> hl.sources.FeatureArray:
    return hl.sources.FeatureArray("mine", vectors(count), np.arange(count) % len(CLASSES), CLASSES)


@cache
def feature_model() -> HashModel:
    return hl.fit(features(), "orthohash", bits=BITS, hidden_layers=[], epochs=1, device="cpu")


@cache
def photographs() -> Source:
    return hl.open_source("digits").select(range(24))


@cache
def image_model() -> HashModel:
    return hl.fit(photographs(), "itq", bits=BITS, image_size=32, device="cpu")


# Models and indexes


def read_model(folder: Path) -> Any:
    model = HashModel.load(folder)
    repr(model), facts_of(folder)
    return model.encode(vectors(4)).tobytes(), model.fingerprint()


def make_codes(folder: Path) -> None:
    distinct = np.random.default_rng(0).integers(0, 256, (300, 4), np.uint8)
    with (
        mock.patch.object(multi_index, "FEWEST", 100),
        mock.patch.object(multi_index, "LEAST_GAIN", 0.0),
        mock.patch.object(multi_index, "LONGEST_PART", 8),
    ):
        index = HammingIndex.build(np.concatenate([distinct] * 3), ids=np.arange(900) * 3)
        index.save(folder)
        index.prepare()
    index.remove([3, 30])
    index.add(np.random.default_rng(1).integers(0, 256, (70, 4), np.uint8))
    index.flush()


def read_codes(folder: Path) -> Any:
    index = HammingIndex.open(folder)
    queries = np.random.default_rng(2).integers(0, 256, (3, 4), np.uint8)
    near = index.within(queries, 9)
    return (
        *(array.tobytes() for array in index.search(queries, 20)),
        *(array.tobytes() for arrays in near for array in arrays),
        *(array.tobytes() for array in index.search_ids([0, 9], 5)),
        index.codes().tobytes(), index.ids.tobytes(), index.next_id,
    )  # fmt: skip


def make_catalogue(folder: Path) -> None:
    catalogue = Catalogue.create(folder, feature_model())
    catalogue.update(features())
    with catalogue._database.connect() as rows:  # one file, so that damage does not vanish with a log
        rows.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def read_catalogue(folder: Path) -> Any:
    catalogue = Catalogue.open(folder)
    facts_of(folder)
    codes = catalogue.model().encode(vectors(3))
    return catalogue.search(codes, 9), answers_of(catalogue)


def make_database(folder: Path) -> None:
    """No more of a catalogue than its database, of which the codes are laid out again."""
    make_catalogue(folder)
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def answers_of(catalogue: Catalogue) -> Any:
    """What a catalogue can be asked without its model, beginning anywhere, as the first refusal ends it."""
    random = np.random.default_rng(3)
    codes, details = random.integers(0, 256, (3, 2), np.uint8), random.integers(-128, 128, (3, BITS), np.int8)
    questions: list[Callable[[], Any]] = [
        lambda: len(catalogue),
        catalogue.labels,
        catalogue.sources,
        catalogue.skipped,
        lambda: catalogue.search(codes, 20),
        lambda: catalogue.search(codes, 5, details=details),
        lambda: catalogue.search(codes, 20, labels=["cat"]),
        lambda: catalogue.search_ids(range(1, 60, 5), 4),
        lambda: catalogue.search_paths(["mine#7"], 5),
        lambda: [vars(entry) for entry in catalogue.entries(range(1, 61))],
        lambda: [vars(entry) for entry in catalogue.entries(catalogue.sample(1000))],
        lambda: [array.tolist() for batch in catalogue.codes() for array in batch],
    ]
    first = zlib.crc32((catalogue.folder / DATABASE_FILE).read_bytes()) % len(questions)
    order = np.roll(np.arange(len(questions)), -first).tolist()
    return sorted((place, questions[place]()) for place in order)


def update_catalogue(folder: Path) -> Any:
    """As a later ``hashlens index``, in which everything is read that tells what has changed."""
    catalogue = Catalogue.open(folder)
    changes = catalogue.update(features(70).select(range(5, 70)))
    entries = [vars(entry) for entry in catalogue.entries(range(1, 80))]
    catalogue.remove("mine")
    return changes, entries, catalogue.labels()


# What is kept in the cache folder: what is damaged there is made again

FINGERPRINT = "0123456789abcdef" * 4


def cached(read: Callable[[], Any]) -> Callable[[Path], Any]:
    def with_cache(folder: Path) -> Any:
        with mock.patch.dict(os.environ, HASHLENS_CACHE=str(folder)):
            return read()

    return with_cache


def known_features() -> list[tuple[bytes, np.ndarray]]:
    random = np.random.default_rng(0)
    return [(random.bytes(16), random.normal(size=40).astype(np.float32)) for _ in range(20)]


def fill_features() -> None:
    feature_cache = FeatureCache(FINGERPRINT)
    feature_cache.put(known_features())
    feature_cache._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    feature_cache.close()


def read_features() -> Any:
    feature_cache = _OptionalCache(mock.Mock(fingerprint=lambda: FINGERPRINT))
    try:
        found = []
        for digest, feature in known_features():
            known = feature_cache.get(digest)
            if known is None:  # then it is computed again
                feature_cache.put([(digest, feature)])
                known = feature
            found.append(known.tobytes())
        return found
    finally:
        feature_cache.close()


@cache
def tiny_backbone() -> Backbone:
    torch.manual_seed(0)
    network = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 5))
    return Backbone("tiny", network, Preprocessing(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)), 5).eval()


WRITE_ONNX = onnx_runtime.write_onnx


@cache
def graph() -> bytes:
    """What making the graph again would write, without the seconds that it takes."""
    pixels = torch.from_numpy(onnx_runtime.sample_pixels(32))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "again.onnx")
        WRITE_ONNX(tiny_backbone(), pixels[:2], path, ["features"], {})
        return path.read_bytes()


def read_graph() -> Any:
    def again(*arguments: Any) -> None:
        Path(arguments[2]).write_bytes(graph())

    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, 32, 32), np.uint8))
    with mock.patch.object(onnx_runtime, "write_onnx", again):
        return onnx_runtime.OnnxBackbone(tiny_backbone(), 1)(pixels).tobytes()


# Sources


def described(source: Source) -> Any:
    """What a source says of its first items."""
    names = [source.label_names(item) for item in range(min(3, len(source)))]
    keys = [(source.key(item), source.location(item)) for item in range(min(3, len(source)))]
    return len(source), names, keys


def read_array_source(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        source = hl.open_source(folder / name)
        return described(source), source.features().tobytes()

    return read


def read_image_source(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        source = hl.open_source(folder / name)
        pictures = []
        for item in range(min(3, len(source))):
            try:
                pictures.append(source.image(item, shortest_side=32).tobytes())
            except UnreadableImage as error:
                pictures.append(str(error).encode())
        return described(source), pictures

    return read


def make_npz(folder: Path) -> None:
    np.savez_compressed(
        folder / "x.npz",
        x=vectors(20),
        y=np.arange(20) % 3,
        class_names=np.array(CLASSES),
        split=np.array(["a"] * 20),
    )


def read_npz(folder: Path) -> Any:
    source = hl.open_source(folder / "x.npz:a")
    return described(source), source.features().tobytes()


def picture(number: int) -> Image.Image:
    return photographs().image(number).resize((24, 20))


def encoded(number: int, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture(number).save(file, kind, **options)
    return file.getvalue()


def make_parquet(folder: Path) -> None:
    schema = pa.schema(
        [
            ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
            ("label", pa.int64()),
            ("split", pa.string()),
        ],
        metadata={"huggingface": json.dumps({"info": {"features": {"label": {"names": list(CLASSES)}}}})},
    )
    rows = [
        {"image": {"bytes": encoded(number), "path": f"{number}.png"}, "label": number % 3, "split": "a"}
        for number in range(6)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "x.parquet", row_group_size=3)


def make_csv(folder: Path) -> None:
    with (folder / "x.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "split"])
        writer.writerows([f"{number}.png", CLASSES[number % 3], "a"] for number in range(12))
    (folder / "0.png").write_bytes(encoded(0))


def make_list(folder: Path) -> None:
    lines = [f"{number}.png {number % 2} {1 - number % 2}" for number in range(12)]
    (folder / "x.txt").write_text("\n".join(lines), encoding="utf-8")
    (folder / "0.png").write_bytes(encoded(0))


IMAGE_KINDS: dict[str, dict[str, Any]] = {
    "png": {}, "jpeg": {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"}, "gif": {},
    "bmp": {}, "tiff": {"compression": "tiff_lzw"}, "webp": {}, "ppm": {}, "ico": {}, "tga": {}, "jpeg2000": {},
    "pcx": {}, "sgi": {}, "avif": {},
}  # fmt: skip


def make_images(folder: Path) -> None:
    for number, (kind, options) in enumerate(IMAGE_KINDS.items()):
        (folder / f"{number}.{kind}").write_bytes(encoded(number, kind.upper(), **options))


def read_images(folder: Path) -> Any:
    """The pictures, of which those that are damaged may be refused."""
    found = []
    for path in sorted(folder.iterdir()):
        try:
            found.append(decode(path.read_bytes(), shortest_side=32).size)
        except UnreadableImage as error:
            found.append(str(error))
    return found


# What else users give


def make_taxonomy(folder: Path) -> None:
    edges = [("animal", "cat"), ("animal", "dog"), ("thing", "animal"), ("thing", "été")]
    (folder / "edges.csv").write_text("".join(f"{a},{b}\n" for a, b in edges), encoding="utf-8")
    table = {"parent": [a for a, _ in edges], "class": [b for _, b in edges]}
    pq.write_table(pa.table(table), folder / "edges.parquet")
    (folder / "numbers.txt").write_text("0 1\n0 2\n0 3\n", encoding="utf-8")
    (folder / "class_names.txt").write_text("1 cat\n2 dog\n3 été\n", encoding="utf-8")


def read_taxonomies(folder: Path) -> Any:
    files = ("edges.csv", "edges.parquet", "numbers.txt")
    return [open_taxonomy(folder / name, CLASSES).edges for name in files]


def make_similarity(folder: Path) -> None:
    table = np.full((3, 3), 0.25) + 0.75 * np.eye(3)
    np.save(folder / "s.npy", table)
    rows = [["", *CLASSES], *([name, *map(str, row)] for name, row in zip(CLASSES, table.tolist(), strict=True))]
    (folder / "s.csv").write_text("\n".join(",".join(row) for row in rows), encoding="utf-8")


def read_similarities(folder: Path) -> Any:
    return [read_similarity(folder / name, CLASSES).tobytes() for name in ("s.csv", "s.npy")]


def make_judged(folder: Path) -> None:
    (folder / "j.csv").write_text("query,id,mark,rank\nid:7,12,right,1\nid:7,13,wrong,2\n", encoding="utf-8")
    judged = [{"query": "id:7", "id": 12, "mark": "right", "rank": 1}]
    (folder / "j.json").write_text(json.dumps({"judgements": judged}), encoding="utf-8")
    truth = {"gnd": [{"easy": [2], "hard": [1], "junk": [0], "bbx": [0, 0, 5, 5]}], "imlist": ["a", "b", "c"]}
    (folder / "gnd.json").write_text(json.dumps(truth), encoding="utf-8")


def read_judged(folder: Path) -> Any:
    truth = read_ground_truth(folder / "gnd.json")
    return read_judgements(folder / "j.csv"), read_judgements(folder / "j.json"), repr(truth)


def make_weights(folder: Path) -> None:
    from safetensors.torch import save_file

    tensors = {"a": torch.arange(20.0), "b": torch.ones(3, 4)}
    save_file(tensors, folder / "w.safetensors")
    torch.save({"state_dict": tensors}, folder / "w.pth")


def read_weight_files(folder: Path) -> Any:
    files = ("w.safetensors", "w.pth")
    return [{key: tensor.shape for key, tensor in read_weights(folder / name).items()} for name in files]


def make_checkpoint(folder: Path) -> None:
    Checkpoint(folder, {"seed": 1}).write({"epoch": 2, "weights": torch.arange(50.0)})


def read_checkpoint(folder: Path) -> Any:
    state = Checkpoint(folder, {"seed": 1}).read()
    if state is None:
        raise BadInput("There is no checkpoint.")
    return state["epoch"], state["weights"].numpy().tobytes()


def make_copy(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        catalogue = Catalogue.create(folder / "index", feature_model())
        catalogue.update(features(30))
        copy_to(catalogue, hl.engines.open(folder / name, BITS))  # type: ignore[arg-type]
        shutil.rmtree(folder / "index")

    return make


def read_copy(name: str) -> Callable[[Path], Any]:
    def read(folder: Path) -> Any:
        table = hl.engines.open(folder / name)
        found = table.search(feature_model().encode(vectors(3)), 5)
        rows = list(table.every_row())  # type: ignore[attr-defined]
        return [array.tobytes() for array in found], [(one.codes.tobytes(), one.paths, one.labels) for one in rows]

    return read


def make_ray_part(folder: Path) -> None:
    random = np.random.default_rng(0)
    encoded = Encoded(
        items=np.arange(20),
        continuous=random.normal(size=(20, BITS)).astype(np.float32),
        codes=random.integers(0, 256, (20, 2), np.uint8),
        details=random.integers(-128, 128, (20, BITS), np.int8),
        digests=[random.bytes(16) for _ in range(20)],
        skipped=[Skipped(20, "20.png", "no picture")],
    )
    ray_encoding._write(folder / "part.safetensors", encoded)


def read_ray_part(folder: Path) -> Any:
    part = ray_encoding._read(folder / "part.safetensors")
    if part is None:
        raise BadInput("The part is encoded again.")
    arrays = (part.items, part.continuous, part.codes, part.details)
    return [array.tobytes() for array in arrays], part.digests, part.skipped


def make_report(folder: Path) -> None:
    labels = np.arange(40) % 4
    codes = np.random.default_rng(0).integers(0, 256, (40, 2), np.uint8)
    report = hl.evaluate(codes[:12], labels[:12], codes[12:], labels[12:], (5, None))
    (folder / METRICS_FILE).write_text(json.dumps(report.to_dict()), encoding="utf-8")
    (folder / QUERIES_FILE).write_text(report.to_csv(per_query=True), encoding="utf-8")


def read_report(folder: Path) -> Any:
    report = Report.read(folder)
    return dict(report), {name: scores.tobytes() for name, scores in report.per_query.items()}


def make_senses(folder: Path) -> None:
    write_senses([Sense(name, f"{name}.n.01", "a thing") for name in CLASSES], folder / "senses.csv")


# Requests to the service, as they come from the network

BOUNDARY = "x" * 20
FORM = b"".join(
    [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="k"\r\n\r\n3\r\n'.encode(),
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n'.encode(),
        b"Content-Type: image/png\r\n\r\n",
    ]
)


def request(line: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    head = f"{line}\nhost: localhost\ncontent-type: {kind}\naccept: */*\n\n"
    return head.encode() + body


def make_json(folder: Path) -> None:
    questions = [
        {"id": 7, "k": 3, "labels": ["cat"], "radius": 12, "offset": 1},
        {"code": "0f0f", "details": "f" * 22, "k": 5},
    ]
    for number, question in enumerate(questions):
        (folder / f"{number}.request").write_bytes(request("POST /search?k=4", json.dumps(question).encode()))


def make_reading(folder: Path) -> None:
    lines = (
        "GET /images/7/thumbnail?size=64", "GET /images/7/facts", "GET /labels?prefix=c&limit=5",
        "GET /images?limit=3", "GET /health", "POST /session", "GET /page/page.js",
    )  # fmt: skip
    for number, line in enumerate(lines):
        (folder / f"{number}.request").write_bytes(request(line))


def make_form(folder: Path) -> None:
    body = FORM + encoded(1) + f"\r\n--{BOUNDARY}--\r\n".encode()
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    (folder / "0.request").write_bytes(request("POST /search", body, kind))
    (folder / "1.request").write_bytes(request("POST /search/batch?k=2", body, kind))
    (folder / "2.request").write_bytes(request("POST /search?k=2", encoded(2, "JPEG"), "image/jpeg"))


@cache
def service() -> Any:
    folder = Path(os.environ["HASHLENS_CACHE"], "served")
    shutil.rmtree(folder, ignore_errors=True)
    images = Path(os.environ["HASHLENS_CACHE"], "pictures")
    for number in range(24):
        path = images / CLASSES[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
    catalogue = Catalogue.create(folder, image_model())
    catalogue.update(hl.open_source(images), device="cpu")
    return create_app(catalogue, device="cpu")


LOOP = asyncio.new_event_loop()


def read_requests(folder: Path) -> Any:
    """The answers, of which those to damaged requests may be refusals, but never of our own making (5xx)."""
    answers = []
    for path in sorted(folder.iterdir()):
        head, _, body = path.read_bytes().partition(b"\n\n")
        line, *fields = head.split(b"\n")
        method, _, target = line.partition(b" ")
        where, _, query = target.partition(b"?")
        headers = [
            (name.strip().lower(), value.strip()) for name, _, value in (one.partition(b":") for one in fields)
        ]
        headers.append((b"content-length", str(len(body)).encode()))
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
            "method": method.decode("latin1").upper(), "path": unquote(where.decode("latin1")), "raw_path": where,
            "query_string": query, "headers": headers, "client": ("127.0.0.1", 9), "server": ("127.0.0.1", 8000),
        }  # fmt: skip
        answers.append(LOOP.run_until_complete(answer_to(scope, body)))
    return answers


async def answer_to(scope: dict[str, Any], body: bytes) -> int:
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await service()(scope, receive, send)
    status = sent[0]["status"]
    content = b"".join(message.get("body", b"") for message in sent[1:])
    if status >= 500:
        raise AssertionError(f"status {status}: {content[:200]!r}")
    if status >= 400 and scope["method"] != "HEAD":
        is_sentence(json.loads(content)["detail"])
    return status


def is_sentence(text: str) -> None:
    if not text.endswith((".", "?")) or "\n" in text:
        raise AssertionError(f"not one sentence: {text[:300]!r}")


READERS: dict[str, Reader] = {
    "model": Reader(lambda folder: feature_model().save(folder), read_model, everything),
    "codes": Reader(make_codes, read_codes, everything),
    "catalogue": Reader(make_catalogue, read_catalogue, everything),
    "catalogue-update": Reader(make_catalogue, update_catalogue, everything),
    "database": Reader(make_database, lambda folder: answers_of(Catalogue.open(folder)), everything),
    "feature-cache": Reader(cached(fill_features), cached(read_features), everything),
    "onnx": Reader(cached(read_graph), cached(read_graph), everything),
    "npz": Reader(make_npz, read_npz),
    "npy": Reader(lambda folder: np.save(folder / "x.npy", vectors(20)), read_array_source("x.npy")),
    "parquet": Reader(make_parquet, read_image_source("x.parquet")),
    "csv": Reader(make_csv, read_image_source("x.csv")),
    "list": Reader(make_list, read_image_source("x.txt")),
    "images": Reader(make_images, read_images, alone=True, spare=1200 * MIB),
    "taxonomy": Reader(make_taxonomy, read_taxonomies),
    "similarity": Reader(make_similarity, read_similarities),
    "codebook": Reader(
        lambda folder: np.save(folder / "c.npy", np.ones((3, 16), np.int8)),
        lambda folder: read_array(folder / "c.npy", "a codebook").tobytes(),
    ),
    "judgements": Reader(make_judged, read_judged),
    "weights": Reader(make_weights, read_weight_files),
    "checkpoint": Reader(make_checkpoint, read_checkpoint, everything),
    "copy": Reader(make_copy("codes.parquet"), read_copy("codes.parquet"), everything),
    "copy-npy": Reader(make_copy("codes.npy"), read_copy("codes.npy"), everything),
    "ray-part": Reader(make_ray_part, read_ray_part, everything),
    "report": Reader(make_report, read_report),
    "senses": Reader(make_senses, lambda folder: read_senses(folder / "senses.csv")),
    "requests-json": Reader(make_json, read_requests, alone=True),
    "requests-reading": Reader(make_reading, read_requests, alone=True),
    "requests-images": Reader(make_form, read_requests, alone=True, spare=1200 * MIB),
}

REFUSALS = (BadInput, UnreadableImage)
