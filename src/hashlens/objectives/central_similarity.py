"""The objective of CSQ (Yuan et al., CVPR 2020), also that of MDS and SHC."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from hashlens.centres import check_codebook
from hashlens.errors import BadInput
from hashlens.objectives.objective import at_least_single, register
from hashlens.objectives.pairs import has_label, mean_over


@register("central-similarity")
class CentralSimilarity(nn.Module):
    """Binary cross-entropy of every bit to the bit of the hash centre, and a pull of codes to ±1.

    With u = tanh(x) and the centre h: mean over bits of BCE((u + 1)/2, (h + 1)/2), plus λ·mean((|u| − 1)²) (CSQ,
    equations 4 to 6). The tanh is taken here, so that it cannot round to ±1 before the loss sees it: as h is ±1 and
    (1 + tanh x)/2 = σ(2x), the first is −log σ(2·h·x), and 1 − |u| = 2·σ(−2·|x|). A bit is pulled as hard as the
    formula says however far it lies on the wrong side. The centre of a label set is the bitwise majority of its
    centres; where they tie, the bit of one fixed random code decides. Items without a label count in neither term.

    Args:
        codebook: (C, K) hash centres in {−1, +1}.
        quantization_weight: λ ≥ 0; 1e-4 in CSQ, MDS and SHC.
        seed: of the code that breaks ties.

    Raises:
        BadInput: an argument is out of its range.

    Example:
        Each tanh is halfway to +1, where the centre has +1 throughout: −log 0.75 for every bit.

        >>> objective = CentralSimilarity([[1] * 8, [-1] * 8], quantization_weight=0)
        >>> loss = objective(torch.full((2, 8), 0.5).atanh(), torch.tensor([0, 0]))
        >>> round(loss.item(), 4)
        0.2877
    """

    codebook: Tensor
    tie_break: Tensor

    def __init__(self, codebook: ArrayLike, quantization_weight: float = 1e-4, seed: int = 0) -> None:
        super().__init__()
        centres = torch.as_tensor(check_codebook(codebook))
        if not quantization_weight >= 0:
            raise BadInput(f"The quantization weight is {quantization_weight}; it must be 0 or more.")
        self.quantization_weight = quantization_weight
        generator = torch.Generator().manual_seed(seed)
        bits = torch.randint(0, 2, (centres.shape[1],), generator=generator, dtype=torch.int8)
        self.register_buffer("codebook", centres)
        self.register_buffer("tie_break", 2 * bits - 1)

    def forward(self, codes: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch.

        Args:
            codes: (B, K), before the tanh.
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            A scalar in at least single precision, also under autocast.
        """
        with at_least_single(codes) as codes:
            centres, labelled = self.centres_of(targets)
            away = 2 * torch.sigmoid(-2 * codes.abs())  # 1 − |u|
            losses = self.quantization_weight * away.square() - functional.logsigmoid(2 * centres * codes)
            return mean_over(losses.mean(1), labelled)

    def centres_of(self, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The centres that items are pulled to.

        Args:
            targets: (B,) int64 classes, −1 for none, or (B, C) multi-hot.

        Returns:
            (B, K) in {−1, +1}, and (B,) whether an item has a label; without one, its centre says nothing.
        """
        if targets.ndim == 1:
            return self.codebook[targets.clamp(min=0)], has_label(targets)
        marks = (targets != 0).float()
        votes = marks @ self.codebook.float()
        majority = torch.where(votes == 0, self.tie_break.float(), votes.sign())
        return majority, has_label(targets)
