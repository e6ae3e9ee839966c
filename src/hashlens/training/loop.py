"""The training loop."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Beta
from torch.utils.data import DataLoader

from hashlens.codes import pack
from hashlens.errors import BadInput
from hashlens.methods import OPTIMIZERS, SCHEDULES, TrainingSettings
from hashlens.models import HashNetwork
from hashlens.objectives import announce_epoch, announce_hash_layer, may_mix
from hashlens.progress import Progress, silence
from hashlens.training.checkpoints import Checkpoint
from hashlens.training.datasets import ShuffleByEpoch, seed_for
from hashlens.training.items import TrainingItems
from hashlens.training.processors import of_all
from hashlens.training.validation import Validation

if TYPE_CHECKING:
    from lightning.fabric import Fabric

log = logging.getLogger("hashlens")

BATCH_NORM_MOMENTUM = 0.1
PIXELS_AT_ONCE = 400_000  # in one pass of a backbone on a CPU, whose caches hold no activations of more
LEAST_OF_LAYER = 0.125  # rate of a layer of the backbone relative to the last one's, below which it is frozen
REMEMBERED = 0.01  # share of the initial statistics of batch norm that is left after an epoch, at most


@dataclass
class Record:
    """What came of the epochs so far.

    Attributes:
        history: epoch, loss and validation score of every epoch.
        best_epoch: the one with the highest score, from 1; the last one where nothing is held out.
        best_score: its score.
        weights: the network's state after it.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int = 0
    best_score: float = -1.0
    weights: dict[str, Tensor] = field(default_factory=dict)

    def add(self, network: HashNetwork, loss: float, score: float | None, figure: str) -> str:
        """Note an epoch, and keep the network if it is better; returns what to say of it."""
        epoch = len(self.history) + 1
        scored = {} if score is None else {f"validation_{figure}": score}
        self.history.append({"epoch": epoch, "loss": loss, **scored})
        better = score is None or score > self.best_score
        if better:
            self.best_epoch, self.best_score = epoch, -1.0 if score is None else score
            self.weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
        return "" if score is None else f", validation {figure} {score:.4f}{' (best so far)' if better else ''}"


class NetworkLoss(nn.Module):
    """Network and objective as one module: both may learn, and processes share the gradients of both.

    A backbone sees the batch of its own process. What follows it, batch norm and the objective among it, sees the
    batches of all of them in every process, so that a training is the same however many share it.

    Args:
        mixing: see :class:`hashlens.methods.TrainingSettings`.
    """

    def __init__(self, network: HashNetwork, objective: nn.Module, fabric: Fabric, mixing: float = 0.0) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.mixing = mixing if may_mix(objective) else 0.0
        self._fabric = fabric

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        features = self._features(inputs)
        whole, all_targets = of_all(self._fabric, features), of_all(self._fabric, targets)
        if not self.mixing:
            return self.objective(self.network.codes_of(whole), all_targets)
        # Drawn where all processes draw the same.
        share = float(Beta(self.mixing, self.mixing).sample())
        partners = torch.randperm(len(whole))
        codes = self.network.codes_of(share * whole + (1 - share) * whole[partners])
        own, other = self.objective(codes, all_targets), self.objective(codes, all_targets[partners])
        return share * own + (1 - share) * other

    def _features(self, inputs: Tensor) -> Tensor:
        """By parts of the batch on a CPU, which changes nothing but the speed: a backbone keeps its statistics."""
        if self.network.backbone is None or inputs.device.type != "cpu":
            return self.network.features_of(inputs)
        parts = inputs.split(max(1, PIXELS_AT_ONCE // inputs[0, 0].numel()))
        return torch.cat([self.network.features_of(part) for part in parts])


def train(
    items: TrainingItems,
    network: HashNetwork,
    objective: nn.Module,
    settings: TrainingSettings,
    validation: Validation | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress = silence,
    purpose: str = "",
) -> Record:
    """Train a network towards an objective, and leave it on the CPU with the weights of the best epoch.

    Args:
        validation: of the held-out items, if the best epoch is to be chosen by them.
        checkpoint: where to save the state after every epoch, and to go on from what was saved.
        purpose: what for, in the log, where it is not codes.

    Raises:
        BadInput: the training diverges, or the checkpoint is of another one.
    """
    fabric = items.fabric
    saved = checkpoint.read() if checkpoint and fabric.is_global_zero else None
    saved = fabric.broadcast(saved)  # the others may not see the disk
    order = ShuffleByEpoch(len(items.training), items.seed, fabric.global_rank, fabric.world_size)
    batches = items.training_batches(order, settings.batch_size)
    share = _equal_share(len(items.held_out), fabric)
    held_out = items.batches(items.held_out[share])
    _set_momentum(network, settings.batch_norm_momentum, len(batches))
    both = NetworkLoss(network, objective, fabric, settings.mixing)
    model, optimizer = fabric.setup(both, optimizer_for(network, objective, settings))
    rates, factor = [group["lr"] for group in optimizer.param_groups], SCHEDULES[settings.schedule]
    steps = settings.epochs * len(batches)
    record = Record()
    announce_hash_layer(objective, network.hash_layer.linear.weight)
    if saved:
        both.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        fabric.strategy.precision.load_state_dict(saved["precision"])
        record = Record(**saved["record"])

    shown = progress if fabric.is_global_zero else silence
    with items.threads(), shown("Training", steps) as advance:
        advance(len(record.history) * len(batches))
        for epoch in range(len(record.history), settings.epochs):
            order.set_epoch(epoch)
            drawn = iter(batches)
            torch.manual_seed(seed_for(items.seed, epoch))  # the same numbers where the training is taken up again
            announce_epoch(objective, epoch / settings.epochs)
            model.train()
            if network.backbone:
                network.backbone.eval()  # its batch norm keeps the statistics of many images
            total = torch.zeros((), device=fabric.device)
            for step, batch in enumerate(drawn, epoch * len(batches)):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * factor(step / steps)
                inputs, targets, _ = fabric.to_device(batch)
                loss = model(inputs, targets)
                optimizer.zero_grad()
                fabric.backward(loss)
                optimizer.step()
                total += loss.detach()
                advance(1)
            mean = float(torch.as_tensor(fabric.all_reduce(total))) / len(batches)
            if not (math.isfinite(mean) and all(one.isfinite().all() for one in both.parameters())):
                raise BadInput(f"The training diverged in epoch {epoch + 1}; lower the learning rate.")
            score = _score(fabric, network, held_out, share, validation) if validation else None
            said = record.add(network, mean, score, validation.figure if validation else "")
            advance(0, said.removeprefix(", "))
            if fabric.is_global_zero:
                name = f"{purpose}, epoch" if purpose else "epoch"
                log.info("%s %d of %d: loss %.4f%s", name, epoch + 1, settings.epochs, mean, said)
                if checkpoint:
                    state = {"model": both.state_dict(), "optimizer": optimizer.state_dict()}
                    precision = fabric.strategy.precision.state_dict()
                    checkpoint.write(state | {"precision": precision, "record": vars(record)})
    record.weights = fabric.broadcast(record.weights)  # processes may differ in batch-norm statistics
    network.cpu().load_state_dict(record.weights)
    return record


def outputs(items: TrainingItems, network: HashNetwork, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
    """What a trained network gives for these items, (n, …) float32."""
    device = items.fabric.device
    network = network.eval().to(device)
    with torch.inference_mode():
        found = [network(inputs.to(device)).float().cpu() for inputs, *_ in items.batches(numbers)]
    return torch.cat(found).numpy()


def _equal_share(count: int, fabric: Fabric) -> NDArray[np.int64]:
    """What this process takes of ``count`` items: some twice, so that all take equally many."""
    ranks = fabric.world_size
    return np.resize(np.arange(count), -(-count // ranks) * ranks)[fabric.global_rank :: ranks]


def _score(
    fabric: Fabric, network: HashNetwork, batches: DataLoader, share: NDArray[np.int64], validation: Validation
) -> float:
    """How good the codes of the held-out items are, of which each process encodes its share."""
    network.eval()
    with torch.inference_mode(), fabric.autocast():
        found = [(places, network(fabric.to_device(inputs)).float()) for inputs, _targets, places in batches]
    numbers = torch.from_numpy(share).to(fabric.device)[torch.cat([places for places, _ in found])]
    numbers, codes = of_all(fabric, numbers), of_all(fabric, torch.cat([codes for _, codes in found]))
    once, first = np.unique(numbers.cpu().numpy(), return_index=True)
    packed = pack(codes.cpu().numpy()[first], network.hash_layer.threshold)
    return validation.score(packed, once, codes.shape[1])


def _set_momentum(network: HashNetwork, momentum: float | None, steps: int) -> None:
    """With few steps in an epoch, running statistics would hold on to what they were initialised with."""
    momentum = momentum or max(1 - REMEMBERED ** (1 / steps), BATCH_NORM_MOMENTUM)
    for part in (network.hidden_layers, network.hash_layer):
        for module in part.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.momentum = momentum


def optimizer_for(network: HashNetwork, objective: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """What trains network and objective; layers of the backbone that it leaves out need no gradients any more."""
    of_backbone = list(network.backbone.parameters()) if network.backbone else []
    slow = {id(parameter) for parameter in of_backbone}
    others = [one for one in (*network.parameters(), *objective.parameters()) if id(one) not in slow]
    groups: list[dict[str, Any]] = [{"params": others, "lr": settings.learning_rate}]
    rate = settings.learning_rate * settings.backbone_rate
    if network.backbone and settings.layer_decay == 1:
        groups.append({"params": of_backbone, "lr": rate})
    elif network.backbone:
        from timm.optim import param_groups_layer_decay  # takes a while to import

        by_layer = param_groups_layer_decay(
            network.backbone.network,
            settings.weight_decay,
            layer_decay=settings.layer_decay,
            no_opt_scale=LEAST_OF_LAYER,
        )
        for group in by_layer:
            group["lr"] = rate * group.pop("lr_scale")
        groups += by_layer
    return OPTIMIZERS[settings.optimizer](groups, weight_decay=settings.weight_decay)
