"""What every matrix over classes must be, whether it says how alike they are or how far apart."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hashlens.errors import BadInput

TOLERANCE = 1e-6  # of what others computed in single precision


def check_class_matrix(
    matrix: ArrayLike,
    what: str,
    least: float = -math.inf,
    most: float = math.inf,
    diagonal: float | None = None,
    classes: int | None = None,
) -> NDArray[np.float64]:
    """A matrix over classes, in whatever form it was given, as (C, C) float64.

    Args:
        matrix: (C, C), finite; values beyond the limits by a rounding error are moved to them.
        what: it is, for messages, such as "class similarity".
        least, most: limits of the values.
        diagonal: what stands there in a matrix that must be symmetric; ``None`` where any matrix will do.
        classes: C, if it is known.

    Raises:
        BadInput: the matrix is not of this form.

    Example:
        >>> check_class_matrix([[0, 1], [0.5, 0]], "class distance", least=0, most=1, diagonal=0)
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: A class distance must be symmetric and 0 on the diagonal.
    """
    try:
        values = np.asarray(matrix, np.float64)
    except (TypeError, ValueError):
        raise BadInput(f"A {what} must be a (C, C) matrix of numbers, not {type(matrix).__name__}.") from None
    if values.ndim != 2 or values.shape[0] != values.shape[1]:
        raise BadInput(f"A {what} must be a (C, C) matrix, not one of shape {values.shape}.")
    if classes is not None and len(values) != classes:
        raise BadInput(f"The {what} is for {len(values)} classes, but there are {classes}.")
    low, high = values.min(initial=math.inf), values.max(initial=-math.inf)
    if not np.isfinite(values).all() or low < least - TOLERANCE or high > most + TOLERANCE:
        limits = "" if math.isinf(least) else f" and between {least:g} and {most:g}"
        raise BadInput(f"A {what} must be finite{limits}, without NaN.")
    if diagonal is not None:
        symmetric = np.allclose(values, values.T, atol=TOLERANCE)
        if not symmetric or not np.allclose(np.diag(values), diagonal, atol=TOLERANCE):
            raise BadInput(f"A {what} must be symmetric and {diagonal:g} on the diagonal.")
    return values if least <= low and high <= most else values.clip(least, most)
