"""Moving averages of weights."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor


class WeightAverage(Callback):
    """Validate and save an exponential moving average of the weights.

    After optimiser step ``n`` the average moves towards the weights by a fraction ``1 − d`` of
    their difference, where ``d = min(decay, n / (n + 9))``: early averages forget the random
    initial weights quickly. Training itself continues with the weights, so the average does not
    change it, except through early stopping and the plateau schedule, which see the validation
    values of the average. Buffers, such as the statistics of batch normalisation, are not averaged.

    In the list of callbacks it must come after :class:`BestWeights`, which saves the average, and
    before :class:`ResumePoint`, which saves the weights and the average.

    Args:
        decay: at least 0 and below 1; ``1 / (1 − decay)`` is the number of steps averaged over.
    """

    # Lightning's callbacks of this kind exchange weights and average before others can save it.
    def __init__(self, decay: float):
        self.decay = decay
        self.step = 0
        self.average: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of steps in it."""
        return {"step": self.step, "average": self.average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the average."""
        self.step, self.average = state_dict["step"], state_dict["average"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start from the initial weights, or move a restored average to the device."""
        weights = _trained(pl_module)
        start = self.average or [weight.clone() for weight in weights]
        self.average = [mean.to(weight) for mean, weight in zip(start, weights, strict=True)]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average after an optimiser step."""
        if trainer.global_step > self.step:
            self.step = trainer.global_step
            kept = min(self.decay, self.step / (self.step + 9))
            torch._foreach_lerp_(self.average, _trained(pl_module), 1 - kept)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exchange weights and average."""
        self._exchange(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exchange weights and average again, to train on."""
        self._exchange(pl_module)

    def _exchange(self, pl_module: LightningModule) -> None:
        for mean, weight in zip(self.average, _trained(pl_module), strict=True):
            kept = weight.clone()
            weight.copy_(mean)
            mean.copy_(kept)


def _trained(pl_module: LightningModule) -> list[Tensor]:
    """The parameters that are trained, without gradients."""
    return [weight.detach() for weight in pl_module.parameters() if weight.requires_grad]
