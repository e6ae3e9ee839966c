"""What is known of the classes: how alike they are."""

from hashlens.classes.similarity import (
    check_similarity,
    confusion_similarity,
    embedding_similarity,
    normalize_similarity,
    read_similarity,
)
from hashlens.classes.taxonomy import Taxonomy, open_taxonomy, taxonomy_similarity
from hashlens.classes.taxonomy_files import read_taxonomy

__all__ = [
    "Taxonomy",
    "check_similarity",
    "confusion_similarity",
    "embedding_similarity",
    "normalize_similarity",
    "open_taxonomy",
    "read_similarity",
    "read_taxonomy",
    "taxonomy_similarity",
]
