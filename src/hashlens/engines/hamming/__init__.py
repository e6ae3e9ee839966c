"""Our own engine: exact Hamming search at the speed of memory."""

from hashlens.engines.hamming.hamming_index import HammingIndex
from hashlens.engines.hamming.keyed_index import KeyedIndex

__all__ = ["HammingIndex", "KeyedIndex"]
