"""A folder of .parquet files, such as the shards of a data set."""

from __future__ import annotations

import os
from pathlib import Path

from hashlens.errors import BadInput
from hashlens.sources.joined import JoinedImages
from hashlens.sources.opener import Opener
from hashlens.sources.parquet import open_parquet
from hashlens.sources.source import Source, identity_of


def open_parquet_folder(folder: str | os.PathLike[str], split: str | None = None) -> Source:
    """Open a folder of parquet files as one source, in the order of their names.

    Args:
        split: use the files named ``SPLIT.parquet`` or ``SPLIT-….parquet``, as Hugging Face names them.

    Raises:
        BadInput: no file is of that split, or one of them cannot be used.
    """
    folder = Path(folder)
    paths = sorted(folder.glob("*.parquet"))
    if split is not None:
        paths = [path for path in paths if path.stem.split("-")[0] == split]
    if not paths:
        raise BadInput(f"{folder} has no file {split}.parquet or {split}-….parquet for that split.")
    name = str(folder) + (f":{split}" if split else "")
    return JoinedImages(name, [open_parquet(path) for path in paths], identity_of(folder, split))


OPENER = Opener("a folder of .parquet files", lambda text: any(Path(text).glob("*.parquet")), open_parquet_folder)
