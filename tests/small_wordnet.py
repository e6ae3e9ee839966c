"""A small WordNet in the format of the real one, which need not be there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

# Words, and the first words of what they are a kind of (@), an instance of (@i) or a group of (%m).
MEANINGS = [
    ("entity", []),
    ("physical_entity", [("@", "entity")]),
    ("abstraction", [("@", "entity")]),
    ("person", [("@", "physical_entity")]),
    ("substance", [("@", "physical_entity")]),
    ("food", [("@", "substance")]),
    ("fur", [("@", "substance")]),
    ("artifact", [("@", "physical_entity")]),
    ("clothing", [("@", "artifact")]),
    ("furniture", [("@", "artifact")]),
    ("machine", [("@", "artifact")]),
    ("bulldozer", [("@", "machine")]),
    ("boot", [("@", "clothing")]),
    ("jersey T-shirt", [("@", "clothing")]),
    ("turtleneck turtle", [("@", "clothing")]),
    ("animal", [("@", "physical_entity")]),
    ("bird", [("@", "animal")]),
    ("heron", [("@", "bird")]),
    ("reptile", [("@", "animal")]),
    ("lizard", [("@", "reptile")]),
    ("turtle", [("@", "reptile")]),
    ("fish", [("@", "animal")]),
    ("trout", [("@", "food")]),
    ("trout", [("@", "fish")]),
    ("mammal", [("@", "animal")]),
    ("feline", [("@", "mammal")]),
    ("hominid", [("@", "mammal")]),
    ("man", [("@", "person")]),
    ("man", [("@", "hominid")]),
    ("woman", [("@", "person")]),
    ("cat true_cat", [("@", "feline")]),
    ("tiger", [("@", "person")]),
    ("tiger", [("@", "feline")]),
    ("leopard", [("@", "fur")]),
    ("leopard", [("@", "feline")]),
    ("pet", [("@", "animal")]),
    ("dog domestic_dog", [("@", "mammal"), ("@", "pet")]),
    ("polar_bear ice_bear", [("@", "mammal")]),
    ("mouse", [("@", "mammal")]),
    ("crane", [("@i", "person")]),
    ("crane", [("@", "machine")]),
    ("crane", [("@", "bird")]),
    ("table", [("@", "abstraction")]),
    ("table", [("@", "furniture")]),
    ("chair", [("@", "furniture")]),
    ("gratitude", [("@", "abstraction")]),
    ("tree", [("@", "physical_entity")]),
    ("maple", [("@", "substance")]),
    ("maple", [("@", "tree")]),
    ("potato_masher", [("@", "machine")]),
    ("glasses", [("@", "artifact")]),
    ("glass", [("@", "substance")]),
    ("people", [("@", "abstraction"), ("%m", "person")]),
    ("conveyance", [("@", "artifact")]),
    ("vehicle", [("@", "conveyance")]),
    ("car", [("@", "vehicle")]),
    ("bus", [("@", "conveyance")]),
    ("bus", [("@", "car")]),
]  # fmt: skip
OFFSETS = [f"{1_000 + 37 * number:08d}" for number in range(len(MEANINGS))]
LICENSE = "  1 This line is no data.\n"


def offset(word: str, rank: int = 1) -> str:
    """Of the meaning that is the ``rank``-th of a word."""
    own = [at for (words, _), at in zip(MEANINGS, OFFSETS, strict=True) if word in words.split()]
    return own[rank - 1]


def write_wordnet(folder: Path, without: Iterable[str] = (), line_end: str = "\n") -> Path:
    data, index = [], {}
    for (words, related), own in zip(MEANINGS, OFFSETS, strict=True):
        each = words.split()
        pointers = [f"{kind} {offset(target)} n 0000" for kind, target in related]
        pointers.append(f"~ {OFFSETS[-1]} n 0000")  # what lies below does not matter
        fields = [
            own,
            "03 n",
            f"{len(each):02x}",
            *(f"{word} 0" for word in each),
            f"{len(pointers):03d}",
            *pointers,
        ]
        data.append(" ".join(fields) + f' | what {each[0]} is; "as in | this"  ')
        for word in each:
            index.setdefault(word.lower(), []).append(own)
    lines = [f"{word} n {len(own)} 2 @ ~ {len(own)} 0 {' '.join(own)}  " for word, own in sorted(index.items())]
    files = {
        "data.noun": LICENSE + "\n".join(data) + "\n",
        "index.noun": LICENSE + "\n".join(lines) + "\n",
        "noun.exc": "mice mouse\n\nfeet foot\n",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        if name not in without:
            (folder / name).write_bytes(content.replace("\n", line_end).encode())
    return folder
