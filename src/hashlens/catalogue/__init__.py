"""Which images an index holds, and keeping it up to date."""

from hashlens.catalogue.catalogue import Answers, Catalogue, Changes, Entry, Hit, Ties
from hashlens.catalogue.copying import Copied, copy_to
from hashlens.catalogue.duplicates import Duplicates, find_duplicates
from hashlens.catalogue.merging import merge
from hashlens.catalogue.parts import Part
from hashlens.catalogue.service_search import search_service
from hashlens.catalogue.table_search import search_table

__all__ = [
    "Answers",
    "Catalogue",
    "Changes",
    "Copied",
    "Duplicates",
    "Entry",
    "Hit",
    "Part",
    "Ties",
    "copy_to",
    "find_duplicates",
    "merge",
    "search_service",
    "search_table",
]
