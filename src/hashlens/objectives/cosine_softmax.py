"""The objective of OrthoHash (Hoe et al., "One Loss for All", NeurIPS 2021)."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, get_args

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from hashlens.centres import check_codebook
from hashlens.errors import BadInput
from hashlens.objectives.classification import classification_loss
from hashlens.objectives.objective import at_least_single, register
from hashlens.objectives.pairs import has_label, mean_over, signs_of

LARGEST_COSINE = 1 - 1e-5  # arccos has an infinite slope at 1
TAKEN = 0.7  # probability from which a class counts as recognised

LabelSetLoss = Literal["softmax", "bce", "balanced-bce"]


@register("cosine-softmax")
class CosineSoftmax(nn.Module):
    """Softmax cross-entropy over cosines between continuous codes and hash centres, with a margin.

    With l_c = cos(v, h_c) and s the scale, the logits are s·(l_c − m·[c = y]) (``"cos"``, OrthoCos, equation 6)
    or s·cos(arccos l_y + m) for the target and s·l_c for the others (``"arc"``, OrthoArc). For label sets the
    margin applies to each label of the set and the target distribution is uniform over them (section 3.4,
    "label smoothing"), or every class is judged by itself (supplement). Raising cos(v, h_y) both separates
    classes and turns v towards a corner of the hypercube, so there is no need of a quantisation loss; the terms
    of the paper's ablation are available.

    Deviations: the authors' sign(v) in the quantisation terms is 0 at v = 0, ours is −1, as in our codes; a
    code of length zero has cosine 0 instead of NaN; rows without a label are left out of the mean.

    Args:
        codebook: (C, K) hash centres in {−1, +1}.
        scale: s, a positive number; ``"sqrt"`` is √K, the paper's default; ``"auto"`` is √2·log(C − 1), which
            the paper found often best.
        margin: m ≥ 0; a difference of cosines for ``"cos"``, an angle in radians for ``"arc"``.
        margin_kind: ``"cos"`` or ``"arc"``.
        quantization: ``"cosine"`` adds the mean of 1 − cos(v, sign v); ``"l1"`` and ``"l2"`` that of
            |v − sign v| and (v − sign v)².
        quantization_weight: factor of that term.
        label_set_loss: for label sets, ``"softmax"``; ``"bce"``, binary cross-entropy of the logits of all classes;
            or ``"balanced-bce"``, see :func:`balanced_binary_cross_entropy`.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        A code on its centre, orthogonal to the other one: log(1 + e^(−√8·0.8)).

        >>> objective = CosineSoftmax([[1] * 8, [1] * 4 + [-1] * 4])
        >>> round(objective(torch.ones(1, 8), torch.tensor([0])).item(), 4)
        0.099
        >>> round(objective(torch.ones(1, 8), torch.tensor([[True, False]])).item(), 4)
        0.099
    """

    codebook: Tensor
    mixes: ClassVar[bool] = True

    def __init__(
        self,
        codebook: ArrayLike,
        scale: float | Literal["sqrt", "auto"] = "sqrt",
        margin: float = 0.2,
        margin_kind: Literal["cos", "arc"] = "cos",
        quantization: Literal["cosine", "l1", "l2"] | None = None,
        quantization_weight: float = 0.0,
        label_set_loss: LabelSetLoss = "softmax",
    ) -> None:
        super().__init__()
        centres = torch.as_tensor(check_codebook(codebook))
        self.register_buffer("codebook", centres)
        classes, bits = centres.shape
        self.scale = resolve_scale(scale, classes, bits)
        check_margin(margin, margin_kind)
        if quantization not in (None, "cosine", "l1", "l2"):
            raise BadInput(f"The quantization term is '{quantization}'; use 'cosine', 'l1', 'l2' or None.")
        if quantization is None and quantization_weight:
            raise BadInput("A quantization weight needs a quantization term: 'cosine', 'l1' or 'l2'.")
        if label_set_loss not in get_args(LabelSetLoss):
            names = "', '".join(get_args(LabelSetLoss))
            raise BadInput(f"The loss of label sets is '{label_set_loss}'; use one of '{names}'.")
        self.margin = margin
        self.margin_kind = margin_kind
        self.quantization = quantization
        self.quantization_weight = quantization_weight
        self.label_set_loss = label_set_loss

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K) continuous codes.
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with at_least_single(codes) as codes:
            products = functional.normalize(codes, dim=1) @ self.codebook.to(codes.dtype).T
            cosines = products / math.sqrt(codes.shape[1])  # (B, C)
            logits = margin_logits(cosines, targets, self.scale, self.margin, self.margin_kind)
            loss = label_loss(logits, targets, self.label_set_loss)
            if self.quantization is not None:
                errors = quantization_errors(codes, self.quantization)
                loss = loss + self.quantization_weight * mean_over(errors, has_label(targets))
            return loss


def check_margin(margin: float, kind: str) -> None:
    """Refuse a margin, or a kind of margin, that there is not.

    Raises:
        BadInput: see above.

    Example:
        >>> check_margin(0.2, "cos")
    """
    if not 0 <= margin < math.inf:
        raise BadInput(f"The margin is {margin}; it must be 0 or more.")
    if kind not in ("cos", "arc"):
        raise BadInput(f"The margin kind is '{kind}'; use 'cos' or 'arc'.")


def margin_logits(cosines: Tensor, targets: Tensor, scale: float, margin: float, kind: str) -> Tensor:
    """Cosines (B, C) as logits, in which those of an item's labels are lowered by the margin.

    Args:
        targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.
        scale, margin, kind: see :class:`CosineSoftmax`.

    Returns:
        (B, C).

    Example:
        >>> margin_logits(torch.tensor([[0.5, -0.5]]), torch.tensor([0]), scale=10, margin=0.2, kind="cos").tolist()
        [[3.0, -5.0]]
    """
    if targets.ndim == 2:
        marks = targets != 0
    else:
        marks = targets[:, None] == torch.arange(cosines.shape[1], device=targets.device)
    if kind == "cos":
        lowered = cosines - margin
    else:
        lowered = torch.cos(torch.arccos(cosines.clamp(-LARGEST_COSINE, LARGEST_COSINE)) + margin)
    return scale * torch.where(marks, lowered, cosines)


def label_loss(logits: Tensor, targets: Tensor, label_set_loss: LabelSetLoss = "softmax") -> Tensor:
    """Mean loss of logits over the items that have a label; 0 where none has.

    Args:
        logits: (B, C).
        targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.
        label_set_loss: see :class:`CosineSoftmax`.

    Returns:
        A scalar.

    Example:
        >>> round(label_loss(torch.zeros(2, 4), torch.tensor([[1, 0, 1, 0], [0, 0, 0, 0]])).item(), 4)  # log 4
        1.3863
    """
    if targets.ndim == 1 or label_set_loss == "bce":
        return classification_loss(logits, targets)
    labelled, marks = has_label(targets), targets != 0
    if label_set_loss == "balanced-bce":
        return balanced_binary_cross_entropy(logits[labelled], marks[labelled])
    losses = -(functional.log_softmax(logits, dim=1) * marks).sum(1) / marks.sum(1).clamp(min=1)
    return mean_over(losses, labelled)


def balanced_binary_cross_entropy(logits: Tensor, marks: Tensor) -> Tensor:
    """Binary cross-entropy in which classes that an item does not have, and is not thought to have, weigh 1/C.

    The "imbalance" loss of the authors' program: all other pairs of an item and a class weigh 1, an item is thought
    to have a class from a probability of 0.7 on, and the sum is divided by the sum of the weights.

    Args:
        logits: (B, C).
        marks: (B, C) bool, which labels items have.

    Returns:
        A scalar; 0 where B is 0.

    Example:
        Of four classes, one label and three that are not: weights 1 and ¼, each with −log ½.

        >>> marks = torch.tensor([[True, False, False, False]])
        >>> round(balanced_binary_cross_entropy(torch.zeros(1, 4), marks).item(), 4)
        0.6931
    """
    taken = logits.detach().sigmoid() >= TAKEN
    weights = torch.where(marks | taken, 1.0, 1 / logits.shape[1]).to(logits.dtype)
    losses = functional.binary_cross_entropy_with_logits(logits, marks.to(logits.dtype), reduction="none")
    return (losses * weights).sum() / weights.sum().clamp(min=torch.finfo(logits.dtype).tiny)


def resolve_scale(scale: float | str, classes: int, bits: int) -> float:
    """The number behind a scale that may be a word.

    Raises:
        BadInput: it is neither a positive number nor ``"sqrt"`` or ``"auto"``, or "auto" would be zero.

    Example:
        >>> resolve_scale("sqrt", classes=10, bits=64)
        8.0
    """
    if scale == "sqrt":
        return math.sqrt(bits)
    if scale == "auto":
        if classes < 3:
            raise BadInput("The scale 'auto' is √2·log(C − 1), zero for two classes; use 'sqrt' or a number.")
        return math.sqrt(2) * math.log(classes - 1)
    if isinstance(scale, str) or not 0 < scale < math.inf:
        raise BadInput(f"The scale is {scale!r}; use a positive number, 'sqrt' or 'auto'.")
    return float(scale)


def quantization_errors(codes: Tensor, kind: str) -> Tensor:
    """How far each of the continuous codes (B, K) is from its signs: (B,).

    Args:
        kind: ``"cosine"``, ``"l1"`` or ``"l2"``; see :class:`CosineSoftmax`.

    Example:
        >>> quantization_errors(torch.tensor([[3.0, -1.0, 0.5, 0.5]]), "l1").tolist()
        [0.75]
    """
    signs = signs_of(codes)
    if kind == "cosine":
        return 1 - functional.cosine_similarity(codes, signs, dim=1)
    gaps = (codes - signs).abs()
    return gaps.mean(1) if kind == "l1" else gaps.square().mean(1)
