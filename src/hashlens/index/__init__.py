"""Exact Hamming search, and the catalogue of indexed images on disk."""

from hashlens.index.hamming import HammingIndex

__all__ = ["HammingIndex"]
