"""The cosine-softmax loss against its formulas, written out with loops over plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hashlens.centres import bernoulli, hadamard
from hashlens.errors import BadInput
from hashlens.objectives import CosineSoftmax
from objectives.references import cosine_softmax, quantization
from refusals import is_one_sentence

KINDS = ["cos", "arc"]
TERMS = ["cosine", "l1", "l2"]
EIGHT = [[1] * 8, [1] * 4 + [-1] * 4]  # two orthogonal centres


pytestmark = pytest.mark.usefixtures("one_thread")


def random_codes(count: int, bits: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(count, bits)))


def as_multi_hot(label_sets: Sequence[set[int]], classes: int, dtype: torch.dtype = torch.bool) -> Tensor:
    marks = torch.zeros(len(label_sets), classes, dtype=dtype)
    for row, labels in enumerate(label_sets):
        marks[row, sorted(labels)] = 1
    return marks


@settings(deadline=None, max_examples=60)
@given(
    classes=st.integers(2, 12),
    bits=st.sampled_from([8, 9, 16, 33]),
    count=st.integers(1, 6),
    kind=st.sampled_from(KINDS),
    margin=st.floats(0, 1),
    scale=st.floats(0.1, 20),
    seed=st.integers(0, 2**32),
)
def test_single_labels_cost_what_the_formula_says(
    classes: int, bits: int, count: int, kind: Any, margin: float, scale: float, seed: int
) -> None:
    codebook = bernoulli(classes, bits, seed)
    codes = random_codes(count, bits, seed)
    targets = np.random.default_rng(seed + 1).integers(0, classes, count)
    found = CosineSoftmax(codebook, scale, margin, kind)(codes, torch.from_numpy(targets))
    wanted = cosine_softmax(codes.tolist(), [{int(y)} for y in targets], codebook, scale, margin, kind)
    assert found.shape == ()
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(
    classes=st.integers(2, 9),
    bits=st.sampled_from([8, 9, 32]),
    count=st.integers(1, 6),
    kind=st.sampled_from(KINDS),
    margin=st.floats(0, 1),
    seed=st.integers(0, 2**32),
    dtype=st.sampled_from([torch.bool, torch.int64, torch.float32]),
)
def test_label_sets_are_uniform_targets_with_the_margin_on_each(
    classes: int, bits: int, count: int, kind: Any, margin: float, seed: int, dtype: torch.dtype
) -> None:
    codebook = bernoulli(classes, bits, seed)
    codes = random_codes(count, bits, seed)
    marked = np.random.default_rng(seed + 1).random((count, classes)) < 0.4
    marked[:, 0] |= ~marked.any(1)
    label_sets = [set(np.flatnonzero(row).tolist()) for row in marked]
    found = CosineSoftmax(codebook, 4.0, margin, kind)(codes, as_multi_hot(label_sets, classes, dtype))
    wanted = cosine_softmax(codes.tolist(), label_sets, codebook, 4.0, margin, kind)
    assert found.item() == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_a_label_set_of_one_costs_as_much_as_the_label(kind: Any) -> None:
    codebook = bernoulli(7, 16)
    codes, targets = random_codes(20, 16), torch.arange(20) % 7
    objective = CosineSoftmax(codebook, margin=0.3, margin_kind=kind)
    sets = as_multi_hot([{int(y)} for y in targets], 7)
    assert objective(codes, sets).item() == pytest.approx(objective(codes, targets).item(), rel=1e-12)


@pytest.mark.parametrize("term", TERMS)
@pytest.mark.parametrize("weight", [0.0, 0.1, 3.0])
def test_quantization_terms_are_added_with_their_weight(term: Any, weight: float) -> None:
    codebook, codes, targets = bernoulli(5, 9), random_codes(6, 9), torch.arange(6) % 5
    plain = CosineSoftmax(codebook)(codes, targets).item()
    found = CosineSoftmax(codebook, quantization=term, quantization_weight=weight)(codes, targets).item()
    assert found == pytest.approx(plain + weight * quantization(codes.tolist(), term), rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "margin", "wanted"),
    [
        # v = h_0, so l = (1, 0); s = √8: −log of e^(2.8284·(1 − m)) / (e^(2.8284·(1 − m)) + 1)
        pytest.param("cos", 0.0, 0.0574247, id="no margin: log(1 + e^-2.828427)"),
        pytest.param("cos", 0.2, 0.0989982, id="cosine margin: log(1 + e^-2.262742)"),
    ],
)
def test_a_code_on_its_centre_has_the_loss_worked_out_by_hand(kind: Any, margin: float, wanted: float) -> None:
    loss = CosineSoftmax(EIGHT, margin=margin, margin_kind=kind)(torch.ones(1, 8).double(), torch.tensor([0]))
    assert loss.item() == pytest.approx(wanted, abs=1e-6)


def test_an_angle_between_two_centres_has_the_loss_worked_out_by_hand() -> None:
    # v = 4 ones, 4 zeros lies at 45° from both centres: l = (0.70711, 0.70711). With s = 2 and an angular
    # margin of 45° the target's logit is 2·cos 90° = 0 against 1.41421: log(1 + e^1.41421) = 1.63183.
    # The cosine margin 0.2 leaves 1.41421 − 0.4 against 1.41421: log(1 + e^0.4) = 0.91302.
    code, target = torch.tensor([[1.0] * 4 + [0.0] * 4]), torch.tensor([1])
    arc = CosineSoftmax(EIGHT, 2.0, math.pi / 4, "arc")
    cos = CosineSoftmax(EIGHT, 2.0, 0.2, "cos")
    assert arc(code, target).item() == pytest.approx(1.63183, abs=1e-5)
    assert cos(code, target).item() == pytest.approx(0.91302, abs=1e-5)


def test_quantization_errors_worked_out_by_hand() -> None:
    # v = (3, −1, 0.5, 0 × 5) has the signs (1, −1, 1, −1 × 5), a bit being −1 at 0. Distances to them are
    # 2, 0, 0.5 and five times 1: l1 = 7.5/8, l2 = 9.25/8; the cosine is 4.5 / √(10.25·8) = 0.496942.
    # The second has no label and does not count.
    code, target = torch.tensor([[3.0, -1.0, 0.5, 0, 0, 0, 0, 0], [9.0] * 8]).double(), torch.tensor([0, -1])
    plain = CosineSoftmax(EIGHT)(code, target).item()
    for term, wanted in (("l1", 0.9375), ("l2", 1.15625), ("cosine", 0.503058)):
        objective = CosineSoftmax(EIGHT, quantization=term, quantization_weight=1.0)  # type: ignore[arg-type]
        assert objective(code, target).item() - plain == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("scale", "classes", "bits", "wanted"),
    [
        pytest.param("sqrt", 10, 64, 8.0, id="√64"),
        pytest.param("sqrt", 10, 9, 3.0, id="√9"),
        pytest.param("sqrt", 2, 16, 4.0, id="√16 of two classes"),
        pytest.param("auto", 10, 64, 3.107346, id="√2·log 9"),
        pytest.param("auto", 3, 64, 0.980258, id="√2·log 2"),
        pytest.param("auto", 101, 16, 6.512723, id="√2·log 100"),
        pytest.param(7, 10, 64, 7.0, id="a whole number"),
        pytest.param(0.5, 2, 8, 0.5, id="a fraction"),
    ],
)
def test_scales_stand_for_their_numbers(scale: Any, classes: int, bits: int, wanted: float) -> None:
    codebook, codes, targets = bernoulli(classes, bits), random_codes(4, bits), torch.tensor([0, 1, 1, 0])
    found = CosineSoftmax(codebook, scale)(codes, targets).item()
    label_sets = [{0}, {1}, {1}, {0}]
    assert found == pytest.approx(
        cosine_softmax(codes.tolist(), label_sets, codebook, wanted, 0.2, "cos"), rel=1e-5
    )


def test_defaults_are_those_of_the_paper() -> None:
    codebook, codes, targets = bernoulli(6, 25), random_codes(8, 25), torch.arange(8) % 6
    label_sets = [{int(y)} for y in targets]
    wanted = cosine_softmax(codes.tolist(), label_sets, codebook, 5.0, 0.2, "cos")
    assert CosineSoftmax(codebook)(codes, targets).item() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("factor", [1e-3, 7.0, 1e6])
def test_the_length_of_a_code_does_not_matter(kind: Any, factor: float) -> None:
    objective, codes, targets = (
        CosineSoftmax(bernoulli(5, 16), margin_kind=kind),
        random_codes(9, 16),
        torch.arange(9) % 5,
    )
    assert objective(factor * codes, targets).item() == pytest.approx(objective(codes, targets).item(), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("term", [None, *TERMS])
def test_gradients_agree_with_finite_differences(kind: Any, multi_label: bool, term: Any) -> None:
    codes = random_codes(5, 9, 3).requires_grad_()
    targets = (
        as_multi_hot([{0, 2}, {1}, set(), {3}, {0, 1, 3}], 4) if multi_label else torch.tensor([0, 1, -1, 3, 2])
    )
    objective = CosineSoftmax(bernoulli(4, 9), 3.0, 0.3, kind, term, 0.5 if term else 0.0)
    assert torch.autograd.gradcheck(lambda v: objective(v, targets), codes)


AWKWARD = {
    "on its centre": torch.ones(8),
    "on the opposite of its centre": -torch.ones(8),
    "almost on its centre": torch.ones(8) + torch.tensor([1e-7] + [0.0] * 7),
    "zero": torch.zeros(8),
    "tiny": torch.full((8,), 1e-20),
    "large": torch.tensor([6e4, -6e4] * 4),
    "very large": torch.full((8,), 1e15),
    "one bit only": torch.tensor([1.0] + [0.0] * 7),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("term", [None, *TERMS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("place", AWKWARD)
@pytest.mark.parametrize("multi_label", [False, True])
def test_loss_and_gradient_are_finite_at_awkward_places(
    kind: Any, term: Any, dtype: torch.dtype, place: str, multi_label: bool
) -> None:
    codes = AWKWARD[place].to(dtype).repeat(2, 1).requires_grad_()
    targets = as_multi_hot([{0}, {0, 1}], 2) if multi_label else torch.tensor([0, 1])
    loss = CosineSoftmax(EIGHT, "sqrt", 0.5, kind, term, 0.1 if term else 0.0)(codes, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert codes.grad is not None
    assert torch.isfinite(codes.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_on_its_centre_costs_what_the_formula_says(kind: Any) -> None:
    codes, targets = torch.tensor(EIGHT).double(), torch.tensor([0, 1])
    found = CosineSoftmax(EIGHT, margin=0.3, margin_kind=kind)(codes, targets).item()
    wanted = cosine_softmax(codes.tolist(), [{0}, {1}], np.array(EIGHT), math.sqrt(8), 0.3, kind)
    assert found == pytest.approx(wanted, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_code_of_length_zero_has_cosine_zero_to_all_centres(kind: Any) -> None:
    codebook = bernoulli(4, 8)
    found = CosineSoftmax(codebook, 2.0, 0.2, kind)(torch.zeros(1, 8).double(), torch.tensor([2])).item()
    lowered = 2.0 * (-0.2 if kind == "cos" else math.cos(math.pi / 2 + 0.2))
    assert found == pytest.approx(math.log(math.exp(lowered) + 3) - lowered, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_codes_are_computed_in_single_precision(kind: Any, dtype: torch.dtype) -> None:
    objective, targets = CosineSoftmax(bernoulli(6, 16), margin_kind=kind), torch.arange(12) % 6
    codes = (100 * random_codes(12, 16)).to(dtype)  # squares of these overflow half precision
    loss = objective(codes, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(objective(codes.double(), targets).item(), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_autocast_changes_nothing(kind: Any, multi_label: bool) -> None:
    objective = CosineSoftmax(bernoulli(6, 16), margin_kind=kind, quantization="cosine", quantization_weight=0.1)
    codes, targets = random_codes(12, 16).float(), torch.arange(12) % 6
    if multi_label:
        targets = as_multi_hot([{int(y), 0} for y in targets], 6)
    outside = objective(codes, targets)
    with torch.autocast("cpu", torch.bfloat16):
        inside = objective(codes, targets)
    assert inside.dtype == torch.float32
    assert inside.item() == outside.item()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_casting_the_module_does_not_make_its_centres_inexact(dtype: torch.dtype) -> None:
    codebook, codes, targets = bernoulli(6, 9), random_codes(12, 9), torch.arange(12) % 6
    cast = CosineSoftmax(codebook).to(dtype)
    assert cast(codes, targets).item() == pytest.approx(CosineSoftmax(codebook)(codes, targets).item(), rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_rows_without_a_label_are_left_out_of_the_mean(kind: Any, multi_label: bool) -> None:
    objective = CosineSoftmax(bernoulli(4, 9), margin_kind=kind)
    codes = random_codes(5, 9).requires_grad_()
    label_sets: list[set[int]] = [{1}, set(), {3}, set(), {0}]
    if multi_label:
        targets = as_multi_hot(label_sets, 4)
    else:
        targets = torch.tensor([min(labels, default=-1) for labels in label_sets])
    loss = objective(codes, targets)
    loss.backward()
    assert loss.item() == pytest.approx(objective(codes[[0, 2, 4]], targets[[0, 2, 4]]).item(), rel=1e-12)
    assert codes.grad is not None
    assert (codes.grad[[1, 3]] == 0).all()
    assert (codes.grad[[0, 2, 4]] != 0).any(1).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [torch.full((3,), -1), torch.zeros(3, 4, dtype=torch.bool)])
def test_a_batch_without_any_label_costs_nothing(kind: Any, targets: Tensor) -> None:
    codes = random_codes(3, 9).requires_grad_()
    loss = CosineSoftmax(bernoulli(4, 9), margin_kind=kind)(codes, targets)
    loss.backward()
    assert loss.item() == 0
    assert codes.grad is not None
    assert (codes.grad == 0).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param({"scale": 0}, "scale is 0", id="scale zero"),
        pytest.param({"scale": -1.0}, "scale is -1.0", id="scale negative"),
        pytest.param({"scale": math.nan}, "scale is nan", id="scale NaN"),
        pytest.param({"scale": math.inf}, "scale is inf", id="scale infinite"),
        pytest.param({"scale": "root"}, "scale is 'root'", id="scale word"),
        pytest.param({"codebook": EIGHT, "scale": "auto"}, "two classes", id="auto for two classes"),
        pytest.param({"margin": -0.1}, "margin is -0.1", id="margin negative"),
        pytest.param({"margin": math.nan}, "margin is nan", id="margin NaN"),
        pytest.param({"margin_kind": "sin"}, "'sin'", id="margin kind"),
        pytest.param({"quantization": "l3"}, "'l3'", id="quantization"),
        pytest.param({"quantization_weight": 0.1}, "needs a quantization term", id="weight without a term"),
        pytest.param({"codebook": np.zeros((3, 8))}, "−1 and +1", id="zeros in the codebook"),
        pytest.param({"codebook": np.ones(8)}, "(C, K)", id="codebook of one dimension"),
        pytest.param({"codebook": np.ones((2, 8))}, "1 distinct", id="equal rows"),
        pytest.param({"codebook": np.eye(3) * 2 - 1}, "3 bits", id="three bits"),
    ],
)
def test_arguments_out_of_range_are_refused_in_a_sentence(arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInput) as error:
        CosineSoftmax(**({"codebook": bernoulli(4, 8)} | arguments))
    assert says in str(error.value)
    assert is_one_sentence(error)


def test_codebooks_may_be_lists_arrays_or_tensors() -> None:
    codes, targets = random_codes(4, 8), torch.tensor([0, 1, 1, 0])
    losses = [
        CosineSoftmax(form)(codes, targets).item()
        for form in (EIGHT, np.array(EIGHT), np.array(EIGHT, np.float64), torch.tensor(EIGHT))
    ]
    assert len(set(losses)) == 1


def test_the_state_carries_the_codebook_to_another_objective() -> None:
    codes, targets = random_codes(10, 16), torch.arange(10) % 5
    one, other = CosineSoftmax(bernoulli(5, 16, 1)), CosineSoftmax(bernoulli(5, 16, 2))
    assert one(codes, targets).item() != other(codes, targets).item()
    other.load_state_dict(one.state_dict())
    np.testing.assert_array_equal(other.codebook.numpy(), bernoulli(5, 16, 1))
    assert other(codes, targets).item() == one(codes, targets).item()


def test_the_objective_has_nothing_to_learn() -> None:
    assert list(CosineSoftmax(bernoulli(5, 16)).parameters()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multi_label", [False, True])
def test_a_plain_loop_turns_codes_into_their_centres(kind: Any, multi_label: bool) -> None:
    codebook = hadamard(8, 32)
    targets = torch.arange(64) % 8
    inputs = torch.eye(8)[targets]
    torch.manual_seed(0)
    network = torch.nn.Linear(8, 32, bias=False)
    objective = CosineSoftmax(codebook, margin_kind=kind)
    optimizer = torch.optim.Adam(network.parameters(), 0.1)
    wanted = as_multi_hot([{int(y)} for y in targets], 8) if multi_label else targets
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = objective(network(inputs), wanted)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
    signs = np.where(network(inputs).detach().numpy() > 0, 1, -1)
    assert (signs == codebook[targets.numpy()]).mean() > 0.9


def test_a_code_between_the_centres_of_its_labels_costs_least() -> None:
    codebook = hadamard(4, 16)
    objective, targets = CosineSoftmax(codebook), torch.tensor([[True, True, False, False]])
    between = torch.from_numpy(codebook[:1] + codebook[1:2]).float()
    others = torch.from_numpy(np.concatenate([codebook, codebook[2:3] + codebook[3:4]])).float()
    assert all(objective(between, targets) < objective(other[None], targets) for other in others)
