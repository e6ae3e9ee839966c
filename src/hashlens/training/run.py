"""Running the training loop on what was prepared."""

from __future__ import annotations

import gc
import logging
import os
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import DataLoader

from hashlens.backbones import Backbone
from hashlens.errors import BadInput
from hashlens.methods import TrainingSettings
from hashlens.models import HashNetwork
from hashlens.training.checkpoints import Checkpoints
from hashlens.training.datasets import FeatureDataset, PixelDataset, ShuffleByEpoch, keep_batch
from hashlens.training.loop import HashTraining, KeepBest, ShowProgress
from hashlens.training.preparation import Prepared
from hashlens.training.validation import Validation

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Task:
    """What to train on, and where.

    Attributes:
        prepared: the items.
        backbone: pretrained; ``None`` for given features.
        finetune: whether batches are images for the backbone rather than features.
        train_items, held_out: numbers of prepared items.
        devices: processes.
    """

    prepared: Prepared
    backbone: Backbone | None
    finetune: bool
    train_items: NDArray[np.int64]
    held_out: NDArray[np.int64]
    seed: int
    device: torch.device
    devices: int

    @property
    def dimension(self) -> int:
        """D, length of a feature."""
        return self.backbone.dimension if self.backbone else int(self.prepared.inputs.shape[1])

    def training_loader(self, batch_size: int) -> DataLoader:
        """Batches in a new order for each epoch, augmented where they are images."""
        batch = min(batch_size, len(self.train_items) // self.devices)  # each process takes its share
        if batch < 2:
            raise BadInput(
                f"{len(self.train_items)} training images are too few to share among {self.devices} devices."
            )
        order = ShuffleByEpoch(len(self.train_items), self.seed)
        return self._loader(self.train_items, True, batch_size=batch, drop_last=True, sampler=order)

    def evaluation_loader(self, items: NDArray[np.int64]) -> DataLoader:
        """These items in order, not augmented."""
        return self._loader(items, False, batch_size=EVALUATION_BATCH)

    def _loader(self, items: NDArray[np.int64], augment: bool, **options: Any) -> DataLoader:
        targets = torch.from_numpy(self.prepared.targets[items])
        if not self.finetune:
            dataset = FeatureDataset(self.prepared.inputs[items], targets)
            return DataLoader(dataset, collate_fn=keep_batch, **options)
        assert self.backbone is not None
        images = self.prepared.inputs.select(items)
        return DataLoader(
            PixelDataset(images, targets, self.backbone.preprocessing, augment, self.seed),
            num_workers=min(max(1, (os.cpu_count() or 2) - 1), 8),
            pin_memory=torch.cuda.is_available(),
            persistent_workers=True,
            **options,
        )


def train(
    task: Task,
    network: HashNetwork,
    objective: nn.Module,
    settings: TrainingSettings,
    validation: Validation | None = None,
    saving: Checkpoints | None = None,
    purpose: str = "",
) -> KeepBest:
    """Train a network.

    Args:
        validation: of the held-out items, in the order of ``task.held_out``.
        purpose: what for, in the log, where it is not codes.

    Returns:
        The weights of the best epoch, and the history.
    """
    import lightning as L
    from lightning.pytorch.callbacks import Callback, ModelCheckpoint

    loop = HashTraining(network, objective, settings, validation, task.seed)
    loader = task.training_loader(settings.batch_size)
    on_gpu = task.device.type == "cuda"
    figure = validation.figure if validation else ""
    best = KeepBest(figure, purpose)
    callbacks: list[Callback] = [best, ShowProgress(figure)]
    if saving:
        callbacks.append(
            ModelCheckpoint(saving.folder, filename="last", save_top_k=1, enable_version_counter=False)
        )
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings(), _few_threads(network), _interruptible():
        warnings.filterwarnings("ignore", module="lightning")  # advice on workers and logging intervals
        trainer = L.Trainer(
            accelerator="gpu" if on_gpu else "cpu",
            devices=task.devices if task.devices > 1 else [task.device.index or 0] if on_gpu else 1,
            strategy="ddp" if task.devices > 1 else "auto",
            precision="16-mixed" if on_gpu and network.backbone is not None else "32-true",
            max_epochs=settings.epochs,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=saving is not None,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        resume_from = saving.resume_from if saving else None
        if resume_from:  # Lightning draws the first batches before it tells the sampler which epoch it is
            epochs_done = torch.load(resume_from, map_location="cpu", weights_only=True)["epoch"] + 1
            assert isinstance(loader.sampler, ShuffleByEpoch)
            loader.sampler.set_epoch(epochs_done)
        trainer.fit(
            loop,
            loader,
            task.evaluation_loader(task.held_out) if validation else None,
            ckpt_path=resume_from,
            weights_only=True if resume_from else None,
        )
    best.weights = trainer.strategy.broadcast(best.weights)  # processes may differ in batch-norm statistics
    del trainer, loop, loader, callbacks
    gc.collect()  # trainer and module refer to each other, and would hold the training data until Python notices
    return best


def outputs(task: Task, network: HashNetwork, items: NDArray[np.int64]) -> NDArray[np.float32]:
    """What a trained network gives for these items, (n, …) float32."""
    network = network.eval().to(task.device)
    with torch.inference_mode():
        batches = [network(inputs.to(task.device)).float().cpu() for inputs, *_ in task.evaluation_loader(items)]
    return torch.cat(batches).numpy()


@contextmanager
def _few_threads(network: HashNetwork) -> Iterator[None]:
    """One thread where there is no backbone: several would wait for each other longer than they compute."""
    threads = torch.get_num_threads()
    if network.backbone is None:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let an interrupt be one: Lightning exits the process instead, which a notebook should survive."""
    try:
        yield
    except SystemExit:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None
