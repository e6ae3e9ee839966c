"""Taxonomies of classes from WordNet, which knows what is a kind of what."""

from __future__ import annotations

import heapq
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hashlens.classes.taxonomy import Taxonomy
from hashlens.classes.wordnet_nouns import IDENTIFIER, WordNetNouns
from hashlens.errors import BadInput

log = logging.getLogger("hashlens")

PHYSICAL, ANIMAL, MAN, ARTIFACT = "physical_entity.n.01", "animal.n.01", "hominid.n.01", "artifact.n.01"
# Chosen on CIFAR-100, Fashion-MNIST and the first words of random subsets of ImageNet's classes. Between 2 and 5
# neighbours and between 0.03 and 0.07 about as many senses are right.
NEIGHBOURS = 3
RANK_COST = 0.05
RANK_COST_BELOW = 0.2
A_KIND_OF = "a kind of "


@dataclass(frozen=True)
class Sense:
    """What a class was taken to mean.

    Attributes:
        class_name: the class.
        synset: the name of the meaning, such as ``crane.n.05``.
        gloss: what WordNet says of it.
        others: names of the meanings that the class name could have had besides.
        is_kind: the name itself is not in WordNet, and the class was taken to be a kind of ``synset``.

    Example:
        >>> Sense("n02123045", "tabby.n.01", "a cat with a grey or tawny coat").is_identifier
        True
    """

    class_name: str
    synset: str
    gloss: str
    others: tuple[str, ...] = ()
    is_kind: bool = False

    @property
    def is_identifier(self) -> bool:
        """Whether the class name is a WordNet id."""
        return IDENTIFIER.fullmatch(self.class_name) is not None

    @property
    def meaning(self) -> str:
        """In words that :func:`wordnet_senses` takes for a sense."""
        return f"{A_KIND_OF}{self.synset}" if self.is_kind else self.synset


@dataclass
class _Reading:
    """Meanings that a class name can have, and for each its rank among those of one word.

    ``below`` tells whether these are kinds of what the folder's name means.
    """

    offsets: list[str]
    ranks: list[int]
    is_kind: bool = False
    below: bool = False


def wordnet_taxonomy(class_names: Sequence[str], senses: Mapping[str, str] | None = None) -> Taxonomy:
    """The part of WordNet that lies above given classes.

    The leaves are the classes and have the names given; the nodes above have the names that WordNet gives to
    meanings, such as ``feline.n.01``. Classes of one meaning lie below it, side by side, as does a class that has
    others below it. The root is the lowest meaning that all classes have in common, and no way to a class avoids.
    WordNet is a DAG, so a node may have several parents.

    Args:
        class_names: C names, see :func:`wordnet_senses`.
        senses: for some of the classes, what they mean.

    Raises:
        BadInput: WordNet is not on this machine, or does not know a class.

    Example:
        >>> print(wordnet_taxonomy(["cat", "dog", "car"]).to_text(limit=3))  # doctest: +SKIP
        whole.n.02
          artifact.n.01 … 12 below
          living_thing.n.01 … 10 below
    """
    found = wordnet_senses(class_names, senses)
    chosen = sum(bool(sense.others) and sense.class_name not in (senses or {}) for sense in found)
    if chosen:
        log.info(
            f"{chosen} of {len(found)} class names have several meanings in WordNet; hashlens taxonomy shows which "
            "were taken."
        )
    return senses_taxonomy(found)


def wordnet_senses(class_names: Sequence[str], senses: Mapping[str, str] | None = None) -> list[Sense]:
    """What classes mean in WordNet.

    A class name is a WordNet id (``n02123045``, of version 3.0), the name of a meaning (``cat.n.01``), or a noun:
    ``polar bear``, ``polar_bear``, ``Polar Bears``. Of the path of a nested folder (one of several that begin
    alike, or of names of which most are paths) the last part counts; otherwise what a ``/`` separates are words for
    the same thing. A compound that is not in WordNet is the meaning of its beginning that is a kind of its end
    (``maple tree``), or else some kind of its end (``ankle boot``).

    Where a noun has several meanings:

    1. in a folder, only kinds of what the folder's name means count, if there are any, and the first meaning of a
       word where it is a thing made like them; first for the nearest folder, then for those above it. A word for
       a group (``people``) means its members too, of a compound the end counts, and there may be several
       (``fruit_and_vegetables``);
    2. names of single things, and what is not a physical thing, count only if there is nothing else;
    3. of a word for an animal other than man, only meanings as an animal or an artifact count, not its flesh or
       fur, or people called so;
    4. of those left, the one with the highest score is taken, in WordNet's order where scores are equal. The
       score is the mean Wu–Palmer similarity to the three nearest of the other classes, each in its most similar
       meaning, less 0.05 for every meaning of the word that comes before it in WordNet. In a folder, the others
       are those of the same folder; where rule 1 has found kinds of it, each meaning before costs 0.2, and where
       it has not, the folder itself is one of the others.

    Args:
        class_names: C names.
        senses: for some of the classes an id, the name of a meaning, or another noun, such as
            ``{"crane": "crane.n.05"}``; after ``a kind of`` the class lies below it.

    Returns:
        C senses, in the same order.

    Raises:
        BadInput: WordNet is not on this machine, or does not know a class or a sense; a sense is for no class.

    Example:
        >>> [sense.synset for sense in wordnet_senses(["crane", "heron", "truck"])]  # doctest: +SKIP
        ['crane.n.05', 'heron.n.02', 'truck.n.01']
    """
    given = dict(senses or {})
    for name in given:
        if name not in class_names:
            raise BadInput(f"A sense is given for '{name}', but there is no such class.")
    nouns = WordNetNouns.find()
    folders = _folders(class_names)
    meant_by = {folder: _folder_meanings(nouns, folder) for above in folders for folder in above}
    readings = []
    unknown = []
    for name, above in zip(class_names, folders, strict=True):
        if name in given:
            reading = _read(nouns, [given[name].removeprefix(A_KIND_OF)])
            reading.is_kind |= given[name].startswith(A_KIND_OF)
        else:
            reading = _read(nouns, _words(name, above), [one for folder in above for one in meant_by[folder]])
            nearest = meant_by[above[0]] if above else []
            reading.below = any(_below(nouns, reading.offsets, meanings) for meanings in nearest)
        readings.append(reading)
        if not reading.offsets:
            unknown.append(given.get(name, name))
    if unknown:
        some = ", ".join(f"'{name}'" for name in unknown[:5]) + (", …" if len(unknown) > 5 else "")
        raise BadInput(
            f"WordNet has no noun {some} ({len(unknown)} of {len(class_names)} classes); say what such a class "
            "means with a sense, like crane=crane.n.05, or give the taxonomy in a file."
        )
    found = []
    chosen_of = _choose_by_folder(nouns, readings, [above[0] if above else "" for above in folders], meant_by)
    for name, reading, chosen in zip(class_names, readings, chosen_of, strict=True):
        others = tuple(nouns.name(offset) for offset in reading.offsets if offset != chosen)
        found.append(Sense(name, nouns.name(chosen), nouns.synset(chosen).gloss, others, reading.is_kind))
    return found


def senses_taxonomy(senses: Iterable[Sense]) -> Taxonomy:
    """The part of WordNet above classes whose senses are known; see :func:`wordnet_taxonomy`.

    Args:
        senses: one for each class, as :func:`wordnet_senses` gives them.

    Raises:
        BadInput: WordNet is not on this machine, or a class has the name of another meaning above it.

    Example:
        >>> senses_taxonomy(wordnet_senses(["cat", "dog", "car"])).leaves  # doctest: +SKIP
        ('dog', 'cat', 'car')
    """
    nouns = WordNetNouns.find()
    meant: dict[str, list[Sense]] = {}
    for sense in dict.fromkeys(senses):
        offset = nouns.offset_of(sense.synset)
        assert offset is not None
        meant.setdefault(offset, []).append(sense)
    above = _above(nouns, meant)
    names = {offset: nouns.name(offset) for offset in above}
    inner = {parent for parents in above.values() for parent in parents}
    leaves: list[tuple[str, str]] = []
    for offset, own in meant.items():
        if len(own) == 1 and not own[0].is_kind and offset not in inner:
            names[offset] = own[0].class_name
        else:
            leaves += [(offset, sense.class_name) for sense in own]
    for name, count in Counter([*names.values(), *(leaf for _, leaf in leaves)]).items():
        if count > 1:
            raise BadInput(f"The class '{name}' has the name of another meaning in WordNet; rename the class.")
    edges = [(names[parent], names[offset]) for offset, parents in above.items() for parent in parents]
    edges += [(names[offset], leaf) for offset, leaf in leaves]
    whole = Taxonomy(edges, [sense.class_name for own in meant.values() for sense in own])
    root = whole.root
    while len(whole.children(root)) == 1:
        root = whole.children(root)[0]
    below = sorted((node for node in whole.nodes if whole.depth(node) >= whole.depth(root)), key=whole.depth)
    return Taxonomy([(node, child) for node in below for child in whole.children(node)], [root])


def _folders(class_names: Sequence[str]) -> list[list[str]]:
    """Of each class the folders that it lies in, the nearest first; none where a ``/`` is between words."""
    beginnings = Counter(name.partition("/")[0] for name in class_names)
    mostly = sum("/" in name for name in class_names) > len(class_names) / 2
    found = []
    for name in class_names:
        beginning, *_ = parts = name.split("/")
        nested = len(parts) > 1 and (mostly or beginnings[beginning] > 1)
        found.append(["/".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)] if nested else [])
    return found


def _folder_meanings(nouns: WordNetNouns, folder: str) -> list[list[str]]:
    """What the name of a folder may mean, as offsets: its words first, then the ends of these, which say less."""
    name = folder.rpartition("/")[2]
    if (exact := _offset(nouns, name)) is not None:
        return [[exact]]
    name = re.sub(r"[\s_\d]+$", "", name)
    found: list[list[str]] = []
    for words in re.split(r"[\s_-]+(?:and|or)[\s_-]+|\s*[&,+]\s*", name):
        parts = re.split(r"[\s_-]+", words)
        ends = [words, *(" ".join(parts[start:]) for start in range(1, len(parts)))]
        for place, meanings in enumerate(filter(None, (_group_or_kind(nouns, end) for end in ends))):
            found += [[] for _ in range(place + 1 - len(found))]
            found[place] += meanings
    return found


def _group_or_kind(nouns: WordNetNouns, words: str) -> list[str]:
    """The likely meanings of words and, where they mean a group, its members."""
    offsets = nouns.senses(words)
    members = [member for offset in offsets for member in nouns.synset(offset).members]
    return [*_plausible(nouns, offsets), *members]


def _words(name: str, folders: Sequence[str]) -> list[str]:
    """The words for a class; its whole name first."""
    if "/" not in name:
        return [name]
    parts = [part for part in name.split("/") if part.strip()]
    return [name, *(parts[-1:] if folders else parts)]


def _read(nouns: WordNetNouns, words: Sequence[str], folders: Sequence[Sequence[str]] = ()) -> _Reading:
    reading = _Reading([], [])
    for word in words:
        exact = nouns.offset_of(word)
        likely = [exact] if exact else _plausible(nouns, _within(nouns, nouns.senses(word), folders))
        for rank, offset in enumerate(likely):
            if offset not in reading.offsets:
                reading.offsets.append(offset)
                reading.ranks.append(rank)
    # Of words for the same thing, one may only be a more general word.
    general = {node for offset in reading.offsets for node in _above(nouns, [offset]) if node != offset}
    kept = [one for one in zip(reading.offsets, reading.ranks, strict=True) if one[0] not in general]
    if len(words) > 1 and kept:
        return _Reading([offset for offset, _ in kept], [rank for _, rank in kept])
    return reading if reading.offsets else _read_compound(nouns, words[-1], folders)


def _read_compound(nouns: WordNetNouns, compound: str, folders: Sequence[Sequence[str]]) -> _Reading:
    parts = re.split(r"[\s_-]+", compound.strip())
    for start in range(1, len(parts)):
        ends = nouns.senses(" ".join(parts[start:]))
        if ends:
            beginnings = nouns.senses(" ".join(parts[:start]))
            kinds = [offset for offset in beginnings if not _above(nouns, [offset]).keys().isdisjoint(ends)]
            offsets = kinds or _plausible(nouns, _within(nouns, ends, folders))
            return _Reading(list(offsets), list(range(len(offsets))), is_kind=not kinds)
    return _Reading([], [])


def _within(nouns: WordNetNouns, offsets: Sequence[str], folders: Sequence[Sequence[str]]) -> Sequence[str]:
    """The meanings that are kinds of what the folders mean, as far as there are any."""
    first, artifacts = list(offsets[:1]), list(filter(None, [_offset(nouns, ARTIFACT)]))
    for meanings in folders:
        below = _below(nouns, offsets, meanings)
        # WordNet sorts artifacts loosely: a bus is public transport, which is beside the vehicles, not among them.
        beside = [parent for one in _below(nouns, meanings, artifacts) for parent in nouns.synset(one).hypernyms]
        if below and below[:1] != first and _below(nouns, first, beside):
            below = [*first, *below]
        offsets = below or offsets
    return offsets


def _below(nouns: WordNetNouns, offsets: Sequence[str], meanings: Sequence[str]) -> list[str]:
    return [one for one in offsets if not _above(nouns, [one]).keys().isdisjoint(meanings)]


def _plausible(nouns: WordNetNouns, offsets: Sequence[str]) -> list[str]:
    """The meanings that pictures are likely to be of."""
    if len(offsets) < 2:
        return list(offsets)
    physical, animal, man, artifact = (_offset(nouns, name) for name in (PHYSICAL, ANIMAL, MAN, ARTIFACT))
    above = {offset: _above(nouns, [offset]).keys() for offset in offsets}
    kept = [offset for offset in offsets if physical in above[offset]] or list(offsets)
    kept = [offset for offset in kept if not nouns.synset(offset).is_instance] or kept
    animals = [offset for offset in kept if animal in above[offset] and man not in above[offset]]
    if animals:
        kept = [offset for offset in kept if offset in animals or artifact in above[offset]]
    return kept


def _offset(nouns: WordNetNouns, name: str) -> str | None:
    try:
        return nouns.offset_of(name)
    except BadInput:
        return None


def _above(nouns: WordNetNouns, offsets: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Meanings and all that lie above them, each with those right above it."""
    found: dict[str, tuple[str, ...]] = {}
    waiting = list(offsets)[::-1]
    while waiting:
        offset = waiting.pop()
        if offset not in found:
            found[offset] = nouns.synset(offset).hypernyms
            waiting += found[offset][::-1]
    return found


def _choose_by_folder(
    nouns: WordNetNouns,
    readings: Sequence[_Reading],
    folders: Sequence[str],
    meant_by: Mapping[str, list[list[str]]],
) -> list[str]:
    """One meaning for each class, in the company of its folder, or of all where it has none there.

    ``folders`` has for each class the nearest, or "".
    """
    chosen: dict[int, str] = {}
    members: dict[str, list[int]] = {}
    for number, folder in enumerate(folders):
        members.setdefault(folder, []).append(number)
    members.pop("", None)
    for folder, own in members.items():
        company = [readings[number] for number in own]
        if len(own) > 1:
            chosen |= zip(own, _choose(nouns, company), strict=True)
        elsewhere = [number for number in own if not readings[number].below]
        if elsewhere and meant_by[folder]:
            meanings = meant_by[folder][0]
            company.append(_Reading(meanings, [0] * len(meanings)))
            with_folder = dict(zip(own, _choose(nouns, company), strict=False))
            chosen |= {number: with_folder[number] for number in elsewhere}
    if len(chosen) < len(readings):
        for number, offset in enumerate(_choose(nouns, readings)):
            chosen.setdefault(number, offset)
    return [chosen[number] for number in range(len(readings))]


def _choose(nouns: WordNetNouns, readings: Sequence[_Reading]) -> list[str]:
    """One meaning for each class, that with the highest score."""
    if all(len(reading.offsets) == 1 for reading in readings):
        return [reading.offsets[0] for reading in readings]
    above = _above(nouns, [offset for reading in readings for offset in reading.offsets])
    taxonomy = Taxonomy(((parent, child) for child, parents in above.items() for parent in parents), above)
    depths = {offset: taxonomy.depth(offset) for offset in above}
    ways = {offset: _ways_up(offset, above) for reading in readings for offset in reading.offsets}
    # For every meaning the classes nearest below it, as (edges, class): as many as a score needs, and one more,
    # since one of them may be the class itself.
    nearest: dict[str, dict[int, int]] = {}
    for number, reading in enumerate(readings):
        for offset in reading.offsets:
            for node, steps in ways[offset].items():
                here = nearest.setdefault(node, {})
                here[number] = min(steps, here.get(number, steps))
    closest = {
        node: heapq.nsmallest(NEIGHBOURS + 1, ((steps, number) for number, steps in here.items()))
        for node, here in nearest.items()
    }

    def score(number: int, offset: str) -> float:
        similarity: dict[int, float] = {}
        for node, up in ways[offset].items():
            twice = 2 * depths[node]
            for down, other in closest[node]:
                if other != number:
                    similarity[other] = max(similarity.get(other, 0), twice / (twice + up + down))
        best = heapq.nlargest(NEIGHBOURS, similarity.values())
        return sum(best) / max(len(best), 1)

    chosen = []
    for number, reading in enumerate(readings):
        scores = [
            score(number, offset) - (RANK_COST_BELOW if reading.below else RANK_COST) * rank
            for offset, rank in zip(reading.offsets, reading.ranks, strict=True)
        ]
        chosen.append(reading.offsets[scores.index(max(scores))])
    return chosen


def _ways_up(offset: str, above: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Edges on the shortest way to everything above a meaning, itself included."""
    steps = {offset: 0}
    queue = [offset]
    for node in queue:
        for parent in above[node]:
            if parent not in steps:
                steps[parent] = steps[node] + 1
                queue.append(parent)
    return steps
