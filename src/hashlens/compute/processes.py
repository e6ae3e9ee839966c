"""Whether others have started this process as one of several that train together."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Started:
    """Processes that train together.

    Attributes:
        by: what started them.
        on_node: number of them on this node.
        nodes: number of nodes.
        rank: of this process among all, from 0.

    Example:
        >>> Started("torchrun", on_node=4, nodes=2, rank=7).rank
        7
    """

    by: str
    on_node: int
    nodes: int
    rank: int


def started_by_cluster() -> Started | None:
    """How ``torchrun`` or SLURM's ``srun`` started this process; ``None`` where neither did.

    Example:
        >>> started_by_cluster() is None
        True
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        here, everywhere = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        return Started("torchrun", here, everywhere // here, int(os.environ["RANK"]))
    if os.environ.get("SLURM_JOB_NAME") not in (None, "bash", "interactive") and "SLURM_PROCID" in os.environ:
        everywhere, nodes = int(os.environ["SLURM_NTASKS"]), int(os.environ.get("SLURM_NNODES", "1"))
        if everywhere > 1:
            return Started("SLURM", everywhere // nodes, nodes, int(os.environ["SLURM_PROCID"]))
    return None


def is_first_process() -> bool:
    """Whether this process is the only one, or the one of several that writes and talks.

    Example:
        >>> is_first_process()
        True
    """
    started = started_by_cluster()
    return started.rank == 0 if started is not None else os.environ.get("LOCAL_RANK", "0") == "0"
