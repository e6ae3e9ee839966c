"""The processors that train together: one, several of a machine, or those of several nodes."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashlens.compute.processes import started_by_cluster
from hashlens.errors import BadInput

if TYPE_CHECKING:
    from lightning.fabric import Fabric

Result = TypeVar("Result")


def processors(device: torch.device, count: int = 1, mixed: bool = False) -> Fabric:
    """A processor, or several that share the training, one process each, which are started here.

    Where ``torchrun`` or SLURM has started this process, it is one of theirs, on one node or several.

    Args:
        device: the one; of several, their kind.
        count: of them, where nobody has started them.
        mixed: compute in half precision on a GPU where that is exact enough.

    Raises:
        BadInput: there are not so many.

    Example:
        >>> processors(torch.device("cpu")).world_size
        1
    """
    from lightning.fabric import Fabric  # takes a second

    started = started_by_cluster()
    nodes = 1
    if started is not None:
        if count not in (1, started.on_node):
            raise BadInput(
                f"{started.by} has started {started.on_node} processes on this node, so leave {count} devices out."
            )
        count, nodes = started.on_node, started.nodes
    if device.type == "cuda" and count > torch.cuda.device_count():
        raise BadInput(f"{count} devices are asked for, but PyTorch sees {torch.cuda.device_count()} GPUs.")
    one = [device.index or 0] if device.type == "cuda" else 1
    for name in ("lightning.fabric", "lightning.pytorch"):  # which share one logger of what is said once
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")  # advice that is not for our users
        fabric = Fabric(
            accelerator=device.type,
            devices=count if count > 1 else one,
            num_nodes=nodes,
            strategy="ddp" if count * nodes > 1 else "auto",
            precision="16-mixed" if mixed and device.type == "cuda" else "32-true",
        )
        fabric.launch()
    return fabric


def shared_out(fabric: Fabric, count: int, work: Callable[[NDArray[np.int64]], Result]) -> list[Result]:
    """What the processes make of a run of items each, in the order of the items; all of them get all of it.

    Args:
        count: of the items.
        work: gets (n,) numbers of consecutive items.

    Example:
        >>> shared_out(processors(torch.device("cpu")), 3, lambda items: items.tolist())
        [[0, 1, 2]]
    """
    ranks, rank = fabric.world_size, fabric.global_rank
    mine = work(np.arange(count * rank // ranks, count * (rank + 1) // ranks))
    if ranks == 1:
        return [mine]
    found: list[Result | None] = [None] * ranks
    torch.distributed.all_gather_object(found, mine)
    return [one for one in found if one is not None]


def of_all(fabric: Fabric, tensor: Tensor) -> Tensor:
    """(ranks · n, …) of the tensors, (n, …), of all processes, through which gradients flow back to each.

    They take turns, as :class:`hashlens.training.datasets.ShuffleByEpoch` deals items out, so that a batch is what
    one process would have drawn.
    """
    if fabric.world_size == 1:
        return tensor
    gathered = fabric.all_gather(tensor, sync_grads=tensor.requires_grad)
    assert isinstance(gathered, Tensor)
    return gathered.transpose(0, 1).flatten(0, 1)
