"""Which images an index holds, and keeping it up to date."""

from hashlens.catalogue.catalogue import Answers, Catalogue, Changes, Entry, Hit, Ties
from hashlens.catalogue.duplicates import Duplicates, find_duplicates

__all__ = ["Answers", "Catalogue", "Changes", "Duplicates", "Entry", "Hit", "Ties", "find_duplicates"]
