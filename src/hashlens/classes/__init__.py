"""What is known of the classes: how alike they are."""

from hashlens.classes.class_distance import (
    check_class_distances,
    class_distances,
    open_relations,
    taxonomy_similarity,
)
from hashlens.classes.similarity import (
    check_similarity,
    confusion_similarity,
    embedding_similarity,
    normalize_similarity,
    read_similarity,
)
from hashlens.classes.taxonomy import Taxonomy, open_taxonomy
from hashlens.classes.taxonomy_files import read_taxonomy
from hashlens.classes.wordnet import wordnet_senses, wordnet_taxonomy

__all__ = [
    "Taxonomy",
    "check_class_distances",
    "check_similarity",
    "class_distances",
    "confusion_similarity",
    "embedding_similarity",
    "normalize_similarity",
    "open_relations",
    "open_taxonomy",
    "read_similarity",
    "read_taxonomy",
    "taxonomy_similarity",
    "wordnet_senses",
    "wordnet_taxonomy",
]
