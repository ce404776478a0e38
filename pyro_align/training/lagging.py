"""Lagging inference networks: train the guide until its bound stops improving."""

from __future__ import annotations

import math
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from pyro_align.evaluation import mutual_information
from pyro_align.inference.traces import own_parameters
from pyro_align.training.module import TrainingModule

WINDOW = 10
"""Steps of the guide over which its loss is averaged, to see whether it still decreases."""

MOST = 100
"""Maximum number of steps of the guide for one step of the model, as in He et al. (2019)."""


class LaggingInference(Callback):
    """Make several steps of the guide before each step of the model (He et al. 2019, algorithm 1).

    Each optimiser step trains either the guide or the model: the gradients of the other are
    removed. The guide is trained until its loss per token, averaged over :data:`WINDOW` batches, no
    longer decreases, or for :data:`MOST` steps; then the model is trained for one step. This ends
    when the mutual information of sentence and latent variable on the validation text has not
    risen in an epoch. From then on each step trains both.
    """

    def __init__(self) -> None:
        self.is_active = True
        self.trains_model = False
        self._steps = 0  # of the guide since the last step of the model
        self._sums = [0.0, 0.0]  # loss and tokens of the present window
        self._last = math.inf  # loss per token of the window before
        self._information = -math.inf

    def state_dict(self) -> dict[str, Any]:
        """Return the state."""
        return {**vars(self), "_sums": list(self._sums)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state."""
        vars(self).update(state_dict)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Any
    ) -> None:
        """Remove the gradients of the guide, or those of the model."""
        if not self.is_active:
            return
        assert isinstance(pl_module, TrainingModule)
        model, guide = pl_module.elbo.model, pl_module.elbo.guide
        idle = own_parameters(guide, model) if self.trains_model else list(model.parameters())
        for parameter in idle:
            parameter.grad = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the loss of a batch."""
        if not self.is_active:
            return
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self._sums[0] += float(loss.detach())
        self._sums[1] += batch.num_targets
        if not (batch_idx + 1) % trainer.accumulate_grad_batches or trainer.is_last_batch:
            self.after_step()

    def after_step(self) -> None:
        """Decide what the next step trains, from the losses of the steps so far."""
        if self.trains_model:
            self.trains_model, self._steps, self._last, self._sums = False, 0, math.inf, [0.0, 0.0]
            return
        self._steps += 1
        if self._steps % WINDOW == 0:
            loss = self._sums[0] / self._sums[1]
            self.trains_model = loss >= self._last or self._steps >= MOST
            self._last, self._sums = loss, [0.0, 0.0]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Estimate the mutual information of the epoch."""
        if not self.is_active:
            return
        assert isinstance(pl_module, TrainingModule)
        guide, device = pl_module.elbo.guide, pl_module.device
        batches: Any = trainer.val_dataloaders
        posteriors = [
            posterior
            for batch in batches
            for posterior in guide.posterior(batch.to(device)).values()
        ]
        self.after_validation(mutual_information(posteriors).value)

    def after_validation(self, information: float) -> None:
        """Stop if the mutual information has not risen.

        Args:
            information: mutual information on the validation text.
        """
        self.is_active = information > self._information
        self._information = information
