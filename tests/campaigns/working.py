"""Somebody who works with an index while others do.

    python working.py index INDEX FOLDER SEED SECONDS      adds and removes images, again and again
    python working.py search INDEX SEED SECONDS            searches, and compares what is found with the codes

The last line on standard output tells how often.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

import hashlens as hl
from hashlens.catalogue import Catalogue


def index(folder: str, images: str, seed: int, seconds: float) -> int:
    random, source = np.random.default_rng(seed), hl.open_source(images)
    end, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        chosen = np.sort(random.permutation(len(source))[: random.integers(len(source) // 4, len(source))])
        changes = Catalogue.open(folder).update(source.select(chosen), device="cpu")
        assert not changes.skipped and changes.added + changes.unchanged + changes.moved == len(chosen)
        rounds += 1
        time.sleep(0.2)
    Catalogue.open(folder).update(source, device="cpu")
    return rounds


def search(folder: str, seed: int, seconds: float) -> int:
    random, catalogue = np.random.default_rng(seed), Catalogue.open(folder)
    end, rounds = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        code = random.integers(0, 256, (1, -(-catalogue.bits // 8)), np.uint8)
        (hits,) = catalogue.search(code, int(random.choice([1, 10, 1000])))
        ids = [hit.id for hit in hits]
        assert len(set(ids)) == len(ids) > 0
        assert [(hit.distance, hit.id) for hit in hits] == sorted((hit.distance, hit.id) for hit in hits)
        distances = {hit.id: hit.distance for hit in hits}
        for entry in catalogue.entries(ids):  # less those that were removed since; no id is given twice
            assert np.unpackbits(entry.code ^ code[0]).sum() == distances[entry.id]
            assert Path(entry.path).is_file()
        rounds += 1
        time.sleep(0.02)
    return rounds


if __name__ == "__main__":
    torch.set_num_threads(1)
    deed, *words, seed, seconds = sys.argv[1:]
    print({"index": index, "search": search}[deed](*words, int(seed), float(seconds)))
