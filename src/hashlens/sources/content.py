"""Knowing an image again by its content."""

from __future__ import annotations

import hashlib

import numpy as np

from hashlens.sources.decoding import Raw

DIGEST_BYTES = 16


def content_digest(raw: Raw) -> bytes:
    """A hash of an undecoded image: its bytes, or its pixels and shape.

    Example:
        >>> len(content_digest(b"an image")), content_digest(b"an image") == content_digest(b"another image")
        (16, False)
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    if isinstance(raw, bytes):
        digest.update(raw)
    else:
        digest.update(repr((raw.shape, raw.dtype.str)).encode())
        digest.update(np.ascontiguousarray(raw).data)
    return digest.digest()
