"""Our own engine: exact Hamming search at the speed of memory."""

from hashlens.engines.hamming.hamming_index import HammingIndex

__all__ = ["HammingIndex"]
