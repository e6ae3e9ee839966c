"""Vectors that say what items mean, such as sentence embeddings of captions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashlens.errors import BadInput
from hashlens.files import read_array
from hashlens.sources.source import Source


def read_vectors(what: str, source: Source) -> NDArray[np.float32]:
    """Vectors of the items of a source.

    Args:
        what: a ``.npy`` file of an (N, D) array in the order of the items, or the name of a column of lists in
            the source's own parquet file.

    Returns:
        (N, D) float32; a row of zeros where an item has none.

    Raises:
        BadInput: the file or column cannot be read, or does not hold a vector for each item.

    Example:
        >>> from hashlens.sources import as_source
        >>> read_vectors("captions", as_source(["cat.jpg", "dog.jpg"]))
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: paths has no columns of vectors; give the vectors of its items as a .npy file.
    """
    if not what.endswith(".npy"):
        return source.vectors(what)
    vectors = read_array(what, "vectors")
    if vectors.ndim != 2 or len(vectors) != len(source):
        raise BadInput(
            f"{what} holds an array of shape {vectors.shape}, but {source.name} has {len(source)} items; "
            "give one row of numbers for each."
        )
    return np.ascontiguousarray(vectors, np.float32)
