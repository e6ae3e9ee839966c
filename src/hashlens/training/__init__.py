"""Training, on frozen features or end to end."""

from hashlens.training.fit import fit

__all__ = ["fit"]
