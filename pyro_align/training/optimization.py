"""Optimisers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from pyro_align.config import TrainingConfig


def configure(parameters: Sequence[nn.Parameter], training: TrainingConfig) -> dict[str, Any]:
    """Optimiser and schedule, as Lightning's ``configure_optimizers`` returns them."""
    optimizers = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = optimizers[training.optimizer](
        parameters, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    if training.schedule == "plateau":
        plateau = ReduceLROnPlateau(optimizer, factor=0.5, patience=training.patience)
        schedule = {"scheduler": plateau, "monitor": "valid/perplexity", "interval": "epoch"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}
    decay = _inverse_square_root if training.schedule == "inverse-square-root" else _constant
    warmup = training.warmup_steps
    by_step = LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / max(1, warmup)) * decay(step, warmup)
    )
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": by_step, "interval": "step"}}


def _constant(step: int, warmup: int) -> float:
    return 1.0


def _inverse_square_root(step: int, warmup: int) -> float:
    """1 until the warm-up ends, then falling (Vaswani et al. 2017, section 5.3, rescaled)."""
    return float((warmup / max(warmup, step)) ** 0.5)
