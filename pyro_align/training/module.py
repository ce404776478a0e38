"""The Lightning module that trains a model and guide with an objective."""

from __future__ import annotations

import math
import time
from typing import Any

import pyro
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from pyro_align.config import TrainingConfig
from pyro_align.data.batch import Batch
from pyro_align.errors import TrainingError
from pyro_align.evaluation.result import perplexity
from pyro_align.inference import (
    KL_SCHEDULES,
    Objective,
    PositionScores,
    score_batch,
)
from pyro_align.inference.traces import ALIGNMENT
from pyro_align.training.handlers import as_in_training
from pyro_align.training.optimization import configure
from pyro_align.training.resumed import adopt

CRITERION = "valid/criterion"
"""Validation metric for the best weights, the plateau schedule and early stopping; smaller is
better. It is the negative log evidence in nats per token or, if the model is frozen and that cannot
change, the negative ELBO."""

SENTENCE_KL = "valid/sentence_kl"
"""Validation metric: divergence of the latent variables of a sentence, in nats per sentence. Only
of models that have such variables."""

DRAWS = 5
"""Importance samples per sentence in a validation, if there is something to sample. More would make
it take longer than the training, and hardly change which weights are the best."""

_REMEDY = "reduce training.learning_rate or training.clip"


class TrainingModule(LightningModule):
    """Train a model and guide with an objective, weighting all tokens equally.

    Losses are summed over tokens, and the gradient is divided by the number of tokens in the whole
    optimiser step, over accumulated batches and processes. The gradient therefore does not depend
    on how the sentences of a step are split.

    A frozen model gets no gradient and always stays in evaluation mode: the guide is fitted to the
    posterior of the trained model, and dropout would change that posterior in every step and make
    it flatter on average.

    Args:
        model: a Pyro program over a batch.
        guide: a Pyro program over a batch.
        objective: an ELBO for model and guide.
        training: settings of optimiser and schedules.
        steps: number of optimiser steps of the whole fit, over which a cosine schedule decays.
    """

    def __init__(
        self,
        model: Any,
        guide: Any,
        objective: Objective,
        training: TrainingConfig,
        steps: int = 1,
    ):
        super().__init__()
        self._frozen = list(model.parameters()) if training.freeze_model else []
        for parameter in self._frozen:
            parameter.requires_grad_(False)
        self.elbo = objective(model, guide)
        self.objective = objective
        self.settings = training
        self._steps = steps
        self.kl_weight = KL_SCHEDULES[training.kl_schedule](training.kl_steps)
        self._step_tokens = 0
        self._sums: Tensor | None = None  # bound, log likelihood, KL, tokens since the last log
        # Bound, tokens and seconds of this epoch, up to the last log.
        self._epoch = torch.zeros(3, dtype=torch.float64)
        self._since = time.perf_counter()
        self._seconds = 0.0  # of training before that time
        # Start of this part of the fit, and seconds of the parts before it.
        self._began, self._before = time.perf_counter(), 0.0
        self._batch_idx = 0
        # Epoch, batch and step of the first loss or gradient that was not finite; −1 for none.
        self._nonfinite = torch.full((3,), -1)
        self.train()  # Lightning does not change the mode.

    @property
    def programs(self) -> dict[str, nn.Module]:
        """Model and guide, by the prefix of their weights."""
        return {"model": self.elbo.model, "guide": self.elbo.guide}

    def train(self, mode: bool = True) -> TrainingModule:
        """Set training mode; a frozen model stays in evaluation mode."""
        super().train(mode)
        if self.settings.freeze_model:
            self.elbo.model.eval()
        return self

    def configure_optimizers(self) -> Any:
        """Return optimiser and learning rate schedule of the configuration."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return configure(trained, self.settings, self._steps)

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Copy a batch from pinned memory to the device asynchronously."""
        return batch.to(device, non_blocking=True)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the summed loss of a batch."""
        batch = batch.with_new_noise()
        self.objective.step = self.global_step
        self.objective.kl_weight = self.kl_weight(self.global_step)
        # Pyro's checks depend only on values and shapes: running them once is enough.
        check = self.global_step == 0
        with (
            pyro.settings.context(
                module_local_params=True,
                validate_distributions_pyro=check,
                validate_distributions_torch=check,
                validate_poutine=check,
                validate_infer=check,
            ),
            as_in_training(batch, self.settings),
        ):
            terms = self.objective.terms(self.elbo.model, self.elbo.guide, batch)
        self._batch_idx = batch_idx
        self._watch(terms.loss.detach())
        self._step_tokens += batch.num_targets
        new = torch.stack(
            [
                -terms.loss.detach(),
                terms.log_likelihood,
                terms.total_kl,
                terms.total_kl.new_full((), batch.num_targets),
            ]
        )
        self._sums = new if self._sums is None else self._sums.to(new.device) + new
        # Lightning averages over accumulated batches; on_before_optimizer_step averages over
        # tokens instead.
        return terms.loss * self.trainer.accumulate_grad_batches

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradient by the number of tokens of the optimiser step."""
        tokens = torch.full((), float(self._step_tokens), device=self.device)
        world = self.trainer.world_size
        if world > 1:
            torch.distributed.all_reduce(tokens)
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        torch._foreach_mul_(gradients, world / tokens)
        self._step_tokens = 0

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient by norm, and detect a gradient that is not finite."""
        assert gradient_clip_val is not None
        self._watch(torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val))

    def figures(self) -> dict[str, float]:
        """Return training metrics since the last call: per-token means in nats, and settings.

        Raises:
            TrainingError: if a loss or gradient was not finite.
        """
        self.refuse_nonfinite()
        total = self._total()
        assert total is not None
        bound, log_likelihood, kl, tokens = total.tolist()
        before, self._seconds = self._seconds, self._trained()
        self._epoch += torch.tensor([bound, tokens, self._seconds - before], dtype=torch.float64)
        self._sums, self._since = None, time.perf_counter()
        (optimizer,) = self.trainer.optimizers
        return {
            "train/perplexity": perplexity(bound, tokens),
            "train/elbo": (log_likelihood - kl) / tokens,
            "train/kl": kl / tokens,
            "train/kl_weight": self.objective.kl_weight,
            "train/learning_rate": optimizer.param_groups[0]["lr"],
            "train/tokens_per_second": tokens / (self._seconds - before),
            "train/seconds": self._seconds,
            **{f"train/{name}": value for name, value in self.objective.figures().items()},
        }

    def epoch_figures(self) -> tuple[float, float]:
        """Return training perplexity of this epoch so far, and tokens per second."""
        bound, tokens, seconds = self._epoch.tolist()
        return perplexity(bound, tokens), tokens / seconds

    def on_train_start(self) -> None:
        """Start measuring training time."""
        self._since = time.perf_counter()

    def on_train_epoch_start(self) -> None:
        """Reset the sums of the epoch, and exclude validation from training time."""
        self._epoch.zero_()
        self._sums, self._since = None, time.perf_counter()

    @property
    def fit_seconds(self) -> float:
        """Seconds of training and validation since the start, including resumed parts."""
        return self._before + time.perf_counter() - self._began

    def on_fit_start(self) -> None:
        """Start measuring the time of this part of the fit."""
        self._began = time.perf_counter()

    def on_train_end(self) -> None:
        """Reset the objective's schedules, so that it is the bound itself."""
        self.objective.step, self.objective.kl_weight = None, 1.0

    def teardown(self, stage: str) -> None:
        """Unfreeze a frozen model after training."""
        for parameter in self._frozen:
            parameter.requires_grad_(True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the sums since the last row of training metrics, and the training time."""
        checkpoint["sums"] = self._total()
        # Without sums, only validation may have followed the last row.
        checkpoint["seconds"] = self._seconds if self._sums is None else self._trained()
        checkpoint["epoch_sums"] = self._epoch.tolist()
        checkpoint["fit_seconds"] = self.fit_seconds

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore sums and training time, and apply the current learning rate and weight decay."""
        adopt(checkpoint, self.settings)
        self._seconds = checkpoint["seconds"]
        self._epoch = torch.tensor(checkpoint["epoch_sums"], dtype=torch.float64)
        self._before = checkpoint["fit_seconds"]
        sums = checkpoint["sums"]
        self._sums = sums if sums is None or self.trainer.is_global_zero else sums * 0

    def on_validation_epoch_start(self) -> None:
        """Reset the validation sums."""
        self._valid = torch.zeros(7, dtype=torch.float64)
        # Otherwise the observation may be a vector, whose log density can be any number.
        self._by_position = True
        self._measures_sentences = False

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Accumulate log evidence, ELBO, KL divergence and entropy of the prior.

        They are exact if the alignment is the only latent site, otherwise estimated, see
        :func:`~pyro_align.inference.score_sentences`.
        """
        with pyro.settings.context(module_local_params=True):
            scores = score_batch(self.elbo.model, self.elbo.guide, batch, draws=DRAWS)
        elbo = scores.log_evidence if scores.elbo is None else scores.elbo
        kl = torch.zeros(()) if scores.kl is None else scores.kl
        entropy = scores.prior_entropy
        entropy = torch.tensor(math.nan) if entropy is None else entropy
        self._by_position = isinstance(scores, PositionScores)
        sums = [float(value.double().sum()) for value in (scores.log_evidence, elbo, kl, entropy)]
        of_sentences = [
            float(value.double().sum())
            for name, value in (getattr(scores, "divergences", None) or {}).items()
            if name != ALIGNMENT
        ]
        self._measures_sentences = bool(of_sentences)
        counts = [batch.num_targets, sum(of_sentences), len(batch)]
        self._valid += torch.tensor([*sums, *counts], dtype=torch.float64)

    def on_validation_epoch_end(self) -> None:
        """Log per-token means over the validation text."""
        sums = self._valid
        if self.trainer.world_size > 1:
            sums = sums.to(self.device)
            torch.distributed.all_reduce(sums)
        evidence, elbo, kl, entropy, tokens, kl_of_sentences, sentences = sums.tolist()
        watched = elbo if self.settings.freeze_model else evidence
        if math.isnan(watched):
            raise TrainingError(
                f"the likelihood of the validation text is not finite after step "
                f"{self.global_step}; {_REMEDY}"
            )
        if math.isinf(watched) or (self._by_position and math.isinf(perplexity(watched, tokens))):
            raise TrainingError(
                f"training has diverged: the perplexity of the validation text is infinite after "
                f"step {self.global_step}; {_REMEDY}, and start a new run"
            )
        self.log_dict(
            {
                "valid/perplexity": perplexity(evidence, tokens),
                "valid/log_evidence": evidence / tokens,
                "valid/elbo": elbo / tokens,
                "valid/kl": kl / tokens,
                "valid/prior_entropy": entropy / tokens,
                CRITERION: -watched / tokens,
                **({SENTENCE_KL: kl_of_sentences / sentences} if self._measures_sentences else {}),
            },
            sync_dist=self.trainer.world_size > 1,
        )

    def _trained(self) -> float:
        """Seconds of training since the start of the fit."""
        return self._seconds + time.perf_counter() - self._since

    def _total(self) -> Tensor | None:
        """Sum over all processes."""
        if self._sums is None or self.trainer.world_size == 1:
            return self._sums
        total = self._sums.to(self.device, copy=True)
        torch.distributed.all_reduce(total)
        return total

    def refuse_nonfinite(self) -> None:
        """Raise an error if a loss or gradient was not finite since the last check (synchronises).

        Raises:
            TrainingError: naming the step and the batch.
        """
        epoch, batch, step = self._nonfinite.tolist()
        if step >= 0:
            raise TrainingError(
                f"the loss or its gradient is not finite at step {step} (epoch {epoch + 1}, "
                f"batch {batch + 1} of it); {_REMEDY}"
            )

    def _watch(self, value: Tensor) -> None:
        """Record the first value that is not finite, without synchronising with the device."""
        here = torch.tensor([self.current_epoch, self._batch_idx, self.global_step + 1])
        first = self._nonfinite.to(value.device, non_blocking=True)
        is_first = ~value.isfinite() & (first[2] < 0)
        self._nonfinite = torch.where(is_first, here.to(value.device, non_blocking=True), first)
