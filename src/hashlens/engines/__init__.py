"""What finds the nearest codes: engines, ours among them."""

from hashlens.engines.engine import ENGINES, SearchEngine
from hashlens.engines.engine import open_engine as open
from hashlens.engines.hamming import HammingIndex

register = ENGINES.register

__all__ = ["ENGINES", "HammingIndex", "SearchEngine", "open", "register"]
