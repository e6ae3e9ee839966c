"""Exact Hamming search, and the catalogue of indexed images on disk."""

from hashlens.index.catalogue import Catalogue, Changes, Hit
from hashlens.index.hamming import HammingIndex

__all__ = ["Catalogue", "Changes", "HammingIndex", "Hit"]
