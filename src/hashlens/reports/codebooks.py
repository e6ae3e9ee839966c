"""Hash centres made to order and written to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashlens.centres import make_codebook, quality
from hashlens.classes import (
    check_similarity,
    is_wordnet,
    read_similarity,
    read_taxonomy,
    similarity_class_names,
    taxonomy_similarity,
)
from hashlens.errors import BadInput
from hashlens.files import read_array, replacing
from hashlens.reports.plots import draw_codebook
from hashlens.sources import open_source


def write_codebook(
    path: Path,
    bits: int,
    *,
    classes: int | None = None,
    source: str | None = None,
    generator: str | None = None,
    similarity: Path | None = None,
    taxonomy: str | None = None,
    min_distance: int | None = None,
    seed: int = 0,
) -> tuple[dict[str, Any], tuple[Path, Path]]:
    """Make hash centres, save them as ``.npy`` beside a picture, and say how good they are.

    Args:
        path: of the codebook; gets the ending ``.npy``, and the picture ``.png``.
        bits: code length K.
        classes: C, where nothing else given says it.
        source: images whose classes, in their order, get the centres.
        generator: name in :data:`hashlens.centres.GENERATORS`; by default "semantic" with a similarity or taxonomy,
            else "maximum-distance".
        similarity: ``.npy`` or ``.csv`` file of a (C, C) class similarity that centres follow.
        taxonomy: a file whose leaves are the classes unless there is a source, or what relates the classes of the
            source, see :func:`hashlens.classes.open_taxonomy`.
        min_distance, seed: see :func:`hashlens.centres.make_codebook`.

    Returns:
        What :func:`hashlens.centres.quality` tells, nothing for one class; and the two files.

    Raises:
        BadInput: the number of classes is not said, or said twice and differently; or what
            :func:`hashlens.centres.make_codebook` refuses.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     facts, files = write_codebook(Path(folder, "H"), bits=32, classes=10, generator="hadamard")
        ...     [path.name for path in files], facts["minimum_distance"]
        (['H.npy', 'H.png'], 16)
    """
    names = _class_names(source) if source else None
    followed, names = _similarity(similarity, taxonomy, names)
    known = len(followed) if followed is not None else len(names) if names else None
    if known is not None and classes not in (None, known):
        raise BadInput(f"--classes is {classes}, but there are {known} classes; leave it out.")
    classes = known or classes
    if classes is None:
        raise BadInput("Say how many classes there are with --classes, or give a similarity, taxonomy or source.")
    chosen = generator or ("maximum-distance" if followed is None else "semantic")
    codebook = make_codebook(chosen, classes, bits, seed, followed, min_distance)
    path.parent.mkdir(parents=True, exist_ok=True)
    files = path.with_suffix(".npy"), path.with_suffix(".png")
    with replacing(files[0]) as temporary:
        np.save(temporary, codebook)
    draw_codebook(codebook, followed, files[1], names)
    return (quality(codebook, followed) if classes > 1 else {}), files


def _class_names(source: str) -> tuple[str, ...]:
    names = open_source(source).class_names
    if not names:
        raise BadInput(f"{source} has no labels, so there are no classes; put the images in folders, one a class.")
    return names


def _similarity(
    similarity: Path | None, taxonomy: str | None, names: tuple[str, ...] | None
) -> tuple[NDArray[np.float64] | None, tuple[str, ...] | None]:
    """(C, C) from a file or a taxonomy, in the order of the names or, without them, of the file; and names."""
    if similarity and taxonomy:
        raise BadInput("Centres follow either a similarity or a taxonomy; leave one of them out.")
    if similarity and similarity.suffix == ".csv":
        names = names or tuple(similarity_class_names(similarity))
        return read_similarity(similarity, names), names
    if similarity:
        matrix = read_array(similarity, "a class similarity")
        return check_similarity(matrix, len(names) if names else None), names
    if not taxonomy:
        return None, names
    if names is None and (taxonomy == "folders" or is_wordnet(taxonomy)):
        raise BadInput(f"Say whose classes {taxonomy} is to relate with --source, or give a file of a taxonomy.")
    if names is not None:
        return taxonomy_similarity(taxonomy, names), names
    tree = read_taxonomy(taxonomy)
    return taxonomy_similarity(tree, tree.leaves), tuple(tree.leaves)
