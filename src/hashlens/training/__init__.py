"""Training, on frozen features or end to end."""

from hashlens.training.checkpoints import discard_checkpoints
from hashlens.training.fit import fit, fit_with
from hashlens.training.options import FitOptions

__all__ = ["FitOptions", "discard_checkpoints", "fit", "fit_with"]
