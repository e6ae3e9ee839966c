"""Which images an index holds, and keeping it up to date."""

from hashlens.catalogue.catalogue import Answers, Catalogue, Changes, Entry, Hit, Ties

__all__ = ["Answers", "Catalogue", "Changes", "Entry", "Hit", "Ties"]
