"""Warn if a guide has collapsed to the prior or its gradient has vanished."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from pyro_align.evaluation.quantities import QUANTITIES
from pyro_align.inference import Objective
from pyro_align.inference.kinds import other_sites
from pyro_align.training.module import SENTENCE_KL, TrainingModule

VANISHED_KL = 0.01
"""Nats per target position. A useful guide has several tenths; 0.01 corresponds to changing a
probability of one half by 0.07, which is too little for a useful alignment."""

VANISHED_SENTENCE_KL = 0.2
"""Nats per sentence, of latent variables of a whole sentence. Useful ones have several nats; 0.2 is
less than a third of a bit about the sentence."""

CERTAIN = 0.1
"""Nats per target position. On average the divergence of the exact posterior from the prior is at
most the prior's entropy; if the entropy is below this value, a small divergence is expected."""

TIGHT = 0.01
"""Nats per target position. A guide this close to the exact posterior has converged."""

VANISHED_GRADIENT = 1e-4
"""Ratio of the norms of the guide's and the model's gradient. On a small corpus the ratio was 0.04
to 0.4, and 0.0015 at the start of training. At 1e-4 much of the gradient is rounding error, which
Adam scales up to full steps.
"""

EARLY = 500
"""Number of initial optimiser steps without warnings. Until the emission has learnt to use the
alignment, prior, guide and posterior are all nearly uniform: on a small corpus the divergence
exceeded 0.01 after several hundred steps."""

EPOCHS = 2
"""Number of consecutive validations that must agree, since each is an estimate."""


class CollapseWarning(Callback):
    """Warn once, on standard error, that the guide has collapsed, and suggest remedies.

    A guide has collapsed if ``KL(q ‖ p)`` has vanished although the prior is uncertain; for latent
    variables of sentences, if their divergence per sentence has. If the
    model does not depend on the guide, because it is frozen or the objective trains it without, a
    guide at the exact posterior is correct, even if the posterior equals the prior. The guide's
    training has stalled if its gradient has vanished although it is not at the exact posterior.
    The first :data:`EARLY` steps are ignored, as are epochs that end before the KL weight reaches
    1 or during the objective's warm-up. Gradients stay on the device until the end of the epoch.

    Args:
        inferred: parameters of the guide that do not belong to the model.
    """

    def __init__(self, inferred: Sequence[Tensor]):
        self.inferred = list(inferred)
        self._squares: Tensor | None = None  # of the gradients of guide and model in this epoch
        self._in_a_row = {"kl": 0, "gradient": 0}
        self._told = False

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the check."""
        return {"squares": self._squares, "in_a_row": dict(self._in_a_row), "told": self._told}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state of the check."""
        self._squares = state_dict["squares"]
        self._in_a_row = dict(state_dict["in_a_row"])
        self._told = state_dict["told"]

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Accumulate the squared norms of the gradients."""
        assert isinstance(pl_module, TrainingModule)
        both = torch.stack(
            [
                _squared_norm(parameters, pl_module.device)
                for parameters in (self.inferred, list(pl_module.elbo.model.parameters()))
            ]
        )
        so_far = torch.zeros_like(both) if self._squares is None else self._squares.to(both.device)
        self._squares = so_far + both

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the epoch that has ended."""
        assert isinstance(pl_module, TrainingModule)
        squares, self._squares = self._squares, None
        step = trainer.global_step
        begun = step >= max(EARLY, getattr(pl_module.objective, "warmup_steps", 0))
        if squares is None or not begun or pl_module.kl_weight(step) < 1:
            return
        of = {name: float(value) for name, value in trainer.callback_metrics.items()}
        gap = of["valid/log_evidence"] - of["valid/elbo"]
        guides, models = squares.sqrt().tolist()
        has_to_learn = gap > TIGHT
        entropy = of["valid/prior_entropy"]
        if (of_sentence := of.get(SENTENCE_KL)) is not None:
            has_vanished = of_sentence < VANISHED_SENTENCE_KL
            kl = f"{QUANTITIES['sentence_kl'].label} is {of_sentence:.1g} nats"
        else:
            # The entropy is unknown without alignments or attention.
            is_uncertain = math.isnan(entropy) or entropy > CERTAIN
            has_vanished = of["valid/kl"] < VANISHED_KL and is_uncertain
            known = "" if math.isnan(entropy) else f", the prior's entropy {entropy:.2g}"
            kl = f"{QUANTITIES['kl'].label} is {of['valid/kl']:.1g} nats per position{known}"
        signs = {
            "kl": has_vanished and (has_to_learn or _model_follows(pl_module)),
            "gradient": guides <= VANISHED_GRADIENT * models and has_to_learn,
        }
        for name, seen in signs.items():
            self._in_a_row[name] = self._in_a_row[name] + 1 if seen else 0
        told = [name for name, number in self._in_a_row.items() if number >= EPOCHS]
        if told and not self._told:
            self._told = True
            if trainer.is_global_zero:
                what = {
                    "kl": kl,
                    "gradient": f"the guide's gradient has norm {guides:.1g}, the model's "
                    f"{models:.1g}",
                }
                print(
                    f"warning: the guide has collapsed: {what[told[0]]}, for {EPOCHS} epochs. "
                    f"What can help: {'; '.join(remedies(pl_module))}",
                    file=sys.stderr,
                    flush=True,
                )


def remedies(module: TrainingModule) -> list[str]:
    """Remedies for a collapse that are not yet in use, each with its setting."""
    objective: Objective = module.objective
    others = _other_sites(module)
    if not (objective.trains_model_by_guide or others):
        return ["a larger learning rate (training.learning_rate)"]
    found = []
    weighs = objective.weighs_kl or (others and objective.weighs_other_sites)
    if module.settings.kl_schedule == "constant" and weighs:
        found.append("KL annealing (training.kl_schedule=linear)")
    if not module.settings.lagging and others:
        found.append("lagging inference (training.lagging=true)")
    if _model_follows(module):
        found.append("word dropout in the decoder (network.word_dropout=0.2)")
    of_model: list[str] = getattr(module.elbo.model, "remedies", list)()
    return [*found, *objective.remedies(), *of_model]


def _model_follows(module: TrainingModule) -> bool:
    """Whether the gradient of the model depends on the guide."""
    follows = module.objective.trains_model_by_guide or _other_sites(module)
    return follows and not module.settings.freeze_model


def _other_sites(module: TrainingModule) -> bool:
    """Whether the model has latent sites besides the alignment."""
    return bool(other_sites(getattr(module.elbo.model, "latents", {})))


def _squared_norm(parameters: Sequence[Tensor], device: torch.device) -> Tensor:
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros((), device=device)
    norms = torch.stack(torch._foreach_norm(gradients))
    return norms.square().sum()
