"""Published systems as presets of centres, objective, hash layer and training settings.

A new one is one file: a dataclass that defines :class:`Method`, or a :class:`Combination` of an objective with a
hash layer and centres, under ``register(name)``.
"""

from hashlens.methods.bi_half import BiHalf
from hashlens.methods.central_similarity import CSQ, CentralSimilarityHashing
from hashlens.methods.combination import Combination
from hashlens.methods.hashlens import HashLens
from hashlens.methods.itq import ITQ
from hashlens.methods.method import SEMANTIC, CentreMethod, Method
from hashlens.methods.orthohash import OrthoHash
from hashlens.methods.parameters import configure, without_labels
from hashlens.methods.pca_signs import PCASigns
from hashlens.methods.presets import METHODS, default_method, get_method, register
from hashlens.methods.projection import PROJECTIONS, Projection
from hashlens.methods.random_planes import RandomPlanes
from hashlens.methods.settings import OPTIMIZERS, SCHEDULES, Recipe, TrainingSettings
from hashlens.methods.shrewd import SHREWD

__all__ = [
    "CSQ",
    "ITQ",
    "METHODS",
    "OPTIMIZERS",
    "PROJECTIONS",
    "SCHEDULES",
    "SEMANTIC",
    "SHREWD",
    "BiHalf",
    "CentralSimilarityHashing",
    "CentreMethod",
    "Combination",
    "HashLens",
    "Method",
    "OrthoHash",
    "PCASigns",
    "Projection",
    "RandomPlanes",
    "Recipe",
    "TrainingSettings",
    "configure",
    "default_method",
    "get_method",
    "register",
    "without_labels",
]
