"""Which images an index holds, and keeping it up to date."""

from hashlens.catalogue.catalogue import Catalogue, Changes, Hit

__all__ = ["Catalogue", "Changes", "Hit"]
