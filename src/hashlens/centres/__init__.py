"""Hash centres: the binary codes that classes are pulled to."""

from hashlens.centres.alternating_codes import shc
from hashlens.centres.codebook import check_codebook, minimum_distance
from hashlens.centres.csq_codes import csq
from hashlens.centres.distance_bounds import distance_upper_bound, gilbert_varshamov_distance
from hashlens.centres.distant_codes import maximum_distance
from hashlens.centres.generators import GENERATORS, make_codebook, needs_similarity, register
from hashlens.centres.hadamard_codes import hadamard
from hashlens.centres.lp_box_codes import mds
from hashlens.centres.quality import quality
from hashlens.centres.random_codes import bernoulli
from hashlens.centres.semantic_codes import semantic

__all__ = [
    "GENERATORS",
    "bernoulli",
    "check_codebook",
    "csq",
    "distance_upper_bound",
    "gilbert_varshamov_distance",
    "hadamard",
    "make_codebook",
    "maximum_distance",
    "mds",
    "minimum_distance",
    "needs_similarity",
    "quality",
    "register",
    "semantic",
    "shc",
]
