"""What finds the nearest codes."""

from hashlens.engines.hamming import HammingIndex

__all__ = ["HammingIndex"]
