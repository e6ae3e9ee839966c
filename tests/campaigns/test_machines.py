"""Our engine and the catalogue against a dictionary, over any row of changes, deaths and reopenings."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from campaign import is_long, seconds, seed
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

import hashlens as hl
from hashlens.catalogue import Catalogue
from hashlens.engines import HammingIndex
from hashlens.engines.hamming import multi_index
from hashlens.errors import BadInput
from hashlens.models import HashModel

SHORT_EXAMPLES = 12
STEPS = 30
EXAMPLES_A_SECOND = 1.0  # fewer than are done, so that a long campaign ends in time
BITS = 20
WIDTH = 3

numbers = st.integers(0, 60)
codes = st.integers(0, 40).map(lambda seed: np.random.default_rng(seed).integers(0, 16, WIDTH, np.uint8) << 4)


def distances(code: np.ndarray, others: dict[int, bytes]) -> list[tuple[int, int]]:
    """Distance and id of each of the others, by distance, then id: slow and obvious."""
    return sorted(
        (sum((a ^ b).bit_count() for a, b in zip(code.tolist(), other, strict=True)), number)
        for number, other in others.items()
    )


class Engine(RuleBasedStateMachine):
    """A HammingIndex in a folder; what was saved last survives, what was not is lost with the process."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.index = HammingIndex.build(np.empty((0, WIDTH), np.uint8), BITS, self.folder / "codes")
        self.held: dict[int, bytes] = {}
        self.saved: dict[int, bytes] = {}
        self.next, self.saved_next = 0, 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(entries=st.dictionaries(numbers, codes, max_size=8))
    def add(self, entries: dict[int, np.ndarray]) -> None:
        array = np.array(list(entries.values()), np.uint8).reshape(-1, WIDTH)
        self.index.add(array, np.array(list(entries), np.int64))
        self.held |= {number: code.tobytes() for number, code in entries.items()}
        self.next = max([self.next, *(number + 1 for number in entries)])

    @rule(new=st.lists(codes, max_size=120))
    def append(self, new: list[np.ndarray]) -> None:
        ids = self.index.add(np.array(new, np.uint8).reshape(-1, WIDTH))
        assert ids.tolist() == list(range(self.next, self.next + len(new)))
        self.held |= {number: code.tobytes() for number, code in zip(ids.tolist(), new, strict=True)}
        self.next += len(new)

    @rule(wanted=st.sets(numbers, max_size=6))
    def remove(self, wanted: set[int]) -> None:
        if wanted <= self.held.keys():
            self.index.remove(sorted(wanted))
            for number in wanted:
                del self.held[number]
        else:
            with pytest.raises(BadInput, match="no code with id"):
                self.index.remove(sorted(wanted))

    @rule()
    def prepare(self) -> None:
        before = {number: getattr(multi_index, number) for number in ("FEWEST", "LEAST_GAIN", "LONGEST_PART")}
        multi_index.FEWEST = multi_index.TRIAL_QUERIES  # no trial draws as many of fewer codes
        multi_index.LEAST_GAIN, multi_index.LONGEST_PART = 0.0, 10
        try:
            self.index.prepare(again=False)
        finally:
            for name, value in before.items():
                setattr(multi_index, name, value)

    @rule()
    def save(self) -> None:
        self.index.flush()
        self.saved, self.saved_next = dict(self.held), self.next

    @rule()
    def die_and_open_again(self) -> None:
        self.index = HammingIndex.open(self.folder / "codes")
        if len(self.index) != len(self.saved):  # preparing saves too
            assert len(self.index) == len(self.held)
            self.saved, self.saved_next = dict(self.held), self.next
        self.held, self.next = dict(self.saved), self.saved_next

    @rule(code=codes, k=st.integers(1, 100), radius=st.integers(0, BITS), some=st.sets(numbers, max_size=9))
    def search(self, code: np.ndarray, k: int, radius: int, some: set[int]) -> None:
        expected = distances(code, self.held)
        found = self.index.search(code[None], k)
        assert list(zip(found[0][0].tolist(), found[1][0].tolist(), strict=True)) == expected[:k]
        near = self.index.within(code[None], radius)
        near_pairs = list(zip(near[0][0].tolist(), near[1][0].tolist(), strict=True))
        assert near_pairs == [pair for pair in expected if pair[0] <= radius]
        denied = sorted(number for number in some if number < self.next)
        found = self.index.search(code[None], k, deny=denied)
        assert found[1][0].tolist() == [number for _, number in expected if number not in some][:k]

    @invariant()
    def holds_what_it_should(self) -> None:
        assert self.index.ids.tolist() == sorted(self.held)
        assert len(self.index) == len(self.held)
        assert [code.tobytes() for code in self.index.codes()] == [
            self.held[number] for number in sorted(self.held)
        ]


@cache
def model() -> HashModel:
    x = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    items = hl.sources.FeatureArray("training", x, np.arange(60) % 2, ["0", "1"])
    return hl.fit(items, "orthohash", bits=BITS, hidden_layers=[], epochs=1, device="cpu")


@cache
def code_of(content: int) -> bytes:
    return model().encode(vector(content)[None])[0].tobytes()


def vector(content: int) -> np.ndarray:
    return np.random.default_rng(content).normal(size=8).astype(np.float32)


class Items(hl.sources.FeatureArray):
    """Items with names of their own, each with some content and a label."""

    def __init__(self, name: str, held: dict[str, tuple[int, int]]) -> None:
        self._names = list(held)
        self._contents = [content for content, _ in held.values()]
        x = np.array([vector(content) for content in self._contents], np.float32).reshape(-1, 8)
        labels = np.array([label for _, label in held.values()], np.int64)
        super().__init__(name, x, labels, ["zero", "one", "two"])

    def key(self, item: int) -> str:
        return self._names[item]

    def location(self, item: int) -> str:
        return f"{self.name}/{self._names[item]}"

    def fingerprint(self, item: int) -> tuple[int, int]:
        return self._contents[item], 0

    def select(self, items: np.ndarray) -> Items:
        chosen = np.arange(len(self))[items].tolist()
        pairs = {self._names[item]: (self._contents[item], int(self.labels[item])) for item in chosen}
        return Items(self.name, pairs)


names = st.integers(0, 12).map(lambda number: f"{number}.jpg")
contents = st.dictionaries(names, st.tuples(st.integers(0, 30), st.integers(0, 2)), max_size=10)
sources = st.sampled_from(["here", "there"])


class Index(RuleBasedStateMachine):
    """A catalogue; each update survives, for there is nothing to close."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.catalogue = Catalogue.create(self.folder / "index", model())
        self.others = [Catalogue.open(self.folder / "index")]
        self.held: dict[str, dict[str, tuple[int, int]]] = {"here": {}, "there": {}}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @property
    def expected(self) -> dict[str, tuple[bytes, tuple[str, ...]]]:
        return {
            f"{source}/{name}": (code_of(content), (("zero", "one", "two")[label],))
            for source, items in self.held.items()
            for name, (content, label) in items.items()
        }

    @rule(source=sources, items=contents)
    def update(self, source: str, items: dict[str, tuple[int, int]]) -> None:
        before = self.held[source]
        changes = self.catalogue.update(Items(source, items), device="cpu")
        self.held[source] = items
        assert changes.unchanged == sum(
            name in before and before[name][0] == content for name, (content, _) in items.items()
        )
        assert changes.changed == sum(
            name in before and before[name][0] != content for name, (content, _) in items.items()
        )
        assert changes.added + changes.moved == len(items.keys() - before.keys())
        assert changes.removed + changes.moved == len(before.keys() - items.keys())

    @rule(source=sources)
    def remove(self, source: str) -> None:
        if self.held[source]:
            assert self.catalogue.remove(source) == len(self.held[source])
            self.held[source] = {}
        else:
            with pytest.raises(BadInput, match=r"No image in|holds no images"):
                self.catalogue.remove(source)

    @rule()
    def die_and_open_again(self) -> None:
        self.others = [self.catalogue]
        self.catalogue = Catalogue.open(self.folder / "index")

    @rule()
    def lose_the_engine(self) -> None:
        for folder in (self.folder / "index").glob("codes-*"):
            shutil.rmtree(folder)
        self.catalogue = Catalogue.open(self.folder / "index")

    @rule(content=st.integers(0, 30), k=st.integers(1, 30), label=st.sampled_from(["", "zero", "two"]))
    def search(self, content: int, k: int, label: str) -> None:
        code = np.frombuffer(code_of(content), np.uint8)
        ids = {entry.path: entry.id for entry in self.catalogue.entries(range(5000))}
        held = {ids[path]: code for path, (code, names) in self.expected.items() if label in ("", *names)}
        for catalogue in (self.catalogue, *self.others):
            if label and not held:
                with pytest.raises(BadInput, match="has the label"):
                    catalogue.search(code[None], k, labels=[label])
                continue
            (hits,) = catalogue.search(code[None], k, labels=[label] if label else [])
            assert [(hit.distance, hit.id) for hit in hits] == distances(code, held)[:k]
            assert [hit.rank for hit in hits] == list(range(1, len(hits) + 1))

    @invariant()
    def holds_what_it_should(self) -> None:
        entries = self.catalogue.entries(range(5000))
        assert {entry.path: (entry.code.tobytes(), entry.labels) for entry in entries} == self.expected
        assert len(entries) == len(self.catalogue) == len(self.expected)
        labels: dict[str, int] = {}
        for _, names in self.expected.values():
            for name in names:
                labels[name] = labels.get(name, 0) + 1
        assert self.catalogue.labels() == labels


@pytest.mark.campaign
@pytest.mark.parametrize("machine", [Engine, Index], ids=["engine", "catalogue"])
def test_any_row_of_changes_leaves_what_a_dictionary_would_hold(
    machine: Callable[[], RuleBasedStateMachine],
) -> None:
    examples = int(seconds(SHORT_EXAMPLES) * EXAMPLES_A_SECOND) if is_long() else SHORT_EXAMPLES
    run = settings(
        max_examples=examples, stateful_step_count=STEPS, deadline=None, database=None, print_blob=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    seeded = hypothesis.seed(seed())(type(machine.__name__, (machine,), {}))  # type: ignore[attr-defined]
    run_state_machine_as_test(seeded, settings=run)
    print(f"{machine.__name__}: {examples} rows of up to {STEPS} steps, seed {seed()}")  # type: ignore[attr-defined]
