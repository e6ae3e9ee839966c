"""What people do with HashLens that writes files: each may be cut short anywhere.

    python deeds.py WHERE SEED SECONDS DEED:KIND …

with ``failing_disk`` preloaded, does each deed once to count its writes, and then again and again, cut short
(``kill`` or ``full``) at each of them, or at as many as there is time for, drawn at random. Lines on standard
output tell how that went.
"""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from campaign import say, told

import hashlens as hl
from hashlens.catalogue import Catalogue, copy_to, merge, ray_encoding
from hashlens.catalogue.parts import Part
from hashlens.engines import HammingIndex
from hashlens.errors import BadInput
from hashlens.models import HashModel

COUNT, KILL, FULL = 0, 1, 2
BITS, CLASSES = 16, ("cat", "dog", "été")
LONGEST = 120  # seconds of one attempt


@dataclass(frozen=True)
class Deed:
    """Something that writes files into a folder.

    Attributes:
        before: makes the folder as it is before; undisturbed.
        do: the deed; done twice it comes to the same as once.
        look: what the folder holds, by name: each of these has its old or its new value whatever happens.
    """

    before: Callable[[Path], None]
    do: Callable[[Path], None]
    look: Callable[[Path], dict[str, Any]]


def vectors(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)


def features(count: int, seed: int = 0, turned: int = 0) -> hl.sources.FeatureArray:
    return hl.sources.FeatureArray("mine", vectors(count, seed), (np.arange(count) + turned) % 3, CLASSES)


MODEL: list[HashModel] = []


def model() -> HashModel:
    if not MODEL:
        MODEL.append(hl.fit(features(60), "orthohash", bits=BITS, hidden_layers=[], epochs=1, device="cpu"))
    return MODEL[0]


def nothing(folder: Path) -> None:
    pass


# Our engine


def codes(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4), np.uint8)


def save_codes(folder: Path) -> None:
    index = HammingIndex.build(np.concatenate([codes(200)] * 3))
    index.remove([5])
    index.save(folder / "codes")


def change_codes(folder: Path) -> None:
    index = HammingIndex.open(folder / "codes")
    gone = np.array([7, 300])
    index.remove(gone[index.contains(gone)])
    index.add(codes(400, 1), np.arange(590, 990))
    index.flush()


def look_at_codes(folder: Path) -> dict[str, Any]:
    if not (folder / "codes" / "index.json").exists():
        return {}
    index = HammingIndex.open(folder / "codes")
    index.search(codes(2), 5)
    return {"codes": (index.codes().tobytes(), index.ids.tobytes())}


def build_codes(folder: Path) -> None:
    batches = (np.concatenate([codes(150, number)] * 2) for number in range(3))
    HammingIndex.build(batches, folder=folder / "codes")


# Indexes


def first_index(folder: Path) -> None:
    Catalogue.create(folder / "index", model()).update(features(40), device="cpu")


def update_index(folder: Path) -> None:
    Catalogue.open(folder / "index").update(features(60, turned=1).select(np.arange(10, 60)), device="cpu")


def look_at_index(folder: Path) -> dict[str, Any]:
    if not (folder / "index").exists():
        return {}
    catalogue = Catalogue.open(folder / "index")
    entries = catalogue.entries(range(200))
    found = catalogue.search(np.stack([entry.code for entry in entries]), len(entries)) if entries else []
    assert all(len(hits) == len(entries) and hits[0].distance == 0 for hits in found)
    return {entry.path: (entry.labels, entry.code.tobytes()) for entry in entries}


def index_part(folder: Path) -> None:
    part = Catalogue.create(folder / "index", model())
    part.update(features(60), device="cpu", part=Part(2, 3))


def two_parts(folder: Path) -> None:
    for number in (1, 2):
        part = Catalogue.create(folder / f"part{number}", model())
        part.update(features(50), device="cpu", part=Part(number, 2))


def merge_parts(folder: Path) -> None:
    if not (folder / "index").exists():  # a merge that is there is not made again
        merge([folder / "part1", folder / "part2"], folder / "index")


def write_ray_part(folder: Path) -> None:
    with model().encoder(device="cpu") as encode:
        ray_encoding._write(folder / "part.safetensors", encode.all(features(30)))


def look_at_ray_part(folder: Path) -> dict[str, Any]:
    part = ray_encoding._read(folder / "part.safetensors")
    return {} if part is None else {"part": (part.codes.tobytes(), part.items.tobytes(), part.digests)}


# Models


def save_model(folder: Path) -> None:
    model().save(folder / "model")


def fit_and_save(folder: Path) -> None:
    os.environ["HASHLENS_CACHE"] = str(folder / "cache")
    images = hl.open_source("digits").select(range(24))
    hl.fit(images, "orthohash", bits=BITS, image_size=32, epochs=1, finetune=False, device="cpu").save(
        folder / "model"
    )


def finetune_and_save(folder: Path) -> None:
    os.environ["HASHLENS_CACHE"] = str(folder / "cache")
    images = hl.open_source("digits").select(range(24))
    trained = hl.fit(
        images, "orthohash", bits=BITS, image_size=32, epochs=2, finetune=True, device="cpu",
        checkpoints=folder / "checkpoints",
    )  # fmt: skip
    trained.save(folder / "model")
    hl.training.discard_checkpoints(folder / "checkpoints")


def look_at_model(folder: Path) -> dict[str, Any]:
    return {"model": HashModel.load(folder / "model").fingerprint()} if (folder / "model").exists() else {}


# Copies


def index_and_copy(folder: Path) -> None:
    first_index(folder)
    copy_index(folder)
    update_index(folder)


def copy_index(folder: Path) -> None:
    table = hl.engines.open(folder / "codes.parquet", BITS)
    copy_to(Catalogue.open(folder / "index"), table)  # type: ignore[arg-type]


def look_at_copy(folder: Path) -> dict[str, Any]:
    if not (folder / "codes.parquet").exists():
        return {}
    rows = list(hl.engines.open(folder / "codes.parquet").every_row())  # type: ignore[attr-defined]
    return {"copy": [(one.ids.tobytes(), one.codes.tobytes(), one.paths, one.labels) for one in rows]}


DEEDS: dict[str, Deed] = {
    "build codes": Deed(nothing, build_codes, look_at_codes),
    "save codes": Deed(save_codes, change_codes, look_at_codes),
    "first index": Deed(nothing, first_index, look_at_index),
    "index again": Deed(first_index, update_index, look_at_index),
    "index a part": Deed(nothing, index_part, look_at_index),
    "merge": Deed(two_parts, merge_parts, look_at_index),
    "part of Ray": Deed(nothing, write_ray_part, look_at_ray_part),
    "save a model": Deed(save_model, fit_and_save, look_at_model),
    "fine-tune": Deed(save_model, finetune_and_save, look_at_model),
    "copy": Deed(index_and_copy, copy_index, look_at_copy),
}


def apart(work: Callable[[], None]) -> tuple[int, str]:
    """Do something in a forked process.

    Returns:
        Its exit status, negative for a signal, and what it said where that is not 0.
    """
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        signal.alarm(LONGEST)
        try:
            work()
            os._exit(0)
        except BaseException as error:
            refused = isinstance(error, BadInput | OSError)
            os.write(write, told(error).encode(errors="replace"))
            os._exit(3 if refused else 4)
    os.close(write)
    with os.fdopen(read, errors="replace") as said:
        text = said.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), text


def main(where: str, seed: str, seconds: str, *names: str) -> None:
    logging.disable()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    model()
    for place, name in enumerate(names):
        deed, _, kind = name.partition(":")
        attempt(deed, Path(where, str(place)), {"kill": KILL, "full": FULL}[kind], float(seconds), int(seed))


def attempt(name: str, where: Path, kind: int, seconds: float, seed: int) -> None:
    """Cut a deed short at its writes, for some seconds, and tell how that went."""
    deed = DEEDS[name]
    disk = ctypes.CDLL(None)
    old, new, work = where / "old", where / "new", where / "work"
    old.mkdir(parents=True)
    deed.before(old)
    shutil.copytree(old, new)
    deed.do(new)  # also so that everything is loaded and compiled
    before, after = deed.look(old), deed.look(new)
    assert before != after

    def cut_short(at: int, how: int) -> None:
        disk.fail_at(ctypes.c_long(at), how, str(work).encode())
        deed.do(work)

    def counting() -> None:
        cut_short(-1, COUNT)
        (where / "count").write_text(str(disk.calls()), encoding="ascii")

    def is_old_or_new() -> None:
        found = deed.look(work)
        for part in {*before, *after, *found}:
            assert found.get(part) in (before.get(part), after.get(part)), f"{part} is neither old nor new"

    def ends_equal() -> None:
        deed.do(work)
        assert deed.look(work) == after, "the next run ends otherwise"
        left = [path.name for path in work.rglob("*") if path.name.startswith(".")]
        assert not left, f"left behind: {left}"

    def afresh() -> None:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(old, work)

    afresh()
    status, text = apart(counting)
    assert status == 0, text
    writes = int((where / "count").read_text(encoding="ascii"))
    order = np.random.default_rng(seed).permutation(np.arange(1, writes + 1))
    end = time.monotonic() + seconds
    tried = 0
    for number in order.tolist():
        if time.monotonic() > end and tried:
            break
        tried += 1
        afresh()
        status, text = apart(lambda number=number: cut_short(number, kind))  # type: ignore[misc]
        if kind == KILL and status not in (-signal.SIGKILL, 0):
            say("fault", name, number, f"{text or status}")
        if kind == FULL and status not in (0, 3):
            say("fault", name, number, f"on a full disk: {text or status}")
        for check in (is_old_or_new, ends_equal):
            status, text = apart(check)
            if status:
                say("fault", name, number, f"{check.__name__}: {text or status}")
    say("end", tried, writes, name)


if __name__ == "__main__":
    main(*sys.argv[1:])
