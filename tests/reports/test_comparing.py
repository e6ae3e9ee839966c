"""Comparing methods: what is trained on and searched, runs that are kept, and what the tables claim."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hashlens as hl
import processes
from hashlens.metrics import Report
from hashlens.reports.compared import Compared, Row, Run
from hashlens.reports.compared_sides import Division
from hashlens.sources import FeatureArray
from hashlens.training import FitOptions
from refusals import is_one_sentence

QUICK = FitOptions(epochs=2, device="cpu")
NAMES = [f"class {number}" for number in range(4)]


def features(count: int, seed: int = 0, name: str = "mine") -> FeatureArray:
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    values = np.eye(4, 16)[labels] + 0.5 * random.normal(size=(count, 16))
    return FeatureArray(name, values.astype(np.float32), labels, NAMES)


def compare(folder: Path, methods=("orthohash", "itq"), **arguments) -> Compared:
    given = {"bits": [8], "seeds": [0, 1], "queries": features(20, 1, "asked"), "options": QUICK}
    return hl.compare(features(80), methods, folder, **(given | arguments))


def keys(source) -> set[str]:
    return {source.key(item) for item in range(len(source))}


def test_a_run_is_what_fit_and_evaluate_give(tmp_path: Path) -> None:
    found = compare(tmp_path, hidden_layers=[(), (8,)])
    train, asked = features(80), features(20, 1)
    for layers in ((), (8,)):
        model = hl.fit(train, "orthohash", 8, hidden_layers=layers, epochs=2, seed=1, device="cpu")
        report = hl.evaluate(model.encode(asked), asked.labels, model.encode(train), train.labels)
        (run,) = (run for run in found.cell(Row("orthohash", layers), 8) if run.content["seed"] == 1)
        assert run.report.figures == report.figures
        assert run.report.per_query["mAP@all"].tolist() == report.per_query["mAP@all"].tolist()
    assert len(found.runs) == 2 * (2 + 1)  # hidden layers do nothing for itq
    assert [found.name(row) for row in found.rows] == ["orthohash, linear", "orthohash, 8", "itq"]


def test_the_features_stand_at_every_code_length(tmp_path: Path) -> None:
    found = compare(tmp_path, ["features", "itq"], bits=[8, 12], seeds=[0])
    assert len(found.runs) == 1 + 2
    assert found.mean("features", 8, "mAP@all") == found.mean("features", 12, "mAP@all")
    texts = found.tables()["mAP@all"].rows[0]
    assert texts[0] == "features" and texts[1] == texts[2]


def test_codes_rank_before_they_are_rounded_by_another_distance(tmp_path: Path) -> None:
    found = compare(tmp_path, ["cross-entropy", "shrewd:classification_weight=0", "features"],
                    seeds=[1], distance="cosine", taxonomy=1 - np.eye(4))  # fmt: skip
    train, asked = features(80), features(20, 1)
    model = hl.fit(train, "cross-entropy", 8, epochs=2, seed=1, device="cpu")
    codes = model.continuous_codes(asked), asked.labels, model.continuous_codes(train), train.labels
    assert found.mean("cross-entropy", 8, "mAP@all") == hl.evaluate(*codes, distance="cosine")["mAP@all"]
    shrewd = hl.methods.SHREWD(classification_weight=0)
    model = hl.fit(train, shrewd, 8, epochs=2, seed=1, device="cpu", taxonomy=1 - np.eye(4))
    codes = model.continuous_codes(asked) - 0.5, asked.labels, model.continuous_codes(train) - 0.5, train.labels
    wanted = hl.evaluate(*codes, distance="cosine")["mAP@all"]
    assert found.mean("shrewd:classification_weight=0", 8, "mAP@all") == wanted
    by_cosine = hl.evaluate(asked.features(), asked.labels, train.features(), train.labels, distance="cosine")
    assert found.mean("features", 8, "mAP@all") == by_cosine["mAP@all"]
    found = compare(tmp_path / "l2", ["itq", "features"], seeds=[0], distance="l2")
    by_l2 = hl.evaluate(asked.features(), asked.labels, train.features(), train.labels, distance="l2")
    assert found.mean("features", 8, "mAP@all") == by_l2["mAP@all"]


def test_codes_of_an_image_and_its_mirror_image_are_compared_too(tmp_path: Path) -> None:
    digits = hl.open_source("digits")
    train, asked = digits.select(range(60)), digits.select(range(60, 80))
    given = {"image_size": 32, "device": "cpu", "mirror": True}
    found = hl.compare(
        train, ["orthohash", "itq"], tmp_path, bits=[8], seeds=[1], queries=asked,
        options=FitOptions(views=2, epochs=2, **given),
    )  # fmt: skip
    for method, own in (("orthohash", {"views": 2, "epochs": 2, "finetune": False}), ("itq", {})):
        model = hl.fit(train, method, 8, seed=1, **given, **own)
        report = hl.evaluate(model.encode(asked), asked.labels, model.encode(train), train.labels, bits=8)
        assert found.mean(method, 8, "mAP@all") == report["mAP@all"]


def test_only_missing_runs_are_done_and_more_can_be_added(tmp_path: Path) -> None:
    compare(tmp_path)
    runs = tmp_path / "runs"
    before = {path.name: path.stat().st_mtime_ns for path in runs.iterdir()}
    gone = sorted(before)[0]
    (runs / gone).unlink()
    again = compare(tmp_path, ["orthohash", "itq", "lsh"], seeds=[0, 1, 2])
    after = {path.name: path.stat().st_mtime_ns for path in runs.iterdir()}
    assert {name for name in before if after[name] != before[name]} == {gone}
    assert len(after) == len(again.runs) == 9
    whole = compare(tmp_path / "at once", ["orthohash", "itq", "lsh"], seeds=[0, 1, 2])
    assert again.to_markdown() == whole.to_markdown()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"train_per_class": 5}, r": train per class: not given there, 5 now; use"),
        ({"at": (5,)}, r": depths: .*all there, 5 now; use"),
        ({"options": FitOptions(epochs=3, device="cpu")}, r": epochs: \d+ there, 3 now; use another folder"),
        ({"queries": features(20, 1, "others")}, r": queries: asked there, others now; use"),
        ({"taxonomy": 1 - np.eye(4), "at": (100, 1000, None)}, "taxonomy: none there, another now"),
        ({"queries": features(24, 1, "asked")}, "other images"),
        ({"distance": "l2"}, "distance"),
        ({"methods": {"orthohash": "csq", "itq": "itq"}}, "other parameters"),
    ],
)
def test_a_folder_of_another_comparison_is_refused(tmp_path: Path, changed: dict, named: str) -> None:
    compare(tmp_path)
    with pytest.raises(hl.BadInput, match=named) as error:
        compare(tmp_path, **changed)
    assert is_one_sentence(error)


def test_damaged_runs_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    compare(tmp_path)
    for path in sorted((tmp_path / "runs").iterdir())[:2]:
        content = path.read_bytes()
        for bad in (content[: len(content) // 2], b"", b"\x80\x04K\x01."):
            path.write_bytes(bad)
            with pytest.raises(hl.BadInput, match="remove it"):
                compare(tmp_path)
        path.write_bytes(content)
    (tmp_path / "comparison.json").write_text("[]")
    with pytest.raises(hl.BadInput, match="damaged"):
        compare(tmp_path)
    (tmp_path / "comparison.json").unlink()
    with pytest.raises(hl.BadInput, match="says of what"):
        compare(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"methods": []}, "at least one method"),
        ({"methods": ["itq", "itq"]}, "twice"),
        ({"methods": ["orthohsh"]}, "orthohsh"),
        ({"methods": ["orthohash:margin"]}, "margin"),
        ({"methods": ["orthohash:spin=1"]}, "spin"),
        ({"methods": ["hashlens"], "options": FitOptions(paper=True)}, "paper"),
        ({"methods": ["hashlens-taxonomy"]}, "taxonomy"),
        ({"bits": [3]}, "3"),
        ({"distance": "l3"}, "l3"),
        ({"bits": []}, "code length"),
        ({"seeds": [-1]}, "-1"),
        ({"seeds": [0, 0]}, "twice"),
        ({"baseline": "csq"}, "csq"),
        ({"figures": ["mAP@7"]}, "mAP@7"),
        ({"options": FitOptions(bits=8)}, "all runs"),
        ({"queries": None}, "queries"),
        ({"leave_one_out": True}, "leave-one-out"),
        ({"exclude_training": True, "database": features(40, 2)}, "stands in the database"),
        ({"unseen_classes": 3}, "two must stay"),
        ({"train_per_class": 0}, "per class"),
        ({"queries": None, "queries_per_class": 30}, "too few"),
        ({"queries_per_class": 3}, "drawn"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(tmp_path: Path, arguments: dict, named: str) -> None:
    with pytest.raises(hl.BadInput, match=named) as error:
        compare(tmp_path, **arguments)
    assert is_one_sentence(error)


@pytest.mark.parametrize("distance", ["hamming", "cosine"])
@pytest.mark.parametrize("whole", [False, True])
def test_a_slip_in_a_figure_is_told_before_anything_is_trained(tmp_path: Path, distance: str, whole: bool) -> None:
    arguments = {"distance": distance, "leave_one_out": whole, **({"queries": None} if whole else {})}
    with pytest.raises(hl.BadInput, match=r"no figure 'foo@1'; use one of .*mAP@100"):
        compare(tmp_path, figures=["mAP@all", "foo@1"], **arguments)
    assert not list((tmp_path / "runs").iterdir())
    found = compare(tmp_path, figures=["mAP@all", "precision@100"], seeds=[0], **arguments)
    assert found.figures == ["mAP@all", "precision@100"]


def test_training_images_are_drawn_by_the_seed_and_may_be_excluded() -> None:
    source, asked = features(80), features(8, 1, "asked")
    inside = Division(train_per_class=5).sides_of(source, asked, None, [0, 1])
    outside = Division(train_per_class=5, exclude_training=True).sides_of(source, asked, None, [0, 1])
    for seed in (0, 1):
        train = keys(inside[seed].train)
        assert np.bincount(inside[seed].train.labels).tolist() == [5] * 4
        assert train < keys(inside[seed].database) == keys(source)
        assert keys(outside[seed].train) == train
        assert keys(outside[seed].database) == keys(source) - train
        assert keys(inside[seed].queries) == keys(asked)
    assert keys(inside[0].train) != keys(inside[1].train)


def test_queries_of_each_class_are_drawn_as_the_protocol_does(cifar: None) -> None:
    by_name = Division().sides_of("cifar10-i", None, None, [0, 3])
    drawn = Division(queries_per_class=100).sides_of("cifar10", None, None, [0, 3])
    for seed in (0, 3):
        assert keys(by_name[seed].train) == keys(hl.open_source(f"cifar10-i:train@{seed}"))
        for side in ("queries", "database"):
            assert keys(getattr(by_name[seed], side)) == keys(hl.open_source(f"cifar10-i:{side}@{seed}"))
            assert keys(getattr(by_name[seed], side)) == keys(getattr(drawn[seed], side))
        assert keys(drawn[seed].train) == keys(drawn[seed].database)


def test_unseen_classes_are_searched_and_the_others_trained_on() -> None:
    sides = Division(unseen_classes=2).sides_of(features(80), features(20, 1), None, [0])[0]
    trained = {sides.train.label_names(item)[0] for item in range(len(sides.train))}
    assert trained == set(sides.train.class_names) and len(trained) == 2
    for side in (sides.queries, sides.database):
        assert {side.label_names(item)[0] for item in range(len(side))} == set(NAMES) - trained


def test_sides_that_name_classes_otherwise_are_numbered_alike() -> None:
    train = FeatureArray("a", np.eye(4, dtype=np.float32), ["dog", "cat", "dog", ""])
    asked = FeatureArray("b", np.eye(4, dtype=np.float32)[:2], ["owl", "dog"])
    searched = FeatureArray("c", np.eye(4, dtype=np.float32), [[1, 0], [1, 1], [0, 1], [0, 0]], ["cat", "ant"])
    sides = Division().sides_of(train, asked, searched, [0])[0]
    assert sides.train.class_names == ("cat", "dog")
    assert [[*map(sides.train.label_names, range(4))], [*map(sides.queries.label_names, range(2))]] == [
        [["dog"], ["cat"], ["dog"], []],
        [["owl"], ["dog"]],
    ]
    assert [*map(sides.database.label_names, range(4))] == [["cat"], ["cat", "ant"], ["ant"], []]
    assert sides.queries.class_names == sides.database.class_names
    single = Division(leave_one_out=True).sides_of(train, None, None, [0])[0]
    assert single.queries is single.database and single.queries.label_names(0) == ["dog"]


def run(method: str, seed: int, scores, asked: str = "same", bits: int = 16) -> Run:
    values = np.array(scores, np.float64)
    content = {"method": method, "bits": bits, "hidden_layers": None, "seed": seed, "asked": asked, "seconds": 1.0}
    content |= {"train": 9, "queries": len(values), "database": 9, "precision_recall": None}
    return Run(content, Report({"mAP@all": float(values.mean())}, {"mAP@all": values}))


def effect(runs: list[Run]):
    found = Compared(runs, ["ours", "theirs"], [16], baseline="theirs")
    return found, found.effects[Row("ours", None), 16, "mAP@all"]


def test_a_difference_counts_only_beyond_both_spreads() -> None:
    random = np.random.default_rng(0)
    base = random.random((2, 200))
    clear, one = effect([run("ours", seed, base[seed] + 0.1) for seed in (0, 1)]
                        + [run("theirs", seed, base[seed]) for seed in (0, 1)])  # fmt: skip
    assert one.is_clear and one.spread == pytest.approx(0) and one.difference.mean == pytest.approx(0.1)
    assert not any("no conclusion" in sentence for sentence in clear.sentences)
    assert clear.leaders == {(Row("ours", None), 16, "mAP@all")}
    by_seed, one = effect([run("ours", seed, base[seed] + gain) for seed, gain in ((0, 0.2), (1, 0.0))]
                          + [run("theirs", seed, base[seed]) for seed in (0, 1)])  # fmt: skip
    assert one.difference.low > 0 and not one.is_clear  # all queries gain, but half of the seeds do not
    assert any("no conclusion" in sentence for sentence in by_seed.sentences)
    assert len(by_seed.leaders) == 2
    noise = random.normal(0, 1, 200)
    _, one = effect([run("ours", 0, base[0] + noise - noise.mean() + 0.01), run("theirs", 0, base[0])])
    assert one.spread == 0 and one.difference.low < 0 < one.difference.high and not one.is_clear


def test_the_bootstrap_pairs_queries_and_counts_those_of_all_seeds_once() -> None:
    random = np.random.default_rng(1)
    base, gains = random.random((2, 50)), random.normal(0.05, 0.1, (2, 50))
    for asked, expected in (
        (("same", "same"), (gains.mean(0))),
        (("first", "second"), gains.reshape(-1)),
    ):
        _, one = effect([run("ours", seed, base[seed] + gains[seed], asked[seed]) for seed in (0, 1)]
                        + [run("theirs", seed, base[seed], asked[seed]) for seed in (0, 1)])  # fmt: skip
        slow = np.random.default_rng(0)
        means = [slow.choice(expected, len(expected)).mean() for _ in range(4000)]
        assert one.difference.mean == pytest.approx(expected.mean())
        assert one.difference.low == pytest.approx(np.quantile(means, 0.025), abs=0.004)
        assert one.difference.high == pytest.approx(np.quantile(means, 0.975), abs=0.004)
        assert one.spread == pytest.approx(np.std(gains.mean(1), ddof=1))


def test_tables_say_mean_and_deviation() -> None:
    runs = [run("ours_a", seed, [value]) for seed, value in enumerate((0.2, 0.3, 0.4))] + [run("theirs", 0, [0.1])]
    found = Compared(runs, ["ours_a", "theirs"], [16])
    assert found.mean("ours_a", 16, "mAP@all") == pytest.approx(0.3)
    assert "| ours_a | **0.300 ± 0.100** |" in found.to_markdown()
    assert r"ours\_a & $\mathbf{0.300 \pm 0.100}$ \\" in found.to_latex()
    first, second = csv.DictReader(io.StringIO(found.to_csv()))
    assert float(first["mean"]) == pytest.approx(0.3) and float(first["standard_deviation"]) == pytest.approx(0.1)
    assert second["baseline"] == "ours_a" and float(second["difference"]) == pytest.approx(-0.1)


def test_of_one_code_length_a_table_has_all_figures(tmp_path: Path) -> None:
    found = compare(tmp_path, ["orthohash", "itq"], figures=["mAP@all", "precision@100"])
    (title, table), *others = found.tables().items()
    assert (title, table.columns, others) == ("8 bits", ("method", "mAP@all", "precision@100"), [])
    values = [found.values(Row("itq", None), 8, "precision@100")[seed] for seed in (0, 1)]
    assert table.rows[1][2] == f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    assert "| method | mAP@all | precision@100 |" in found.to_markdown()
    assert r"method & mAP@all & precision@100 \\" in found.to_latex()
    several = compare(tmp_path, ["orthohash", "itq"], bits=[8, 12], figures=["mAP@all"]).tables()
    assert several["mAP@all"].columns == ("method", "8 bits", "12 bits")


def test_the_plots_are_pictures(tmp_path: Path) -> None:
    compare(tmp_path, ["orthohash", "itq", "features"], taxonomy=1 - np.eye(4))
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {f"{name}.png" for name in (
        *("mAP_at_100", "mAP_at_250", "mAP_at_1000", "mAP_at_all", "mAHP_at_100", "mAHP_at_250", "mAHP_at_1000"),
        *("mAHP_at_all", "precision_recall"),
    )}  # fmt: skip
    for name in pictures:
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 5


def test_the_command_line_compares_images(tmp_path: Path) -> None:
    command = ["compare", "digits",
               "--methods", "orthohash:margin=0.3,pca-signs,features",
               "--bits", "8,16", "--seeds", "0", "--queries-per-class", "10", "--train-per-class", "10",
               "--image-size", "32", "--epochs", "1", "--baseline", "pca-signs",
               "--device", "cpu", "-o", str(tmp_path / "found")]  # fmt: skip
    done = processes.hashlens(*command)
    assert done.returncode == 0, done.stderr
    assert "mAP@1000" in done.stdout and "With one seed" in done.stdout
    assert {"table.csv", "table.md", "table.tex", "mAP_at_all.png", "precision_recall.png"} <= {
        path.name for path in (tmp_path / "found").iterdir()
    }
    refused = processes.hashlens("compare", "digits", "--methods", "itq", "--bits", "x", "-o", tmp_path)
    assert refused.returncode == 2 and "'x' is no code length" in refused.stderr
