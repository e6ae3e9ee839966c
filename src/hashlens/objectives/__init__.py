"""Training objectives: modules called as ``objective(codes, targets)`` that return a scalar.

Codes are (B, K) continuous; targets are (B,) int64 classes or (B, C) multi-hot. An objective knows nothing of
networks or data and works in any training loop.
"""

from hashlens.objectives.central_similarity import CentralSimilarity
from hashlens.objectives.classification import Classification
from hashlens.objectives.cosine_softmax import CosineSoftmax
from hashlens.objectives.distance_matching import DistanceMatching
from hashlens.objectives.empirical_divergence import EmpiricalDivergence
from hashlens.objectives.weighted_sum import WeightedSum

__all__ = [
    "CentralSimilarity",
    "Classification",
    "CosineSoftmax",
    "DistanceMatching",
    "EmpiricalDivergence",
    "WeightedSum",
]
