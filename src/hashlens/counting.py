"""Numbers of things in sentences."""

from __future__ import annotations


def counted(number: int, one: str, more: str) -> str:
    """A number and what it counts, in the singular or the plural, with a verb if need be.

    Example:
        >>> counted(1, "image is", "images are"), counted(2000, "image is", "images are")
        ('1 image is', '2,000 images are')
    """
    return f"{number:,} {one if number == 1 else more}"
