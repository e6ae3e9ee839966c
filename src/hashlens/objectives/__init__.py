"""Training objectives: modules called as ``objective(codes, targets)`` that return a scalar.

Codes are (B, K) continuous; targets are (B,) int64 classes or (B, C) multi-hot. An objective knows nothing of
networks or data and works in any training loop. One whose shape changes during training has a method
``on_epoch(progress)``, see :func:`announce_epoch`; one with a term of the hash layer's weights has
``on_hash_layer(weight)``, see :func:`announce_hash_layer`; one that mixed items may teach says ``mixes = True``,
see :func:`may_mix`.

A new one is one file: an ``nn.Module`` under ``@register(name)``; see :data:`ObjectiveMaker` for what its
constructor may ask for. Ours are imported here.
"""

from hashlens.objectives.central_similarity import CentralSimilarity
from hashlens.objectives.classification import Classification
from hashlens.objectives.cosine_softmax import CosineSoftmax
from hashlens.objectives.distance_matching import DistanceMatching
from hashlens.objectives.dpn import DPN
from hashlens.objectives.dpsh import DPSH
from hashlens.objectives.dsh import DSH
from hashlens.objectives.dtsh import DTSH
from hashlens.objectives.empirical_divergence import EmpiricalDivergence
from hashlens.objectives.greedyhash import GreedyHash
from hashlens.objectives.hashnet import HashNet
from hashlens.objectives.jmlh import JMLH
from hashlens.objectives.learned_cosine_softmax import LearnedCosineSoftmax
from hashlens.objectives.objective import (
    OBJECTIVES,
    ObjectiveMaker,
    announce_epoch,
    announce_hash_layer,
    make_objective,
    may_mix,
    needs,
    parameters_of,
    register,
)
from hashlens.objectives.problem import Problem
from hashlens.objectives.sdhc import SDHC
from hashlens.objectives.weighted_sum import WeightedSum

__all__ = [
    "DPN",
    "DPSH",
    "DSH",
    "DTSH",
    "JMLH",
    "OBJECTIVES",
    "SDHC",
    "CentralSimilarity",
    "Classification",
    "CosineSoftmax",
    "DistanceMatching",
    "EmpiricalDivergence",
    "GreedyHash",
    "HashNet",
    "LearnedCosineSoftmax",
    "ObjectiveMaker",
    "Problem",
    "WeightedSum",
    "announce_epoch",
    "announce_hash_layer",
    "make_objective",
    "may_mix",
    "needs",
    "parameters_of",
    "register",
]
