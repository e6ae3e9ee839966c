"""Every command as a user types it."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas
import pytest

import hashlens as hl
from hashlens import cli
from small_wordnet import offset, write_wordnet


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run a command in this process; returns exit status, standard output and standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hashlens", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits as class folders, for training and for testing, with files between that are no images."""
    root = tmp_path_factory.mktemp("photos")
    digits = hl.open_source("digits")
    for split, numbers in (("train", range(150)), ("test", range(150, 170))):
        for number in numbers:
            folder = root / split / digits.label_names(number)[0]
            folder.mkdir(parents=True, exist_ok=True)
            digits.image(number).save(folder / f"{number}.png")
    (root / "train" / "0" / "empty.jpg").write_bytes(b"")
    (root / "train" / "1" / "notes.jpg").write_text("buy milk")
    (root / "test" / "2" / "cut.png").write_bytes((root / "train" / "2" / "2.png").read_bytes()[:70])
    return root


FAST = ("--bits", 24, "--image-size", 32, "--epochs", 2)


@pytest.fixture(scope="module")
def model(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    hl.fit(photos / "train", bits=24, image_size=32, epochs=2, finetune=False).save(folder)
    return folder


@pytest.fixture(scope="module")
def index(photos: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexes") / "index"
    hl.Catalogue.create(folder, hl.HashModel.load(model)).update(hl.open_source(photos / "train"))
    return folder


def check_refusal(result: tuple[int, str, str], says: str) -> None:
    status, _, error = result
    assert status == 2
    last = error.strip().splitlines()[-1]
    assert last.startswith("hashlens: ")
    assert re.search(says, last)
    assert "Traceback" not in error


def test_fit_index_search(run, photos: Path, tmp_path: Path) -> None:
    model, index = tmp_path / "model", tmp_path / "index"
    status, _, error = run("fit", photos / "train", "-o", model, *FAST)
    assert status == 0
    assert "0/empty.jpg" in error
    assert "1/notes.jpg" in error
    assert "validation mAP" in error
    assert not (model / "checkpoints").exists()

    status, _, error = run("index", model, photos / "train", "-o", index)
    assert status == 0
    assert "150 added" in error
    assert "0/empty.jpg" in error
    status, _, error = run("index", model, photos / "train", "-o", index)
    assert (status, "150 unchanged" in error) == (0, True)

    query = photos / "train" / "3" / "3.png"
    status, output, _ = run("search", index, query, "-k", 4)
    assert status == 0
    assert str(query) in output
    status, output, _ = run("search", index, query, photos / "test" / "4", "-k", 4, "--json", "--no-rescore")
    answers = json.loads(output)
    assert answers[0]["query"] == str(query)
    assert len(answers) == 1 + len(list((photos / "test" / "4").iterdir()))
    for answer in answers:
        assert [hit["rank"] for hit in answer["results"]] == [1, 2, 3, 4]
        distances = [hit["distance"] for hit in answer["results"]]
        assert distances == sorted(distances)
    assert answers[0]["results"][0]["distance"] == 0


def test_same_seed_same_model(run, photos: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert run("fit", photos, "--split", "train", "-o", tmp_path / name, *FAST, "--seed", seed)[0] == 0
    prints = [hl.HashModel.load(tmp_path / name).fingerprint() for name in "abc"]
    assert prints[0] == prints[1] != prints[2]


class Links(HTMLParser):
    """Everything that a page would fetch, the frames of its results, and where they lead."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.frames: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.sources += [given[name] or "" for name in ("src", "href") if name in given and tag != "a"]
        if tag == "a":
            self.links.append(given["href"] or "")
        if tag == "img":
            assert given["alt"]
        if tag == "figure" and given.get("class"):
            self.frames.append(str(given["class"]).removeprefix("picture "))


def test_evaluate(run, photos: Path, model: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    status, output, error = run(
        "evaluate", model, "--database", f"{photos}:train", "--queries", f"{photos}:test", "-o", report,
        "--at", "5,all",
    )  # fmt: skip
    assert status == 0
    assert "2/cut.png" in error
    metrics = json.loads((report / "metrics.json").read_text())
    assert (metrics["queries"], metrics["database"], metrics["bits"]) == (20, 150, 24)
    assert f"{metrics['mAP@all']:.4f}" in output

    loaded = hl.HashModel.load(model)
    sides = []
    for split in ("test", "train"):
        source = hl.open_source(photos, split)
        with loaded.encoder() as encode:
            encoded = encode.all(source)
        names = np.array([source.label_names(int(item))[0] for item in encoded.items])
        sides += [encoded.continuous, names]
    expected = hl.evaluate(*sides, at=(5, None))
    assert {name: metrics[name] for name in expected if "@" in name} == pytest.approx(
        {name: value for name, value in expected.items() if "@" in name}
    )
    assert metrics["skipped"]["queries"] == ["2/cut.png: " + metrics["skipped"]["queries"][0].split(": ", 1)[1]]

    page = (report / "report.html").read_text().replace("<wbr>", "")
    links = Links()
    links.feed(page)
    assert links.sources
    assert all(source.startswith("data:image/") for source in links.sources)
    assert links.frames.count("query") == 16
    assert links.frames.count("relevant") + links.frames.count("irrelevant") == 160
    assert len(links.links) == 176 and all(link.startswith(photos.as_uri()) for link in links.links)
    assert f"HashLens {hl.__version__}" in page and "seed 0" in page and "hashlens evaluate" in page
    assert metrics["baselines"]["meaning"] in page and metrics["baselines"]["meaning"] in output
    assert metrics["baselines"]["figures"]["chance"]["mAP@all"] < 0.3
    by_class = list(csv.DictReader((report / "classes.csv").read_text().splitlines()))
    assert [row["class"] for row in by_class] == [row["class"] for row in metrics["classes"]]
    assert sum(int(row["queries"]) for row in by_class) == 20
    assert "cannot be read" in page or "could not be read" in page
    for plot in (
        "precision_recall",
        "precision_recall_by_rank",
        "classes",
        "precision_at_k",
        "distances",
        "bit_balance",
    ):
        assert (report / f"{plot}.png").read_bytes().startswith(b"\x89PNG")

    status, output, _ = run("evaluate", "-o", report, "--against", report)
    assert status == 0
    assert "+0.0000 … +0.0000" in output and "p, permutation" in output
    differences = {
        row["figure"]: row for row in csv.DictReader((report / "differences.csv").read_text().splitlines())
    }
    assert float(differences["mAP@all"]["this"]) == metrics["mAP@all"]
    assert float(differences["mAP@all"]["p, bootstrap"]) == float(differences["mAP@5"]["p, permutation"]) == 1


def test_export(run, photos: Path, model: Path, tmp_path: Path) -> None:
    import onnxruntime

    file = tmp_path / "new" / "model.onnx"
    status, output, error = run("export", model, "-o", file)
    assert status == 0, error
    assert re.search(r"equal bits +\d+\.\d+%", output)
    assert str(file) in error
    loaded = hl.HashModel.load(model)
    source = hl.open_source(photos / "test" / "4")
    pixels = np.stack([loaded.backbone.preprocessing(source.image(item)) for item in range(len(source))])
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    codes, _ = session.run(["codes", "continuous"], {"pixels": pixels})
    assert np.mean(np.unpackbits(codes) == np.unpackbits(loaded.encode(source))) > 0.99
    check_refusal(run("export", model, "-o", tmp_path), "is a folder")
    check_refusal(run("export", tmp_path / "nothing", "-o", file), "no model at")


def test_evaluate_through_onnx_runtime(
    run, photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = []
    for device in ("cpu", "onnx"):
        monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / device))  # so that neither finds the other's features
        options = ("--database", f"{photos}:train", "--queries", f"{photos}:test", "-o", tmp_path / "report")
        status, _, error = run("evaluate", model, *options, "--device", device)
        assert status == 0, error
        scores.append(json.loads((tmp_path / "report" / "metrics.json").read_text())["mAP@all"])
    assert scores[0] == pytest.approx(scores[1], abs=0.01)
    check_refusal(run("fit", photos / "train", "-o", tmp_path / "model", *FAST, "--device", "onnx"), "only encodes")


def test_evaluate_warns_of_queries_in_the_database(run, photos: Path, model: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "test", tmp_path / "both")
    shutil.copy(photos / "train" / "3" / "3.png", tmp_path / "both" / "3" / "a copy with another name.png")
    status, _, error = run(
        "evaluate", model, "--database", photos / "train", "--queries", tmp_path / "both", "-o", tmp_path / "report"
    )
    assert status == 0
    assert "1 of 21 query images stands in the database too and finds itself" in error
    assert json.loads((tmp_path / "report" / "metrics.json").read_text())["queries_in_database"] == 1
    assert "1 of 21 query images" in (tmp_path / "report" / "report.html").read_text()


def test_evaluate_leaves_each_image_out(run, photos: Path, model: Path, tmp_path: Path) -> None:
    sides = "--database", photos, "--leave-one-out", "-o", tmp_path
    check_refusal(run("evaluate", model, *sides, "--against", photos), "no report")
    options = ("evaluate", model, "--database", f"{photos}:test", "-o", tmp_path / "report")
    status, _, error = run(*options, "--leave-one-out")
    assert (status, "stand in the database" in error) == (0, False)
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())
    source = hl.open_source(f"{photos}:test")
    encoded = hl.HashModel.load(model).encoder().all(source)  # one cannot be read
    labels = source.labels[encoded.items]
    expected = hl.evaluate(encoded.codes, labels, encoded.codes, labels, leave_one_out=True)
    assert found["queries"] == len(source) - 1
    assert found["mAP@all"] == pytest.approx(expected["mAP@all"])
    check_refusal(run(*options), "--leave-one-out")
    check_refusal(run(*options, "--leave-one-out", "--queries", f"{photos}:test"), "--leave-one-out")


def test_centres(run, tmp_path: Path) -> None:
    status, output, _ = run("centres", "--classes", 10, "--bits", 32, "-o", tmp_path / "new" / "H.npy")
    assert status == 0
    codebook = np.load(tmp_path / "new" / "H.npy")
    assert (codebook.shape, codebook.dtype) == ((10, 32), np.int8)
    smallest = hl.centres.quality(codebook)["minimum_distance"]
    assert re.search(rf"minimum distance\s+{smallest}\b", output)


def test_centres_follow_a_similarity(run, tmp_path: Path) -> None:
    similarity = hl.classes.normalize_similarity(np.kron(np.eye(4), np.ones((3, 3))))
    np.save(tmp_path / "S.npy", similarity)
    options = ("--bits", 24, "--similarity", tmp_path / "S.npy", "-o", tmp_path / "H.npy")
    others = (*options[:-1], tmp_path / "others.npy")
    status, output, _ = run("centres", *options, "--min-distance", 6)
    assert status == 0
    codebook = np.load(tmp_path / "H.npy")
    figures = hl.centres.quality(codebook, similarity)
    assert figures["minimum_distance"] >= 6
    assert figures["spearman"] > 0.6
    assert re.search(rf"mismatch\s+{figures['mismatch']:.4g}", output)
    assert (tmp_path / "H.png").read_bytes().startswith(b"\x89PNG")
    check_refusal(run("centres", *others, "--min-distance", 20), "largest minimum distance")
    check_refusal(run("centres", "--bits", 24, "-o", tmp_path / "others.npy"), "how many classes")
    check_refusal(run("centres", *others, "--classes", 5), "12 classes")


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of classes that the small WordNet knows, in flat folders, and in nested ones beside them."""
    monkeypatch.setenv("WNSEARCHDIR", str(write_wordnet(tmp_path / "wordnet")))
    for name in (
        "flat/crane",
        "flat/heron",
        "flat/cat",
        "flat/ankle boot",
        "deep/pets/cat",
        "deep/pets/dog",
        "deep/rock",
    ):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.png").write_bytes(b"not looked at")
    return tmp_path


def test_taxonomy_of_flat_folders_is_from_wordnet(run, zoo: Path) -> None:
    status, output, error = run("taxonomy", zoo / "flat", "-o", zoo / "new" / "tree.csv")
    assert (status, "tree.png" in error) == (0, True)
    tree = hl.classes.read_taxonomy(zoo / "new" / "tree.csv")
    assert set(tree.leaves) == {"crane", "heron", "cat", "ankle boot"}
    assert tree.parents("crane") == ("bird.n.01",)
    assert output.startswith(tree.to_text() + "\n")
    assert re.search(r"crane +│ crane.n.03 +│ what crane is +│ crane.n.02", output)
    assert "a kind of boot.n.01" in output
    assert re.search(r"heron +│ heron.n.01 +│ what heron is +│  ", output)
    assert re.search(r"classes +4\b", output)
    assert re.search(rf"height +{tree.height}\b", output)
    assert (zoo / "new" / "tree.png").read_bytes().startswith(b"\x89PNG")

    senses = zoo / "new" / "tree.senses.csv"
    senses.write_text(senses.read_text().replace("crane.n.03", "crane.n.02"))
    assert re.search(r"crane +│ crane.n.02", run("taxonomy", zoo / "flat", "--senses", senses)[1])
    options = ("--bits", 16, "--source", zoo / "flat", "--senses", senses, "-o")
    assert run("centres", *options, zoo / "H.npy")[0] == 0
    check_refusal(run("centres", *options, zoo / "I.npy", "--taxonomy", "folders"), "--senses belong to WordNet")
    for verb, *words in (
        ("fit", zoo / "flat", "-o", zoo / "m"),
        ("compare", zoo / "flat", "--methods", "shc", "--leave-one-out", "-o", zoo / "compared"),
    ):
        check_refusal(run(verb, *words, "--senses", zoo / "none.csv"), r"none\.csv cannot be read")

    _, output, _ = run("taxonomy", zoo / "flat", "--sense", "crane=crane.n.02", "--sense", "cat=heron")
    assert re.search(r"crane +│ crane.n.02", output)
    assert re.search(r"cat +│ heron.n.01", output)
    # What was saved is a taxonomy for the same images, and by itself.
    for words in ((zoo / "flat", "--taxonomy", zoo / "new" / "tree.csv"), (zoo / "new" / "tree.csv",)):
        status, output, _ = run("taxonomy", *words)
        assert (status, output.startswith(tree.to_text() + "\n")) == (0, True)
        assert re.search(r"classes +4\b", output)


def test_taxonomy_of_nested_folders(run, zoo: Path) -> None:
    status, output, _ = run("taxonomy", zoo / "deep")
    assert status == 0
    assert output.startswith("(root)\n  pets\n    pets/cat\n    pets/dog\n  rock\n")
    assert re.search(r"shape +tree", output)
    _, output, _ = run("taxonomy", zoo / "deep", "--taxonomy", "wordnet", "--sense", "rock=fur")
    assert "mammal.n.01\n" in output
    assert re.search(r"shape +DAG, 1 with several parents", output)


def test_a_long_taxonomy_is_shortened(run, tmp_path: Path) -> None:
    (tmp_path / "tree.txt").write_text("".join(f"root leaf{number}\n" for number in range(200)))
    assert "… 141 more" in run("taxonomy", tmp_path / "tree.txt")[1]
    assert "  leaf199\n" in run("taxonomy", tmp_path / "tree.txt", "--whole")[1]


def test_taxonomy_says_what_ids_are(run, zoo: Path) -> None:
    for word in ("dog", "cat"):
        folder = zoo / "ids" / f"n{offset(word)}"
        folder.mkdir(parents=True)
        (folder / "1.png").write_bytes(b"not looked at")
    assert f"n{offset('dog')} (dog)" in run("taxonomy", zoo / "ids")[1]


def test_taxonomy_refuses(run, zoo: Path) -> None:
    flat = zoo / "flat"
    check_refusal(run("taxonomy", zoo / "nowhere"), "nowhere")
    check_refusal(run("taxonomy", flat, "--taxonomy", "nothing.csv"), r"no taxonomy nothing\.csv")
    check_refusal(run("taxonomy", flat, "--taxonomy", "folders"), "nested folders")
    check_refusal(run("taxonomy", flat, "--sense", "crane"), "NAME=SYNSET")
    check_refusal(run("taxonomy", flat, "--sense", "krane=crane.n.01"), "'krane'")
    (zoo / "tree.csv").write_text("animal,crane\nanimal,heron\nanimal,cats\n")
    check_refusal(run("taxonomy", flat, "--taxonomy", zoo / "tree.csv"), "'ankle boot' is not in the taxonomy")
    (zoo / "tree.csv").write_text("a,b\nb,a\n")
    check_refusal(run("taxonomy", zoo / "tree.csv"), r"tree\.csv, line 2: the taxonomy has a cycle")
    (zoo / "plain").mkdir()
    (zoo / "plain" / "1.png").write_bytes(b"not looked at")
    check_refusal(run("taxonomy", zoo / "plain"), "has no labels")


def test_centres_follow_a_taxonomy(run, zoo: Path) -> None:
    def centres(*words: object) -> np.ndarray:
        status, _, _ = run("centres", "--bits", 16, "-o", zoo / "H.npy", *words)
        assert status == 0
        codebook = np.load(zoo / "H.npy")
        for file in ("H.npy", "H.png"):
            (zoo / file).unlink()
        return codebook

    (zoo / "tree.txt").write_text("thing animal\nthing stone\nanimal cat\nanimal dog\nstone rock\n")
    names = ("cat", "dog", "rock")
    similarity = hl.classes.taxonomy_similarity(hl.classes.read_taxonomy(zoo / "tree.txt"), names)
    expected = hl.centres.semantic(similarity, 16, seed=0)
    np.testing.assert_array_equal(centres("--taxonomy", zoo / "tree.txt"), expected)
    # With a source, classes are in its order.
    of_source = centres("--taxonomy", zoo / "tree.txt", "--source", zoo / "deep")
    np.testing.assert_array_equal(of_source, expected)
    (zoo / "tree.txt").write_text("thing stone\nthing animal\nstone rock\nanimal dog\nanimal cat\n")
    np.testing.assert_array_equal(centres("--taxonomy", zoo / "tree.txt", "--source", zoo / "deep"), expected)
    assert centres("--taxonomy", "folders", "--source", zoo / "deep").shape == (3, 16)
    assert centres("--taxonomy", "wordnet", "--source", zoo / "flat").shape == (4, 16)
    assert centres("--source", zoo / "flat").shape == (4, 16)

    lines = ["," + ",".join(names)]
    lines += [f"{name}," + ",".join(map(repr, row.tolist())) for name, row in zip(names, similarity, strict=True)]
    (zoo / "S.csv").write_text("\n".join(lines))
    np.testing.assert_array_equal(centres("--similarity", zoo / "S.csv"), expected)

    options = ("centres", "--bits", 16, "-o", zoo / "H.npy")
    check_refusal(run(*options, "--taxonomy", "wordnet"), "--source")
    check_refusal(run(*options, "--taxonomy", zoo / "tree.txt", "--classes", 4), "3 classes")
    check_refusal(run(*options, "--taxonomy", zoo / "tree.txt", "--similarity", zoo / "S.csv"), "leave one")
    check_refusal(run(*options, "--similarity", zoo / "S.csv", "--source", zoo / "flat"), "'ankle boot'")
    (zoo / "S.csv").write_text("\n")
    check_refusal(run(*options, "--similarity", zoo / "S.csv"), r"S\.csv needs the names")


def test_what_a_user_has_is_not_written_over(run, photos: Path, model: Path, index: Path, tmp_path: Path) -> None:
    photo, listed, tree = tmp_path / "q.jpg", tmp_path / "list.csv", tmp_path / "tree.csv"
    shutil.copy(next(photos.glob("train/3/*.png")), photo)
    assert run("split", photos / "train", "-o", listed)[0] == 0
    theirs = tmp_path / "theirs.html", tmp_path / "theirs.onnx", tmp_path / "theirs.npy", tmp_path / "named.png"
    for file in (*theirs, tmp_path / "tree.senses.csv"):
        file.write_bytes(b"<title>mine</title>")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}

    search = ("search", index, photo, "--html")
    for words, says in (
        ((*search, photo), r"cannot be written to .*q\.jpg; give a name that ends in \.html"),
        ((*search, tmp_path / "keep.json"), r"ends in \.html"),
        ((*search, theirs[0]), r"theirs\.html is there already"),
        ((*search, photos), f"{photos} is a folder; give a file that ends in .html"),
        (("duplicates", index, "--html", photo), r"ends in \.html"),
        (("export", model, "-o", photo), r"ends in \.onnx"),
        (("export", model, "-o", theirs[1]), "is there already"),
        (("taxonomy", "digits", "--taxonomy", "folders", "-o", listed), "is there already"),
        (("taxonomy", photos, "-o", tree), r"tree\.senses\.csv is there already"),
        (("taxonomy", photos, "-o", tmp_path / "tree.json"), r"ends in \.csv"),
        (("centres", "--bits", 8, "--classes", 3, "-o", theirs[2]), "is there already"),
        (("centres", "--bits", 8, "--classes", 3, "-o", tmp_path / "named.npy"), r"named\.png is there already"),
        (("centres", "--bits", 8, "--classes", 3, "-o", photo), r"ends in \.npy"),
        (("split", photos / "train", "-o", listed), "is there already"),
    ):
        check_refusal(run(*words), says)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before

    for _ in range(2):  # what we wrote, and what can be made again, is replaced
        assert run(*search, tmp_path / "page.html")[0] == 0
        assert run("export", model, "-o", tmp_path / "model.onnx")[0] == 0


def test_nothing_is_written_among_a_users_files(run, photos: Path, model: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    shutil.copy(next(photos.glob("train/3/*.png")), flat / "1.png")
    for name in ("config.json", "metrics.json"):
        (flat / name).write_text('{"accuracy": 0.5}')
    before = {file: file.read_bytes() for file in flat.iterdir()}
    sides = ("--database", f"{photos}:train", "--queries", f"{photos}:test")
    fit = ("fit", photos / "train", *FAST, "-o")
    check_refusal(run(*fit, flat), "flat holds something else than a model; choose a new folder")
    check_refusal(run(*fit, flat, "--overwrite"), "something else than a model")
    check_refusal(run("evaluate", model, *sides, "-o", flat), "something else than a report")
    truth = ("--ground-truth", tmp_path / "none.json")
    check_refusal(run("evaluate", model, *sides, *truth, "-o", flat), "something else than a report")
    compare = ("compare", photos / "train", "--methods", "lsh", "--bits", 8, "--leave-one-out", "-o", flat)
    check_refusal(run(*compare, "--image-size", 32, "--seeds", 0), "something else than a comparison")
    assert {file: file.read_bytes() for file in flat.iterdir()} == before

    report = tmp_path / "report"
    for _ in range(2):
        assert run("evaluate", model, *sides, "-o", report)[0] == 0
    # What a killed training leaves is no reason to refuse.
    (tmp_path / "new" / "checkpoints").mkdir(parents=True)
    (tmp_path / "new" / ".model-0123.safetensors").touch()
    assert run(*fit, tmp_path / "new")[0] == 0


@pytest.mark.parametrize("similarity", ["confusion", "class-means", "S.csv"])
def test_fit_with_semantic_centres(run, photos: Path, tmp_path: Path, similarity: str) -> None:
    if similarity.endswith(".csv"):
        lines = [",".join(["", *map(str, range(10))])]
        lines += [",".join([str(i), *("1" if i == j else "0.5" if i % 2 == j % 2 else "-0.5" for j in range(10))])
                  for i in range(10)]  # fmt: skip
        (tmp_path / similarity).write_text("\n".join(lines))
        similarity = str(tmp_path / similarity)
    status, _, error = run(
        "fit", photos / "train", "-o", tmp_path / "model", *FAST,
        "--method", "shc-annealed", "--similarity", similarity,
    )  # fmt: skip
    assert status == 0, error
    assert "semantic centres: smallest distance" in error
    if similarity in ("confusion", "class-means"):
        assert error.count("most alike: ") == 5
    else:
        codebook = hl.HashModel.load(tmp_path / "model").codebook.astype(int)
        cosines = codebook @ codebook.T
        assert cosines[0, 2] > cosines[0, 1]


@pytest.fixture(scope="module")
def tree(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits in nested folders: those with a loop, and the others."""
    root = tmp_path_factory.mktemp("tree")
    for folder in photos.glob("*/*"):
        kind = "loops" if folder.name in "0689" else "strokes"
        shutil.copytree(folder, root / folder.parent.name / kind / folder.name)
    return root


def test_fit_and_evaluate_by_a_tree_of_folders(run, tree: Path, tmp_path: Path) -> None:
    status, _, err = run("fit", tree / "train", "-o", tmp_path / "m", *FAST, "--taxonomy", "folders")
    assert status == 0, err
    assert "semantic centres" in err
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["method"]["parameters"]["taxonomy_weight"] > 0
    options = ("--database", tree / "train", "--queries", tree / "test", "-o", tmp_path / "report")
    status, out, err = run("evaluate", tmp_path / "m", *options, "--taxonomy", "folders")
    assert status == 0, err
    assert "mAHP@k" in out
    report = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert {f"mAHP@{k}{kind}" for k in (100, 250, 1000, "all") for kind in ("", "/wup")} <= set(report)
    assert report["mAP@all"] < report["mAHP@all"] <= 1
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Wu–Palmer" in page
    assert re.search(r"0\.50 apart", page)
    assert (tmp_path / "report" / "hierarchical_precision.png").is_file()
    # The edge file of the same tree gives the same figures.
    status, _, err = run("taxonomy", tree / "train", "-o", tmp_path / "tree.csv")
    assert status == 0, err
    status, _, err = run("evaluate", tmp_path / "m", *options, "--taxonomy", tmp_path / "tree.csv")
    assert status == 0, err
    assert json.loads((tmp_path / "report" / "metrics.json").read_text()) == report


def test_numbers_name_classes_from_file_to_file(run, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name, labels in (("train", np.arange(100) % 5 + 1), ("asked", np.arange(20) % 2 * 3 + 2)):
        x = np.eye(6, 16)[labels] + 0.1 * random.normal(size=(len(labels), 16))
        np.savez(tmp_path / f"{name}.npz", x=x.astype(np.float32), y=labels)
    train, model = tmp_path / "train.npz", tmp_path / "model"
    assert run("fit", train, "-o", model, "--bits", 16, "--epochs", 8)[0] == 0
    assert hl.HashModel.load(model).class_names == tuple("12345")
    asked = "--queries", tmp_path / "asked.npz", "--database", train
    status, _, error = run("evaluate", model, *asked, "-o", tmp_path / "report")
    assert status == 0, error
    found = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert found["mAP@all"] > 0.95


def test_embeddings_in_a_parquet_file_are_fitted(run, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(60, 16)).astype(np.float32)
    frame = pandas.DataFrame(
        {"path": [f"{n}.jpg" for n in range(60)], "embedding": list(x), "label": list("abc") * 20}
    )
    frame.to_parquet(tmp_path / "emb.parquet")
    status, _, error = run("fit", tmp_path / "emb.parquet", "-o", tmp_path / "model", "--bits", 16, "--epochs", 1)
    assert status == 0, error
    expected = hl.fit(frame, bits=16, epochs=1)
    np.testing.assert_array_equal(hl.HashModel.load(tmp_path / "model").encode(x), expected.encode(x))


def test_fit_without_labels(run, tree: Path, photos: Path, tmp_path: Path) -> None:
    shrewd = ("--method", "shrewd", "--no-labels")
    status, _, err = run("fit", tree / "train", "-o", tmp_path / "weak", *FAST, *shrewd, "--taxonomy", "folders")
    assert status == 0, err
    assert "validation mAHP@250" in err
    status, out, _ = run("info", tmp_path / "weak")
    assert status == 0
    assert "mAHP@250" in out
    source = hl.open_source(photos / "train")
    np.save(tmp_path / "vectors.npy", np.eye(10)[source.labels])
    vectors = ("--vectors", tmp_path / "vectors.npy")
    status, _, err = run("fit", photos / "train", "-o", tmp_path / "vectors", *FAST, *shrewd, *vectors)
    assert status == 0, err
    assert hl.HashModel.load(tmp_path / "vectors").class_names == ()
    status, _, err = run("info", tmp_path / "vectors")
    assert status == 0, err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--no-labels",), "shrewd"),
        (("--method", "shrewd"), "taxonomy"),
        (("--method", "csq", "--no-labels"), "shrewd"),
        (("--method", "shrewd", "--no-labels", "--vectors", "caption"), "columns of vectors"),
        (("--vectors", "missing.npy"), "missing.npy"),
        (("--taxonomy", "folders"), "nested"),
        (("--taxonomy", "missing.csv"), "missing.csv"),
        (("--taxonomy", "missing.npy"), "missing.npy"),
        (("--hidden-layers", "64,no"), "64,no"),
    ],
)
def test_bad_relations_of_classes(run, photos: Path, tmp_path: Path, options: tuple[str, ...], says: str) -> None:
    status, out, err = run("fit", photos / "train", "-o", tmp_path / "m", *FAST, *options)
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_fit_takes_a_codebook_and_parameters_of_the_loss(run, photos: Path, tmp_path: Path) -> None:
    codebook = hl.centres.hadamard(10, 24)
    np.save(tmp_path / "H.npy", codebook)
    status, _, error = run(
        "fit", photos / "train", "-o", tmp_path / "model", *FAST, "--centres", tmp_path / "H.npy",
        "--set", "margin=0.4", "--set", "scale=7", "--method", "orthoarc",
    )  # fmt: skip
    assert status == 0, error
    model = hl.HashModel.load(tmp_path / "model")
    np.testing.assert_array_equal(model.codebook, codebook)
    assert model.method["parameters"]["margin"] == 0.4
    assert model.method["parameters"]["scale"] == 7
    assert model.method["parameters"]["margin_kind"] == "arc"


def test_fit_adapts_to_another_source(run, photos: Path, tmp_path: Path) -> None:
    target = photos / "test"
    assert run("fit", photos / "train", "-o", tmp_path / "model", *FAST, "--adapt", target)[0] == 0
    model = hl.HashModel.load(tmp_path / "model")
    means = model.continuous_codes(hl.open_source(target)).mean(0)
    np.testing.assert_allclose(means, model.network.hash_layer.norm.bias.detach(), atol=1e-5)


def test_a_model_that_cannot_adapt_is_saved_all_the_same(run, photos: Path, tmp_path: Path) -> None:
    words = ("fit", photos / "train", "-o", tmp_path / "model", *FAST, "--method", "csq")
    check_refusal(run(*words, "--adapt", photos / "test"), "no batch norm to adapt")
    assert len(hl.HashModel.load(tmp_path / "model").encode(photos / "test")) > 0


def test_info(run, photos: Path, model: Path, index: Path) -> None:
    status, output, _ = run("info", model)
    assert status == 0
    for fact in ("HashLens", "24", "efficientnet_lite0 at 32 pixels, frozen", "validation"):
        assert fact in output
    status, output, error = run("info", index)
    assert status == 0
    assert re.search(r"images\s+150\b", output)
    assert str(photos / "train" / "0" / "empty.jpg") in error


def test_the_cache_is_shown_limited_and_cleared(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHLENS_CACHE", str(tmp_path / "cache"))
    hl.fit(hl.open_source("digits").select(np.arange(20)), "itq", bits=8, image_size=32)
    status, output, _ = run("cache", "--limit", "2GB")
    assert status == 0
    assert re.search(r"limit of features +2\.0 GB", output) and re.search(r"features +\d+ kB in 1", output)
    status, output, error = run("cache", "--clear", "features")
    assert status == 0 and re.search(r"Removed \d+ kB", error) and re.search(r"features +none", output)
    check_refusal(run("cache", "--clear", "pictures"), "has no 'pictures'")
    check_refusal(run("cache", "features"), "--clear features")
    check_refusal(run("cache", "--limit", "much"), "'much' is no size")


def test_an_existing_model_is_kept(run, photos: Path, model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "model")
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    command = ("fit", photos / "train", "-o", tmp_path / "model", *FAST, "--seed", 5)
    check_refusal(run(*command), "--overwrite")
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    assert run(*command, "--overwrite")[0] == 0
    assert (tmp_path / "model" / "model.safetensors").read_bytes() != before


def test_bad_input_to_fit(run, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    one_class = tmp_path / "one"
    shutil.copytree(photos / "train" / "3", one_class / "3")
    only_text = tmp_path / "text"
    for name in ("a", "b"):
        (only_text / name).mkdir(parents=True)
        (only_text / name / "notes.jpg").write_text("no picture")
    check_refusal(run("fit", one_class, "-o", output, "--method", "csq"), "only the class '3'")
    check_refusal(run("fit", only_text, "-o", output), "no image with a label that can be read")
    check_refusal(run("fit", tmp_path / "nowhere", "-o", output), "nowhere")
    check_refusal(run("fit", photos / "train" / "3", "-o", output, "--method", "csq"), "no labels")
    check_refusal(run("fit", photos, "-o", output, "--split", "validation"), "'validation'")
    check_refusal(run("fit", photos / "train", "-o", output, "--bits", 4), "4 bits")
    check_refusal(run("fit", tmp_path / "not looked at", "-o", output, "--bits", 7), "7 bits")
    check_refusal(run("fit", photos / "train", "-o", output, "--method", "magic"), "'magic'")
    check_refusal(run("fit", photos / "train", "-o", output, "--centres", "magic"), "'magic'")
    check_refusal(run("fit", photos / "train", "-o", output, "--centres", "magic.npy"), r"magic\.npy")
    check_refusal(run("fit", photos / "train", "-o", output, "--set", "scale=big"), "'big'")
    check_refusal(run("fit", photos / "train", "-o", output, "--method", "csq", "--set", "margin=0.1"), "no margin")
    check_refusal(run("fit", photos / "train", "-o", output, "--method", "shc", "--similarity", "taste"), "'taste'")
    check_refusal(run("fit", photos / "train", "-o", output, "--backbone", "resnet19x"), "'resnet19x'")
    check_refusal(run("fit", photos / "train", "-o", output, "--weights", tmp_path / "none.pth"), r"none\.pth")
    check_refusal(run("fit", photos / "train", "-o", output, "--device", "cuda:9"), "cuda:9")
    assert not output.exists()


def test_bad_input_to_the_other_commands(run, photos: Path, model: Path, index: Path, tmp_path: Path) -> None:
    check_refusal(run("index", photos, photos / "train", "-o", tmp_path / "i"), "no model at")
    check_refusal(run("index", model, photos / "train", "-o", photos), "not an index")
    check_refusal(run("search", model, photos / "train" / "3" / "3.png"), "no index at")
    check_refusal(run("search", index, photos / "train" / "0" / "empty.jpg"), "None of the given images")
    check_refusal(run("search", index, tmp_path / "no.jpg"), r"no\.jpg")
    check_refusal(run("search", index, photos / "train" / "3" / "3.png", "-k", 0), "k is 0")
    evaluate = ("evaluate", model, "--queries", photos / "test", "-o", tmp_path / "r", "--database")
    check_refusal(run(*evaluate, photos / "train" / "3"), "no labels")
    check_refusal(run(*evaluate, photos / "train", "--at", "10,many"), "'many'")
    check_refusal(run("centres", "--classes", 300, "--bits", 8, "-o", tmp_path / "H.npy"), "8 bits")
    check_refusal(
        run("centres", "--classes", 3, "--bits", 8, "-o", tmp_path / "H.npy", "--generator", "magic"), "'magic'"
    )
    check_refusal(run("info", photos), "neither a model nor an index")
    check_refusal(run("info", tmp_path / ("long" * 500)), "long.*: .")
    other = tmp_path / "other"
    hl.fit(photos / "train", bits=16, image_size=32, epochs=1, finetune=False).save(other)
    check_refusal(run("index", other, photos / "train", "-o", index), r"24 bits.* 16")
    (other / "model.safetensors").unlink()
    check_refusal(run("index", other, photos / "train", "-o", tmp_path / "i"), r"no model\.safetensors")


@pytest.mark.parametrize(
    "words", [(), ("fit",), ("fit", "digits"), ("frobnicate",), ("search", "x", "y", "--wide")]
)
def test_wrong_usage_exits_with_2(run, words: tuple[str, ...]) -> None:
    status, output, error = run(*words)
    assert status == 2
    assert "Usage" in output + error


def test_search_goes_on_with_the_readable_images(run, photos: Path, index: Path) -> None:
    status, output, error = run(
        "search", index, photos / "train" / "0" / "empty.jpg", photos / "train" / "3" / "3.png", "--json"
    )
    assert status == 0
    assert len(json.loads(output)) == 1
    assert "empty.jpg: the file is empty" in error


def test_search_among_some_classes(run, photos: Path, index: Path) -> None:
    query = photos / "train" / "3" / "3.png"
    status, output, _ = run("search", index, query, "--label", "1", "--label", "7", "--json")
    assert status == 0
    assert {label for hit in json.loads(output)[0]["results"] for label in hit["labels"]} <= {"1", "7"}
    status, _, error = run("search", index, query, "--label", "cat")
    assert status == 2
    assert "'cat'" in error


def test_demo(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashlens.cli.demo.IMAGE_SIZE", 32)
    monkeypatch.setattr("hashlens.cli.demo.TRAINING_IMAGES", 400)
    monkeypatch.setattr("hashlens.cli.demo.DATABASE_IMAGES", 600)
    monkeypatch.setattr("hashlens.cli.demo.QUERIES", 100)
    monkeypatch.setattr("hashlens.sources.named.DEBIAN_FOLDER", Path("nowhere"))
    monkeypatch.setattr(
        "torchvision.datasets.FashionMNIST", lambda *_, **__: (_ for _ in ()).throw(OSError("no net"))
    )
    folder = tmp_path / "demo"
    for _ in range(2):  # the second replaces the first
        status, output, error = run("demo", "-o", folder)
        assert status == 0, error
    assert "digits" in output
    assert "no net" in output and "apt install dataset-fashion-mnist" in output
    for command in ("hashlens fit", "hashlens index", "hashlens search"):
        assert command in output
    assert json.loads((folder / "report" / "metrics.json").read_text())["mAP@all"] > 0.4
    assert (folder / "report" / "report.html").is_file()
    assert run("info", folder / "index")[0] == 0
    assert run("search", folder / "index", folder / "query.png")[0] == 0


def test_importing_and_helping_load_nothing_heavy() -> None:
    code = (
        "import sys, hashlens, hashlens.cli; sys.argv = ['hashlens', '--help']\n"
        "try: hashlens.cli.main()\n"
        "except SystemExit: print(sorted({'torch', 'numpy', 'timm', 'matplotlib', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_python_m_is_the_same_command() -> None:
    words = ["-m", "hashlens", "info", "/nowhere"]
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "hashlens: /nowhere is neither a model nor an index.\n")


def test_an_interrupt_while_it_is_loaded_is_quiet() -> None:
    root = Path(__file__).parents[1]
    entry = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]["hashlens"]
    module, _, function = entry.partition(":")
    code = (
        "import sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        f"from {module} import {function}\n"
        f"{function}()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_defaults_and_names_in_the_help_are_true(run) -> None:
    _, output, _ = run("fit", "--help")
    words = " ".join(output.replace("│", " ").split())
    from hashlens.backbones.backbone import DEFAULT_BACKBONE, FAST_IMAGE_SIZE

    for name in (
        *hl.methods.METHODS,
        *hl.methods.PROJECTIONS,
        *hl.centres.GENERATORS,
        DEFAULT_BACKBONE,
        f"{FAST_IMAGE_SIZE} pixels",
    ):
        assert name in words


def test_folders_without_classes_go_all_the_way(run, photos: Path, tmp_path: Path) -> None:
    flat = {}
    for split in ("train", "test"):
        flat[split] = tmp_path / split
        flat[split].mkdir()
        for path in (photos / split).glob("*/*.png"):
            shutil.copy(path, flat[split] / f"{path.parent.name}-{path.name}")
    model, index = tmp_path / "model", tmp_path / "index"
    status, _, error = run("fit", flat["train"], "-o", model, "--image-size", 32)
    assert status == 0, error
    assert "has no labels, so codes come from its features alone" in error
    assert "149 bits from 150 items" in error
    status, output, _ = run("info", model)
    assert status == 0
    assert "without labels" in output
    assert run("index", model, flat["train"], "-o", index)[0] == 0
    query = next(flat["train"].glob("3-*.png"))
    status, output, _ = run("search", index, query, "--json")
    found = json.loads(output)[0]["results"]
    assert (found[0]["path"], found[0]["distance"], found[0]["labels"]) == (str(query), 0, [])
    options = ("--database", flat["train"], "--queries", flat["test"], "-o", tmp_path / "report")
    status, output, error = run("evaluate", model, *options)
    assert status == 0, error
    assert re.search(r"neighbours@10 +0\.\d+", output)
    assert "have labels" in error
    metrics = json.loads((tmp_path / "report" / "metrics.json").read_text())
    assert metrics["neighbours@10"] > 5 * metrics["chance@10"]
    assert (tmp_path / "report" / "queries.csv").read_text().startswith("query,neighbours@10,neighbours@100")
