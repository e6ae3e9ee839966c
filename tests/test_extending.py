"""Every block of code in docs/extending.md, as somebody outside the package runs it, and what it adds is right."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain, permutations, product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import timm.models._registry
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

import hashlens as hl
from hashlens.metrics.tables import figure_tables
from hashlens.models import HASH_LAYERS, HashModel, HashNetwork, HiddenLayers
from hashlens.registry import Registry
from hashlens.sources import FeatureArray
from hashlens.sources.locations import Locations
from refusals import is_one_sentence, wrong_requests

pytestmark = pytest.mark.usefixtures("one_thread")

PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FILES = {name: block for block in BLOCKS for name in re.findall(r"\A# (\w+)\.py\n", block)}
USES = {re.findall(r"^import (\w+)$", block, re.MULTILINE)[-1]: block for block in BLOCKS if block[0] != "#"}
REGISTRIES: tuple[Registry[Any], ...] = (
    hl.sources.OPENERS,
    hl.objectives.OBJECTIVES,
    hl.methods.METHODS,
    hl.centres.GENERATORS,
    hl.engines.ENGINES,
    hl.metrics.METRICS,
    hl.cli.VERBS,
)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files of the page, to import from; what they register is taken out again."""
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hashlens.backbones.backbone.native_image_size", lambda _: 32)  # a fraction of the time
    before = [set(registry) for registry in REGISTRIES]
    yield tmp_path
    for registry, names in zip(REGISTRIES, before, strict=True):
        for name in set(registry) - names:
            registry.remove(name)
    for name in FILES:
        sys.modules.pop(name, None)
        timm.models._registry._model_entrypoints.pop(name, None)


def added(name: str) -> ModuleType:
    return importlib.import_module(name)


def digits(part: slice) -> FeatureArray:
    data = load_digits()
    return FeatureArray("digits", (data.data[part] / 16).astype(np.float32), data.target[part])


def test_every_section_has_a_file_and_every_use_is_of_one() -> None:
    assert set(USES) == set(FILES) - {"label_counts"}  # the verb is used on the command line
    for section in re.findall(r"\]\(#([\w-]+)\)", PAGE):
        assert f"\n## {section.replace('-', ' ').capitalize()}\n" in PAGE
    for room, test in re.findall(r"`(\w+/)` \| `(tests/[\w/]+\.py)`", PAGE):
        assert (Path(hl.__file__).parent / room).is_dir()
        assert (Path(__file__).parents[1] / test).is_file()


@pytest.mark.parametrize("name", FILES)
def test_importing_a_file_adds_what_it_is_named_for_and_warns_of_nothing(
    name: str, outside: Path, recwarn: pytest.WarningsRecorder
) -> None:
    before = sum(map(len, REGISTRIES))
    added(name)
    assert sum(map(len, REGISTRIES)) > before or timm.is_model(name)
    assert not recwarn.list


@pytest.mark.parametrize("name", USES)
def test_the_uses_run(name: str, outside: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(USES[name], f"the use of {name}", "exec"), names)
    if "model" in names:
        assert names["model"].encode("digits:test").dtype == np.uint8


class TestSource:
    def test_it_is_opened_by_what_a_user_writes(self, outside: Path) -> None:
        added("stripes")
        train, test = hl.open_source("stripes:30:train"), hl.open_source("stripes:30", split="test")
        assert (len(train), train.class_names) == (30, ("across", "along", "slanting"))
        assert train.image(3).size == (48, 48)
        assert (train.read(0) != test.read(0)).any()
        again, item = Locations().find(train.location(7))
        np.testing.assert_array_equal(train.read(7), again.read(item))
        assert train.fingerprint(1) != test.fingerprint(1)
        with pytest.raises(hl.BadInput, match="stripes:COUNT"):
            hl.open_source("stripes:many")

    def test_it_trains_and_is_encoded_and_searched(self, outside: Path) -> None:
        added("stripes")
        train, test = hl.open_source("stripes:150:train"), hl.open_source("stripes:60:test")
        model = hl.fit(train, "orthohash", bits=16, epochs=10, device="cpu")
        report = hl.evaluate(model.encode(test), test.labels, model.encode(train), train.labels)
        assert report["mAP@all"] > 0.8
        catalogue = hl.Catalogue.create("index", model)
        assert catalogue.update(train).added == 150
        assert catalogue.update(hl.open_source("stripes:150:train")).unchanged == 150
        assert catalogue.search(model.encode(train.select([4])), k=1)[0][0].distance == 0

    def test_the_command_line_knows_it(self, outside: Path) -> None:
        words = "fit stripes:60:train -o model --bits 8 --epochs 1 --image-size 32"
        done = command(outside, "stripes.py", *words.split())
        assert done.returncode == 0, done.stderr
        assert HashModel.load(outside / "model").class_names == ("across", "along", "slanting")


class TestObjective:
    def test_its_slope_grows_from_epoch_to_epoch(self, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        loss = added("steep_pairs").SteepPairs
        slopes = []
        forward = loss.forward
        monkeypatch.setattr(
            loss, "forward", lambda self, *given: slopes.append(self.slope) or forward(self, *given)
        )
        hl.fit(digits(slice(300)), "steep-pairs", bits=16, epochs=4, device="cpu")
        assert list(dict.fromkeys(slopes)) == [1, 3.25, 5.5, 7.75]

    @pytest.mark.parametrize("several", [False, True], ids=["classes", "label sets"])
    def test_it_costs_what_its_definition_says(self, outside: Path, several: bool) -> None:
        objective = added("steep_pairs").SteepPairs(bits=5)
        objective.on_epoch(0.5)
        random = np.random.default_rng(0)
        codes = random.normal(size=(7, 5))
        labels = random.integers(0, 2, (7, 3)) if several else np.array([0, 1, -1, 0, 2, -1, 1])
        losses = []
        for one, other in permutations(range(7), 2):
            if several:
                alike = bool(set(np.flatnonzero(labels[one])) & set(np.flatnonzero(labels[other])))
            else:
                alike = labels[one] == labels[other] != -1
            likely = 1 / (1 + np.exp(-8 / 5 * (np.tanh(5.5 * codes[one]) @ np.tanh(5.5 * codes[other]))))
            losses.append((alike, -np.log(likely if alike else 1 - likely)))
        share = np.mean([alike for alike, _ in losses])
        wanted = np.mean([cost / (share if alike else 1 - share) for alike, cost in losses])
        found = objective(torch.from_numpy(codes), torch.from_numpy(labels))
        assert found.item() == pytest.approx(wanted)

    @pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2], [-1, -1, -1]])
    def test_a_batch_of_one_kind_of_pairs_has_a_finite_cost(self, outside: Path, labels: list[int]) -> None:
        objective = added("steep_pairs").SteepPairs(bits=8)
        codes = torch.randn(3, 8, requires_grad=True)
        objective(codes, torch.tensor(labels)).backward()
        assert codes.grad is not None and codes.grad.isfinite().all()

    def test_training_with_it_beats_an_untrained_model(self, outside: Path) -> None:
        added("steep_pairs")
        train, test = digits(slice(1437)), digits(slice(1437, None))
        torch.manual_seed(0)
        network = HashNetwork(None, HiddenLayers(64, ()), HASH_LAYERS["batch-norm"](64, 32))
        untrained = HashModel(network, 32, "batch-norm", {"name": "none", "parameters": {}}, train.class_names)
        trained = hl.fit(train, "steep-pairs", bits=32, epochs=10, device="cpu")
        assert trained.method["parameters"]["objective"] == "steep-pairs"
        before, after = (
            hl.metrics.mean_average_precision(model.encode(test), test.labels, model.encode(train), train.labels)
            for model in (untrained, trained)
        )
        assert before < 0.6 < 0.8 < after

    def test_a_user_may_set_its_slope(self, outside: Path) -> None:
        added("steep_pairs")
        method = hl.methods.configure(hl.methods.METHODS["steep-pairs"], {"largest_slope": "3"})
        assert method.objective_for(hl.objectives.Problem(bits=8, classes=2)).largest_slope == 3


class TestMethod:
    def test_its_loss_is_the_sum_of_its_terms(self, outside: Path) -> None:
        method = added("two_terms").TwoTerms(margin=0.2, weight=0.5)
        problem = hl.objectives.Problem(16, 3, codebook=method.codebook(3, 16, seed=0))
        objective = method.objective_for(problem)
        codes, targets = torch.randn(6, 16), torch.tensor([0, 1, 2, 2, 1, -1])
        first, second = objective.objectives
        assert objective(codes, targets).item() == pytest.approx(
            (first(codes, targets) + 0.5 * second(codes, targets)).item()
        )
        assert first.margin == 0.2

    def test_it_is_trained_with_its_settings_and_parameters(self, outside: Path) -> None:
        added("two_terms")
        method = hl.methods.configure(hl.methods.METHODS["two-terms-hadamard"], {"weight": "1"})
        model = hl.fit(digits(slice(600)), method, bits=16, epochs=3, device="cpu")
        assert model.method["parameters"] | {"weight": 1.0, "centres": "hadamard"} == model.method["parameters"]
        with pytest.raises(hl.BadInput, match=r"its parameters are .*margin, weight"):
            hl.methods.configure(method, {"mass": "1"})
        with pytest.raises(hl.BadInput) as refusal:
            hl.fit(digits(slice(600)), method, bits=16, paper=True, device="cpu")
        assert is_one_sentence(refusal)


class TestCentreGenerator:
    def test_it_is_the_best_of_ten_and_the_seed_decides(self, outside: Path) -> None:
        added("best_of_ten")
        for classes, bits in [(1, 8), (2, 8), (10, 33), (100, 16)]:
            codebook = hl.centres.make_codebook("best-of-ten", classes, bits, seed=3)
            np.testing.assert_array_equal(codebook, hl.centres.make_codebook("best-of-ten", classes, bits, seed=3))
            if classes > 1:
                drawn = [hl.centres.bernoulli(classes, bits, 30 + number) for number in range(10)]
                best = max(map(hl.centres.minimum_distance, drawn))
                assert hl.centres.minimum_distance(codebook) == best

    def test_what_does_not_exist_is_refused(self, outside: Path) -> None:
        added("best_of_ten")
        with pytest.raises(hl.BadInput, match="too few for 257 classes"):
            hl.centres.make_codebook("best-of-ten", 257, 8)


class TestBackbone:
    def test_it_computes_what_it_says_and_a_model_of_it_is_loaded_again(self, outside: Path) -> None:
        added("colour_grid")
        pixels = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), np.uint8)
        backbone = hl.backbones.load_backbone("colour_grid", image_size=32)  # type: ignore[attr-defined]
        found = hl.backbones.extract_features(hl.sources.as_source(pixels), backbone)  # type: ignore[attr-defined]
        mean, std = np.array(backbone.preprocessing.mean), np.array(backbone.preprocessing.std)
        means = pixels.reshape(20, 8, 4, 8, 4, 3).mean((2, 4))
        wanted = ((means / 255 - mean) / std).transpose(0, 3, 1, 2).reshape(20, -1)
        np.testing.assert_allclose(found.values, wanted, atol=1e-5)
        source = hl.sources.ImageArray("noise", pixels, np.arange(20) % 2)
        model = hl.fit(source, bits=8, backbone="colour_grid", image_size=32, epochs=1, device="cpu")
        model.save("model")
        np.testing.assert_array_equal(HashModel.load("model").encode(pixels), model.encode(pixels))


class TestEngine:
    @pytest.mark.parametrize("bits", [8, 13, 64, 130])
    def test_it_answers_as_ours_does(self, outside: Path, bits: int) -> None:
        added("numpy_engine")
        random = np.random.default_rng(bits)

        def some_codes(count: int) -> NDArray[np.uint8]:
            few = random.choice(np.array([-1, 1], np.int8), (12, bits))  # so that there are ties
            flips = np.where(random.random((count, bits)) < 0.1, -1, 1)
            return hl.codes.pack(few[random.integers(12, size=count)] * flips)

        engine = hl.engines.open("numpy:codes.npz", bits)
        ours = hl.HammingIndex.build(np.empty((0, hl.codes.pack(np.empty(bits)).size), np.uint8), bits)
        ids = random.permutation(1000)
        for change in range(6):
            new = ids[: random.integers(0, 120)] if change % 2 else ids[100 * change : 100 * change + 90]
            codes = some_codes(len(new))
            assert engine.add(codes, new).tolist() == ours.add(codes, new).tolist() == new.tolist()
            gone = random.permutation(ours.ids)[: len(ours) // 5]
            engine.remove(gone)
            ours.remove(gone)
            if change == 3:
                engine.flush()
                engine = hl.engines.open("numpy:codes.npz")
            assert (len(engine), engine.bits) == (len(ours), bits)
            assert engine.contains(np.arange(1000)).tolist() == ours.contains(np.arange(1000)).tolist()
            queries = some_codes(5)
            for allow in (None, random.permutation(ours.ids)[:40], ours.ids[:0]):
                for k in (1, 10, 2000):
                    for mine, theirs in zip(
                        ours.search(queries, k, allow), engine.search(queries, k, allow), strict=True
                    ):
                        assert mine.dtype == theirs.dtype
                        np.testing.assert_array_equal(theirs, mine)
                near, theirs_near = ours.within(queries, bits // 3, allow), engine.within(queries, bits // 3, allow)
                for mine, theirs in zip(chain(*near), chain(*theirs_near), strict=True):
                    assert mine.dtype == theirs.dtype
                    np.testing.assert_array_equal(theirs, mine)

    def test_wrong_requests_are_refused_and_change_nothing(self, outside: Path) -> None:
        added("numpy_engine")
        engine = hl.engines.open("numpy:codes.npz", 16)
        engine.add(np.zeros((3, 2), np.uint8), [5, 7, 9])
        for ask in (*wrong_requests(engine), lambda: hl.engines.open("numpy:nothing.npz")):
            with pytest.raises(hl.BadInput) as refusal:
                ask()
            assert is_one_sentence(refusal)
        assert engine.contains([1, 5, 6, 7, 9]).tolist() == [False, True, False, True, True]

    def test_a_catalogue_answers_with_it_as_with_ours(self, outside: Path) -> None:
        added("numpy_engine")
        source = digits(slice(400))
        model = hl.fit(source, bits=16, epochs=2, device="cpu")
        two = [hl.Catalogue.create("ours", model), hl.Catalogue.create("theirs", model, engine="numpy:images.npz")]

        def check() -> None:
            asked = model.encode(digits(slice(400, 420)))
            for labels in ((), ("3", "8")):
                assert two[0].search(asked, 30, labels) == two[1].search(asked, 30, labels)
            paths = [hit.path for hit in two[0].search(asked[:1], 4)[0]]
            assert two[0].search_paths(paths, 5) == two[1].search_paths(paths, 5)

        for numbers in (np.arange(300), np.arange(400), np.arange(50, 400, 3)):
            changes = [catalogue.update(source.select(numbers)) for catalogue in two]
            assert changes[0] == changes[1]
            assert [len(catalogue) for catalogue in two] == [len(numbers)] * 2
            check()
        two[1] = hl.Catalogue.open("theirs")  # as another program does
        assert type(two[1].engine()).__name__ == "NumpyEngine"
        check()
        (outside / "images.npz").unlink()  # the catalogue has all codes too
        two[1] = hl.Catalogue.open("theirs")
        check()


class TestMetric:
    @pytest.mark.parametrize(
        ("totals", "relevants"),
        [
            ([2, 0, 3, 1, 0], [1, 0, 2, 0, 0]),
            ([0, 1, 1, 4, 1], [0, 1, 0, 3, 1]),
            ([0, 0, 0, 5, 2], [0, 0, 0, 0, 0]),
            ([1, 2, 2, 0, 2], [1, 2, 2, 0, 2]),
            ([0, 0, 3, 3, 0], [0, 0, 1, 0, 0]),
            ([0, 4, 0, 3, 0], [0, 1, 0, 3, 0]),
        ],
    )
    def test_it_is_the_mean_over_all_orders_of_ties(
        self, outside: Path, totals: list[int], relevants: list[int]
    ) -> None:
        function = added("r_precision").r_precision
        groups = [[1] * hits + [0] * (size - hits) for size, hits in zip(totals, relevants, strict=True)]
        every, scores = sum(relevants), []
        for order in product(*(permutations(group) for group in groups)):
            ranking = list(chain(*order))
            scores.append(sum(ranking[:every]) / every if every else 0)
        found = function(np.array(totals), np.array(relevants), sum(totals))
        assert found == pytest.approx(np.mean(scores))

    def test_it_is_in_reports_on_the_terminal_and_on_the_page(self, outside: Path, capsys) -> None:
        added("r_precision")
        random = np.random.default_rng(0)
        codes, labels = random.integers(0, 256, (60, 1), np.uint8), random.integers(0, 3, 60)
        report = hl.evaluate(codes[:20], labels[:20], codes[20:], labels[20:])
        assert report.per_query["R-precision"].shape == (20,)
        assert report["R-precision"] == pytest.approx(report.per_query["R-precision"].mean())
        assert "R-precision," in report.to_csv()
        (plain,) = (table for table in figure_tables(report) if table.columns[0] == "figure")
        assert ("R-precision", f"{report['R-precision']:.4f}") in plain.rows
        assert plain.meanings["R-precision"].startswith("share of relevant items among the first R")
        hl.cli.tables.print_metrics(report)  # type: ignore[attr-defined]
        assert "R-precision" in capsys.readouterr().out


class TestVerb:
    def test_the_command_line_finds_and_runs_it(self, outside: Path) -> None:
        source = FeatureArray(
            "mine", np.random.default_rng(0).normal(size=(30, 8)), np.arange(30) % 4 % 3, ["x", "y", "z"]
        )
        hl.Catalogue.create("index", hl.fit(source, bits=8, epochs=1, device="cpu")).update(source)
        done = command(outside, "label_counts.py", "label-counts", "index")
        assert (done.returncode, done.stderr) == (0, "")
        assert [line.split() for line in done.stdout.splitlines()] == [["15", "x"], ["8", "y"], ["7", "z"]]

    def test_it_refuses_in_a_sentence_and_is_in_the_help(self, outside: Path) -> None:
        done = command(outside, "label_counts.py", "label-counts", "nothing")
        assert done.returncode == 2
        assert done.stderr == "hashlens: There is no index at nothing; make one with hashlens index.\n"
        assert "label-counts" in command(outside, "label_counts.py", "--help").stdout
        assert "label-counts" not in command(outside, "", "--help").stdout

    def test_several_files_at_once_and_one_that_fails(self, outside: Path) -> None:
        several = os.pathsep.join(["label_counts.py", "stripes.py", "numpy_engine"])
        assert command(outside, several, "label-counts", "--help").returncode == 0
        (outside / "broken.py").write_text("1 / 0\n")
        done = command(outside, "broken.py", "--help")
        assert done.returncode == 2
        assert "The plugin 'broken.py' in HASHLENS_PLUGINS cannot be loaded (ZeroDivisionError" in done.stderr


def command(folder: Path, plugins: str, *words: str) -> subprocess.CompletedProcess[str]:
    """What the command line says in a process of its own."""
    environment = {**os.environ, "HASHLENS_PLUGINS": plugins, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "hashlens", *words], cwd=folder, env=environment, capture_output=True, text=True
    )
