"""Optimisers and learning rate schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from pyro_align.config import TrainingConfig


def configure(
    parameters: Sequence[nn.Parameter], training: TrainingConfig, steps: int
) -> dict[str, Any]:
    """Return optimiser and schedule in the format of Lightning's ``configure_optimizers``.

    Args:
        parameters: the parameters to train.
        training: settings of the training.
        steps: number of optimiser steps of the whole fit.
    """
    optimizers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = optimizers[training.optimizer](
        parameters, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    if training.schedule == "plateau":
        return {"optimizer": optimizer}  # PlateauSchedule is a callback
    decay = {
        "constant": _constant,
        "inverse-square-root": _inverse_square_root,
        "cosine": _cosine,
    }[training.schedule]
    warmup = max(1, training.warmup_steps)
    by_step = LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warmup) * decay(step, warmup, steps)
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": by_step, "interval": "step"}}


class PlateauSchedule(Callback):
    """Halve the learning rate when a validation metric stops improving.

    The rule is that of :class:`torch.optim.lr_scheduler.ReduceLROnPlateau` with an absolute
    threshold. Lightning skips that class at the end of a resumed epoch.

    Args:
        metric: the metric to monitor; smaller is better.
        patience: number of epochs without improvement before the learning rate is halved.
    """

    THRESHOLD = 1e-4
    """Minimum improvement, in the unit of the metric."""

    def __init__(self, metric: str, patience: int):
        self.metric = metric
        self.patience = patience
        self.best = float("inf")
        self.without_progress = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the state; the learning rate is part of the optimiser's state."""
        return {"best": self.best, "without_progress": self.without_progress}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state."""
        self.best = state_dict["best"]
        self.without_progress = state_dict["without_progress"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Update with the latest validation value."""
        self.step(float(trainer.callback_metrics[self.metric]), trainer.optimizers)

    def step(self, value: float, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Update with the value of an epoch, and halve the learning rates if due."""
        if value < self.best - self.THRESHOLD:
            self.best, self.without_progress = value, 0
        else:
            self.without_progress += 1
        if self.without_progress > self.patience:
            self.without_progress = 0
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] *= 0.5


def _constant(step: int, warmup: int, steps: int) -> float:
    return 1.0


def _inverse_square_root(step: int, warmup: int, steps: int) -> float:
    """Inverse square root decay after the warm-up (Vaswani et al. 2017, section 5.3, rescaled)."""
    return float((warmup / max(warmup, step)) ** 0.5)


def _cosine(step: int, warmup: int, steps: int) -> float:
    """Half a period of a cosine, from 1 to 0 (Loshchilov & Hutter 2017, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * min(step, steps) / steps))
