"""How objectives are found by name, and made for a problem."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from hashlens.errors import BadInput
from hashlens.objectives.problem import Problem
from hashlens.registry import Registry

ObjectiveMaker = Callable[..., nn.Module]
"""What makes an objective, such as its class. Arguments that bear the name of a field of :class:`Problem` are
filled from the problem; the others are parameters, for users to set."""

OBJECTIVES: Registry[ObjectiveMaker] = Registry("objective")
"""Every objective by name."""

register = OBJECTIVES.register

FROM_PROBLEM = tuple(one.name for one in fields(Problem))


def make_objective(objective: str | ObjectiveMaker, problem: Problem, /, **parameters: Any) -> nn.Module:
    """An objective for a problem.

    Args:
        objective: its name in :data:`OBJECTIVES`, or what makes it.
        problem: fills the arguments that bear the names of its fields: ``codebook``, ``class_distance``, ``bits``,
            ``classes``, ``seed``, ``label_sets``.
        parameters: the other arguments.

    Returns:
        A module called as ``objective(codes, targets)``.

    Raises:
        BadInput: there is no such objective, it has no such parameter, it lacks one or hash centres, or a parameter
            is out of its range.

    Example:
        >>> from hashlens.centres import bernoulli
        >>> problem = Problem(bits=32, classes=4, codebook=bernoulli(4, 32))
        >>> make_objective("cosine-softmax", problem, margin=0.3).margin
        0.3
        >>> make_objective("distance-matching", problem, temperature=2)
        Traceback (most recent call last):
        ...
        hashlens.errors.BadInput: The objective distance-matching has no temperature; its parameters are gamma, rho.
    """
    check_parameters(objective, parameters)
    if needs(objective, "codebook") and problem.codebook is None:
        raise BadInput(f"The objective {name_of(objective)} pulls codes to hash centres; say which.")
    filled = {field: getattr(problem, field) for field in FROM_PROBLEM if needs(objective, field)}
    return maker_of(objective)(**filled, **parameters)


def check_parameters(objective: str | ObjectiveMaker, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that an objective does not have, and the lack of one that it cannot do without.

    Raises:
        BadInput: see above; the message names the parameters that there are.
    """
    known = parameters_of(objective)
    for name in parameters:
        if name not in known:
            names = ", ".join(known) or "none"
            raise BadInput(f"The objective {name_of(objective)} has no {name}; its parameters are {names}.")
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in parameters:
            raise BadInput(f"The objective {name_of(objective)} needs the parameter {name}.")


def parameters_of(objective: str | ObjectiveMaker) -> dict[str, inspect.Parameter]:
    """What a user may set of an objective, by name: the arguments of its maker that no problem fills.

    Example:
        >>> list(parameters_of("distance-matching"))
        ['gamma', 'rho']
    """
    return {name: one for name, one in _arguments(objective).items() if name not in FROM_PROBLEM}


def needs(objective: str | ObjectiveMaker, field: str) -> bool:
    """Whether an objective takes this field of a problem.

    Example:
        >>> needs("cosine-softmax", "codebook"), needs("classification", "codebook")
        (True, False)
    """
    return field in _arguments(objective)


def maker_of(objective: str | ObjectiveMaker) -> ObjectiveMaker:
    """What makes the objective of that name, or what is given.

    Raises:
        BadInput: there is none of that name.
    """
    return OBJECTIVES[objective] if isinstance(objective, str) else objective


def name_of(objective: str | ObjectiveMaker) -> str:
    """What to call an objective in a message."""
    return objective if isinstance(objective, str) else getattr(objective, "__name__", repr(objective))


@contextmanager
def at_least_single(codes: Tensor) -> Iterator[Tensor]:
    """Codes in single precision, or double if they are so already, and no autocast while the block lasts.

    Example:
        >>> with at_least_single(torch.ones(2, 8, dtype=torch.bfloat16)) as codes:
        ...     codes.dtype
        torch.float32
    """
    with torch.autocast(codes.device.type, enabled=False):
        yield codes if codes.dtype == torch.float64 else codes.float()


def announce_epoch(objective: nn.Module, progress: float) -> None:
    """Tell an objective how far the training is, if it has an ``on_epoch`` to hear it.

    Training calls this before each epoch, also before the first one after a resume.

    Args:
        progress: share of the epochs that are done, in [0, 1).

    Example:
        >>> class Slope(nn.Module):
        ...     def on_epoch(self, progress):
        ...         self.slope = 1 + 9 * progress
        >>> objective = Slope()
        >>> announce_epoch(objective, 0.5)
        >>> objective.slope
        5.5
    """
    on_epoch = getattr(objective, "on_epoch", None)
    if on_epoch is not None:
        on_epoch(progress)


def may_mix(objective: nn.Module) -> bool:
    """Whether an item may be half of one class and half of another: the objective says so by ``mixes = True``.

    Not where items are compared with each other, or each bit has to be one of two.

    Example:
        >>> may_mix(nn.Identity())
        False
    """
    return bool(getattr(objective, "mixes", False))


def announce_hash_layer(objective: nn.Module, weight: Tensor) -> None:
    """Show an objective the weights of the hash layer, if it has an ``on_hash_layer`` to see them.

    Training calls this once, before the first epoch; what is shown is what is trained.

    Args:
        weight: (K, H), from what the hash layer is given to K numbers.

    Example:
        >>> class Decay(nn.Module):
        ...     def on_hash_layer(self, weight):
        ...         self.rows = [weight]
        >>> objective = Decay()
        >>> announce_hash_layer(objective, torch.ones(8, 32))
        >>> objective.rows[0].shape
        torch.Size([8, 32])
    """
    on_hash_layer = getattr(objective, "on_hash_layer", None)
    if on_hash_layer is not None:
        on_hash_layer(weight)


def _arguments(objective: str | ObjectiveMaker) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(maker_of(objective)).parameters
