"""The training loop, as a Lightning module and callbacks."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn

from hashlens.codes import pack
from hashlens.methods import OPTIMIZERS, SCHEDULES, TrainingSettings
from hashlens.models import HashNetwork
from hashlens.progress import progress_bar
from hashlens.training.datasets import Batch, seed_for
from hashlens.training.validation import Validation

log = logging.getLogger("hashlens")

BATCH_NORM_MOMENTUM = 0.1
REMEMBERED = 0.01  # share of the initial statistics of batch norm that is left after an epoch, at most


class HashTraining(L.LightningModule):
    """Trains a hash network towards an objective and watches how it does on held-out images.

    Args:
        validation: what to judge held-out images by, if there are any.
        seed: of random numbers in the network, such as dropout; they depend on it and the epoch alone.
    """

    def __init__(
        self,
        network: HashNetwork,
        objective: nn.Module,
        settings: TrainingSettings,
        validation: Validation | None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self._settings = settings
        self._validation = validation
        self._seed = seed
        self._held_out_codes: list[tuple[Tensor, Tensor]] = []

    def on_train_start(self) -> None:
        # With few steps, running statistics would hold on to what they were initialised with.
        momentum = 1 - REMEMBERED ** (1 / self.trainer.num_training_batches)
        for part in (self.network.hidden_layers, self.network.hash_layer):
            for module in part.modules():
                if isinstance(module, nn.BatchNorm1d):
                    module.momentum = max(momentum, BATCH_NORM_MOMENTUM)

    def on_train_epoch_start(self) -> None:
        torch.manual_seed(seed_for(self._seed, self.current_epoch))

    def training_step(self, batch: Batch, _: int) -> Tensor:
        inputs, targets, _items = batch
        loss = self.objective(self.network(inputs), targets)
        self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(inputs), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        inputs, _targets, items = batch
        self._held_out_codes.append((items, self.network(inputs).float()))

    def on_validation_epoch_end(self) -> None:
        items = torch.cat([items for items, _ in self._held_out_codes])
        codes = torch.cat([codes for _, codes in self._held_out_codes])
        self._held_out_codes.clear()
        if self.trainer.world_size > 1:  # processes are padded to equal shares, so some items come twice
            items = torch.as_tensor(self.all_gather(items)).flatten()
            codes = torch.as_tensor(self.all_gather(codes)).flatten(0, 1)
        numbers, first = np.unique(items.cpu().numpy(), return_index=True)
        packed = pack(codes.cpu().numpy()[first], self.network.hash_layer.threshold)
        assert self._validation is not None
        self.log("validation", self._validation.score(packed, numbers, codes.shape[1]))

    def configure_optimizers(self) -> Any:
        settings = self._settings
        backbone = self.network.backbone
        of_backbone = {id(p) for p in backbone.parameters()} if backbone else set()
        groups = [
            {"params": [p for p in self.parameters() if id(p) not in of_backbone], "lr": settings.learning_rate}
        ]
        if backbone:
            rate = settings.learning_rate * settings.backbone_rate
            groups.append({"params": list(backbone.parameters()), "lr": rate})
        optimizer = OPTIMIZERS[settings.optimizer](groups, weight_decay=settings.weight_decay)
        factor = SCHEDULES[settings.schedule]
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: factor(step / steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class KeepBest(Callback):
    """Keeps a copy of the network at the epoch with the highest validation score, also across a resume.

    Attributes:
        history: epoch, loss and validation score of every epoch so far.
        weights: the network's state at ``best_epoch`` (from 1); at the last epoch where nothing is held out.

    Args:
        figure: name of the score.
        purpose: what is trained, in the log, where it is not codes.
    """

    def __init__(self, figure: str = "", purpose: str = "") -> None:
        self._figure = figure
        self._purpose = purpose
        self.history: list[dict[str, float]] = []
        self.weights: dict[str, Tensor] = {}
        self.best_epoch = 0
        self.best_score = -1.0

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        assert isinstance(module, HashTraining)
        epoch = trainer.current_epoch + 1
        entry = {"epoch": epoch, "loss": float(trainer.callback_metrics["loss"])}
        score = trainer.callback_metrics.get("validation")
        if score is not None:
            entry[f"validation_{self._figure}"] = float(score)
        self.history.append(entry)
        better = score is None or float(score) > self.best_score
        if better:
            self.best_epoch, self.best_score = epoch, -1.0 if score is None else float(score)
            self.weights = {
                name: value.detach().cpu().clone() for name, value in module.network.state_dict().items()
            }
        if trainer.is_global_zero:
            note = ""
            if score is not None:
                note = f", validation {self._figure} {float(score):.4f}{' (best so far)' if better else ''}"
            name = f"{self._purpose}, epoch" if self._purpose else "epoch"
            log.info("%s %d of %d: loss %.4f%s", name, epoch, trainer.max_epochs, entry["loss"], note)

    def state_dict(self) -> dict[str, Any]:
        # Not all of __dict__: Lightning adds attributes of its own, which no checkpoint can be read with.
        return {name: getattr(self, name) for name in ("history", "weights", "best_epoch", "best_score")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.__dict__.update(state_dict)


class ShowProgress(Callback):
    """A bar over all training steps."""

    def __init__(self, figure: str = "") -> None:
        self._figure = figure
        self._bar: AbstractContextManager | None = None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            self._bar = progress_bar("Training", int(trainer.estimated_stepping_batches))
            self._advance = self._bar.__enter__()
            self._advance(trainer.global_step)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if self._bar:
            score = trainer.callback_metrics.get("validation")
            self._advance(1, "" if score is None else f"validation {self._figure} {float(score):.3f}")

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self._bar:
            self._bar.__exit__(None, None, None)
            self._bar = None
