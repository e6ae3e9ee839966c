"""Parameters of methods from text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor, nn

from hashlens.centres import hadamard
from hashlens.errors import BadInput
from hashlens.methods import METHODS, Combination, OrthoHash, configure
from refusals import is_one_sentence


class Loss(nn.Module):
    def __init__(self, slope=1.0, steps: int | None = 3, squared: bool = False) -> None:
        super().__init__()

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        return codes.mean()


def value(method: Any, name: str) -> Any:
    return (
        method.parameters[name]
        if isinstance(method, Combination) and name in method.parameters
        else vars(method)[name]
    )


@pytest.mark.parametrize(
    ("method", "name", "text", "wanted"),
    [
        ("orthohash", "margin", "0.4", 0.4),
        ("orthohash", "margin", "1", 1.0),
        ("orthohash", "scale", "auto", "auto"),
        ("orthohash", "scale", "7", 7.0),
        ("orthohash", "margin_kind", "arc", "arc"),
        ("orthohash", "quantization", "l2", "l2"),
        ("orthohash", "quantization", "none", None),
        ("orthohash", "centres", "hadamard", "hadamard"),
        ("shc", "min_distance", "6", 6),
        ("shc", "min_distance", "none", None),
        ("shc", "similarity", "class-means", "class-means"),
        ("hashlens", "mixing", "1", 1.0),
        ("hashlens", "stages", "false", False),
        ("shrewd", "classification_weight", "0", 0.0),
        (Combination(objective=Loss), "slope", "2.5", 2.5),
        (Combination(objective=Loss), "steps", "none", None),
        (Combination(objective=Loss), "squared", "true", True),
        (Combination(objective=Loss), "hash_layer", "tanh", "tanh"),
        (Combination(objective="cosine-softmax", centres="bernoulli"), "margin_kind", "arc", "arc"),
    ],
)
def test_text_becomes_what_the_parameter_is(method: Any, name: str, text: str, wanted: Any) -> None:
    before = METHODS[method] if isinstance(method, str) else method
    described = before.describe()
    after = configure(before, {name: text})
    assert value(after, name) == wanted
    assert type(value(after, name)) is type(wanted)
    assert type(after) is type(before)
    assert before.describe() == described


@pytest.mark.parametrize("name", METHODS)
def test_every_method_takes_its_own_defaults_as_text(name: str) -> None:
    method = METHODS[name]
    known = method.settable()
    settable = {
        key: str(held).lower() if held is None else str(held)
        for key, held in method.describe().items()
        if key in known
    }
    if "centres" in settable and settable["centres"] not in ("semantic", "shc"):
        for of_similarity in ("similarity", "taxonomy_weight"):
            del settable[of_similarity]
    assert configure(method, settable).describe() == method.describe()


def test_nothing_given_changes_nothing() -> None:
    assert configure(METHODS["shc"], {}).describe() == METHODS["shc"].describe()


def test_a_codebook_is_read_from_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "H.npy", hadamard(5, 16))
    method = configure(OrthoHash(), {"centres": str(tmp_path / "H.npy")})
    np.testing.assert_array_equal(method.codebook(5, 16, 0), hadamard(5, 16))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("csq", {"margin": "0.1"}, "has no margin; its parameters are centres, similarity"),
        ("orthohash", {"margin": "wide"}, "'wide'; give a number"),
        ("orthohash", {"margin": "nan"}, "'nan'"),
        ("orthohash", {"scale": "big"}, "'big'; give sqrt or auto or a number"),
        ("orthohash", {"margin_kind": "tan"}, "give cos or arc"),
        ("shc", {"min_distance": "2.5"}, "give a whole number or none"),
        ("shc", {"similarity": "taste"}, "'taste'"),
        ("orthohash", {"centres": "nowhere.npy"}, "nowhere.npy"),
        ("hashlens", {"centres": "hadamard", "similarity": "confusion"}, "semantic"),
    ],
)
def test_what_cannot_be_set_is_refused_in_a_sentence(name: str, given: dict[str, str], says: str) -> None:
    with pytest.raises(BadInput) as error:
        configure(METHODS[name], given)
    assert says in str(error.value)
    assert is_one_sentence(error)


def test_what_a_loss_of_ones_own_cannot_take_is_refused() -> None:
    for text in ("yes", "1"):
        with pytest.raises(BadInput, match="true or false"):
            configure(Combination(objective=Loss), {"squared": text})
