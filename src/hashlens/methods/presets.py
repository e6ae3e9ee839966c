"""Methods by name."""

from __future__ import annotations

from hashlens.errors import BadInput
from hashlens.methods import baselines
from hashlens.methods.central_similarity import CSQ, CentralSimilarityHashing
from hashlens.methods.hashlens import HashLens
from hashlens.methods.method import SEMANTIC, Method
from hashlens.methods.orthohash import OrthoHash
from hashlens.methods.projection import PROJECTIONS, Projection
from hashlens.methods.shrewd import SHREWD
from hashlens.registry import Registry

METHODS: Registry[Method] = Registry("method")
"""Every method by name, with the parameters that its paper or our validation images chose."""

register = METHODS.register

register("hashlens")(HashLens())
register("hashlens-taxonomy")(HashLens(similarity="confusion", taxonomy_weight=0.2))
register("orthohash")(OrthoHash())
register("orthoarc")(OrthoHash(margin_kind="arc"))
register("csq")(CSQ())
register("csq-hadamard")(CSQ(centres="hadamard"))
register("mds")(CentralSimilarityHashing(centres="mds"))
register("mds-best-known")(CentralSimilarityHashing(centres="maximum-distance"))
register("shc")(CentralSimilarityHashing(centres="shc"))
register("shc-annealed")(CentralSimilarityHashing(centres=SEMANTIC))
register("shrewd")(SHREWD())

register("orthohash-no-batch-norm")(OrthoHash(hash_layer="linear"))
register("orthohash-bi-half")(OrthoHash(hash_layer="bi-half"))
register("orthohash-learned-centres")(OrthoHash(centres=None))
register("orthohash-bce")(OrthoHash(label_set_loss="bce"))
register("orthohash-balanced-bce")(OrthoHash(label_set_loss="balanced-bce"))

register("dpsh")(baselines.DPSH)
register("dsh")(baselines.DSH)
register("hashnet")(baselines.HASHNET)
register("dtsh")(baselines.DTSH)
register("greedyhash")(baselines.GREEDYHASH)
register("jmlh")(baselines.JMLH)
register("sdhc")(baselines.SDHC)
register("dpn")(baselines.DPN)
register("cross-entropy")(baselines.CROSS_ENTROPY)
register("cross-entropy-batch-norm")(baselines.CROSS_ENTROPY_BATCH_NORM)
register("cross-entropy-bi-half")(baselines.CROSS_ENTROPY_BI_HALF)


def default_method(with_taxonomy: bool, with_labels: bool = True) -> str:
    """The name of the method that is used where none is asked for: the best on our validation images.

    Example:
        >>> default_method(with_taxonomy=False), default_method(with_taxonomy=False, with_labels=False)
        ('hashlens', 'itq')
    """
    if not with_labels:
        return "itq"
    return "hashlens-taxonomy" if with_taxonomy else "hashlens"


def get_method(method: str | Method | Projection) -> Method | Projection:
    """A method by name, with labels or without, or the one given.

    Raises:
        BadInput: there is no such method.

    Example:
        >>> get_method("orthoarc").margin_kind
        'arc'
    """
    if not isinstance(method, str):
        return method
    if method not in METHODS and method not in PROJECTIONS:
        raise BadInput(f"There is no method '{method}'; use one of {', '.join((*METHODS, *PROJECTIONS))}.")
    return METHODS[method] if method in METHODS else PROJECTIONS[method]
