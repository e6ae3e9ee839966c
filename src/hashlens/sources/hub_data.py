"""Data sets on the Hugging Face Hub: their .parquet or .tar files, fetched and read as such files on a disk are.

The library ``datasets`` is not needed, and no code of a repository is run.
"""

from __future__ import annotations

import fnmatch
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from hashlens.errors import BadInput
from hashlens.hub import PREFIX, Address, Listing, fetch_file, list_files, parse_address
from hashlens.sources.joined import JoinedImages
from hashlens.sources.opener import Opener
from hashlens.sources.parquet import open_parquet
from hashlens.sources.source import Source
from hashlens.sources.tar_shards import CLASS_NAMES_FILE, open_tar

READERS = {".parquet": open_parquet, ".tar": open_tar}
# Words in the names of files that say which split they are of, as the Hub itself reads them.
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
CONVERTED = "refs/convert/parquet"  # the branch where the Hub keeps its own conversions

log = logging.getLogger("hashlens")


def open_hub_data(text: str, split: str | None = None) -> Source:
    """Open a data set on the Hub: ``hf://datasets/user/name``.

    A revision may follow (``…/name@v1``), and then a folder or one file (``…/name/data``, ``…/name/test.parquet``).
    Of a data set that holds neither .parquet nor .tar files the Hub's own conversion to parquet is used, where it
    has made one.

    Args:
        split: the files that the card of the data set assigns to it, or else those with its name as a word in
            theirs, such as ``data/train-00000-of-00002.parquet`` or ``train/0.tar``.

    Raises:
        BadInput: there is no such data set, it cannot be had, or it holds no such files or split.
    """
    address = parse_address(text)
    if not address.dataset:
        raise BadInput(f"'{text}' is a model's address; a data set on the Hub is written hf://datasets/user/name.")
    ending = PurePosixPath(address.path).suffix
    if ending in READERS:
        if split is not None:
            raise BadInput(f"{text} is one file and has no split '{split}'.")
        return _open(address)
    listing = list_files(address)
    if not _data_files(listing.files) and address.revision is None:
        try:
            listing = list_files(replace(address, revision=CONVERTED))
        except BadInput:
            raise BadInput(f"{text} holds no .parquet or .tar files, and the Hub has not converted it.") from None
    splits = _splits(listing, address.path, text)
    if split is not None and split not in splits:
        raise BadInput(f"{text} has no split '{split}'; it has {', '.join(splits)}.")
    files = [file for name in splits if split in (None, name) for file in splits[name]]
    log.info("fetching %s from the Hugging Face Hub, unless they are here: %s files", text, f"{len(files):,}")
    wanted = {str(folder / CLASS_NAMES_FILE) for file in files for folder in PurePosixPath(file).parents[:2]}
    for names_file in sorted(wanted.intersection(listing.files)):  # where open_tar will look for it
        fetch_file(replace(listing.address, path=names_file))
    parts = [_open(replace(listing.address, path=file)) for file in files]
    name = text + (f":{split}" if split else "")
    return parts[0] if len(parts) == 1 else JoinedImages(name, parts, name)


def _recognises(text: str) -> bool:
    return text.startswith(f"{PREFIX}datasets/") and ":" not in text.removeprefix(PREFIX)


OPENER = Opener("hf://datasets/user/name", _recognises, open_hub_data)


def _open(address: Address) -> Source:
    path = fetch_file(address)
    return READERS[PurePosixPath(address.path).suffix](path, location=str(address))


def _data_files(files: Sequence[str]) -> list[str]:
    """Those that can be read, all of one kind."""
    kinds = ([file for file in files if PurePosixPath(file).suffix == suffix] for suffix in READERS)
    return next((found for found in kinds if found), [])


def _splits(listing: Listing, path: str, text: str) -> dict[str, list[str]]:
    """The files of each split: as the card says, else by the words in their names; those with none are the train
    split, as on the Hub."""
    files = _data_files(listing.files)
    told = _configurations(listing.card)
    if path not in told:
        files = [file for file in files if not path or PurePosixPath(file).is_relative_to(path)]
    if not files:
        raise BadInput(f"{text} holds no .parquet or .tar files.")
    chosen = path if path in told else next((name for name in told if len(told) == 1 or name == "default"), None)
    if told and chosen is None and not path:
        names = ", ".join(sorted(told))
        raise BadInput(f"{text} has several configurations, {names}; name one, as in {text}/{min(told)}.")
    splits: dict[str, list[str]] = {}
    for name, patterns in told.get(chosen or "", {}).items():
        found = [file for file in files if any(fnmatch.fnmatchcase(file, pattern) for pattern in patterns)]
        if found:
            splits[name] = found
    if splits:
        return splits
    for name, words in SPLITS.items():
        pattern = re.compile(rf"(^|[/_.\s-])({'|'.join(words)})([/_.\s\d-])")
        splits[name] = [file for file in files if pattern.search(file)]
    named = {file for found in splits.values() for file in found}
    splits["train"] += [file for file in files if file not in named]
    return {name: found for name, found in splits.items() if found}


def _configurations(card: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Patterns of the files of each split of each configuration, as far as a card gives them."""
    found: dict[str, dict[str, list[str]]] = {}
    told = card.get("configs")
    for one in told if isinstance(told, list) else []:
        if not isinstance(one, dict) or "data_files" not in one:
            continue
        name = "default" if one.get("default") is True else str(one.get("config_name", "default"))
        given = one["data_files"] if isinstance(one["data_files"], list) else [one["data_files"]]
        for entry in given:
            split, paths = (
                (str(entry.get("split", "train")), entry.get("path"))
                if isinstance(entry, dict)
                else ("train", entry)
            )
            patterns = paths if isinstance(paths, list) else [paths]
            found.setdefault(name, {}).setdefault(split, []).extend(str(pattern) for pattern in patterns)
    return found
