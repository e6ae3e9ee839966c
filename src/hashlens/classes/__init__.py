"""What is known of the classes: how alike they are."""

from hashlens.classes.similarity import (
    check_similarity,
    confusion_similarity,
    embedding_similarity,
    normalize_similarity,
    read_similarity,
)

__all__ = [
    "check_similarity",
    "confusion_similarity",
    "embedding_similarity",
    "normalize_similarity",
    "read_similarity",
]
