"""Optimisers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from pyro_align.config import TrainingConfig


def configure(parameters: Sequence[nn.Parameter], training: TrainingConfig) -> dict[str, Any]:
    """Optimiser and schedule, as Lightning's ``configure_optimizers`` returns them."""
    optimizers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = optimizers[training.optimizer](
        parameters, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    if training.schedule == "plateau":
        return {"optimizer": optimizer}  # PlateauSchedule does the rest
    decay = _inverse_square_root if training.schedule == "inverse-square-root" else _constant
    warmup = max(1, training.warmup_steps)
    by_step = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / warmup) * decay(step, warmup))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": by_step, "interval": "step"}}


class PlateauSchedule(Callback):
    """Halve the learning rate when what validation watches has stopped falling.

    The rule is that of :class:`torch.optim.lr_scheduler.ReduceLROnPlateau`. Lightning skips that
    one at the end of an epoch that it has resumed.

    Args:
        metric: what is watched, the smaller the better.
        patience: epochs without progress that are forgiven.
    """

    THRESHOLD = 1e-4
    """Smaller relative progress is none."""

    def __init__(self, metric: str, patience: int):
        self.metric = metric
        self.patience = patience
        self.best = float("inf")
        self.without_progress = 0

    def state_dict(self) -> dict[str, Any]:
        """What the next decision depends on; the learning rate is kept with the optimiser."""
        return {"best": self.best, "without_progress": self.without_progress}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        self.best = state_dict["best"]
        self.without_progress = state_dict["without_progress"]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the value just measured."""
        self.step(float(trainer.callback_metrics[self.metric]), trainer.optimizers)

    def step(self, value: float, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Take note of an epoch's value, and halve the learning rates, if it is time."""
        if value < self.best * (1 - self.THRESHOLD):
            self.best, self.without_progress = value, 0
        else:
            self.without_progress += 1
        if self.without_progress > self.patience:
            self.without_progress = 0
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    group["lr"] *= 0.5


def _constant(step: int, warmup: int) -> float:
    return 1.0


def _inverse_square_root(step: int, warmup: int) -> float:
    """1 until the warm-up ends, then falling (Vaswani et al. 2017, section 5.3, rescaled)."""
    return float((warmup / max(warmup, step)) ** 0.5)
