"""The objective of OrthoHash (Hoe et al., "One Loss for All", NeurIPS 2021)."""

from __future__ import annotations

import math
from typing import Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from hashlens.centres import check_codebook
from hashlens.errors import BadInput
from hashlens.objectives.objective import register
from hashlens.sources.labels import NO_LABEL

LARGEST_COSINE = 1 - 1e-5  # arccos has an infinite slope at 1


@register("cosine-softmax")
class CosineSoftmax(nn.Module):
    """Softmax cross-entropy over cosines between continuous codes and hash centres, with a margin.

    With l_c = cos(v, h_c) and s the scale, the logits are s·(l_c − m·[c = y]) (``"cos"``, OrthoCos, equation 6)
    or s·cos(arccos l_y + m) for the target and s·l_c for the others (``"arc"``, OrthoArc). For label sets the
    margin applies to each label of the set and the target distribution is uniform over them (section 3.4,
    "label smoothing"). Raising cos(v, h_y) both separates classes and turns v towards a corner of the
    hypercube, so there is no need of a quantisation loss; the terms of the paper's ablation are available.

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

    def __init__(
        self,
        codebook: ArrayLike,
        scale: float | Literal["sqrt", "auto"] = "sqrt",
        margin: float = 0.2,
        margin_kind: Literal["cos", "arc"] = "cos",
        quantization: Literal["cosine", "l1", "l2"] | None = None,
        quantization_weight: float = 0.0,
    ) -> None:
        super().__init__()
        centres = torch.as_tensor(check_codebook(codebook))
        classes, bits = centres.shape
        self.scale = resolve_scale(scale, classes, bits)
        if not 0 <= margin < math.inf:
            raise BadInput(f"The margin is {margin}; it must be 0 or more.")
        if margin_kind not in ("cos", "arc"):
            raise BadInput(f"The margin kind is '{margin_kind}'; use 'cos' or 'arc'.")
        if quantization not in (None, "cosine", "l1", "l2"):
            raise BadInput(f"The quantization term is '{quantization}'; use 'cosine', 'l1', 'l2' or None.")
        if quantization is None and quantization_weight:
            raise BadInput("A quantization weight needs a quantization term: 'cosine', 'l1' or 'l2'.")
        self.margin = margin
        self.margin_kind = margin_kind
        self.quantization = quantization
        self.quantization_weight = quantization_weight
        self.register_buffer("codebook", centres)

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K) continuous codes.
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with torch.autocast(codes.device.type, enabled=False):
            codes = codes if codes.dtype == torch.float64 else codes.float()
            products = functional.normalize(codes, dim=1) @ self.codebook.to(codes.dtype).T
            cosines = products / math.sqrt(codes.shape[1])  # (B, C)
            if targets.ndim == 2:
                losses, labelled = self._multi_label(cosines, targets != 0)
            else:
                losses, labelled = self._single_label(cosines, targets)
            if self.quantization is not None:
                errors = quantization_errors(codes, self.quantization)
                losses = losses + self.quantization_weight * torch.where(labelled, errors, 0)
            return losses.sum() / labelled.sum().clamp(min=1)

    def _single_label(self, cosines: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        labelled = targets != NO_LABEL
        column = targets.clamp(min=0)[:, None]
        logits = self.scale * cosines.scatter(1, column, self._with_margin(cosines.gather(1, column)))
        return functional.cross_entropy(logits, targets, reduction="none", ignore_index=NO_LABEL), labelled

    def _multi_label(self, cosines: Tensor, marks: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.scale * torch.where(marks, self._with_margin(cosines), cosines)
        counts = marks.sum(1)
        log_probabilities = functional.log_softmax(logits, dim=1)
        return -(log_probabilities * marks).sum(1) / counts.clamp(min=1), counts > 0

    def _with_margin(self, cosines: Tensor) -> Tensor:
        if self.margin_kind == "cos":
            return cosines - self.margin
        return torch.cos(torch.arccos(cosines.clamp(-LARGEST_COSINE, LARGEST_COSINE)) + self.margin)


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
    signs = torch.where(codes.detach() > 0, 1.0, -1.0).to(codes.dtype)
    if kind == "cosine":
        return 1 - functional.cosine_similarity(codes, signs, dim=1)
    gaps = (codes - signs).abs()
    return gaps.mean(1) if kind == "l1" else gaps.square().mean(1)
