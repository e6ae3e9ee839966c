"""What is known of the classes: how alike they are."""

from hashlens.classes.class_distance import (
    check_class_distances,
    class_distances,
    open_relations,
    taxonomy_similarity,
)
from hashlens.classes.opening import are_nested, given_senses, is_wordnet, open_taxonomy
from hashlens.classes.sense_files import read_senses, write_senses
from hashlens.classes.similarity import (
    check_similarity,
    confusion_similarity,
    embedding_similarity,
    normalize_similarity,
    read_similarity,
    similarity_class_names,
)
from hashlens.classes.taxonomy import Taxonomy
from hashlens.classes.taxonomy_files import is_taxonomy_file, read_taxonomy, write_taxonomy
from hashlens.classes.wordnet import Sense, senses_taxonomy, wordnet_senses, wordnet_taxonomy

__all__ = [
    "Sense",
    "Taxonomy",
    "are_nested",
    "check_class_distances",
    "check_similarity",
    "class_distances",
    "confusion_similarity",
    "embedding_similarity",
    "given_senses",
    "is_taxonomy_file",
    "is_wordnet",
    "normalize_similarity",
    "open_relations",
    "open_taxonomy",
    "read_senses",
    "read_similarity",
    "read_taxonomy",
    "senses_taxonomy",
    "similarity_class_names",
    "taxonomy_similarity",
    "wordnet_senses",
    "wordnet_taxonomy",
    "write_senses",
    "write_taxonomy",
]
