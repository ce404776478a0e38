"""A warning when a guide has collapsed onto the prior, or is no longer trained."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from pyro_align.inference import (
    EnumeratedELBO,
    ExactMarginal,
    Objective,
    ScoreFunctionELBO,
)
from pyro_align.training.task import AlignmentTask

VANISHED_KL = 0.01
"""Nats a target position. A guide that has learnt to infer has some tenths; 0.01 is what changing a
probability of one half by 0.07 makes, less than any alignment that is worth having."""

CERTAIN = 0.1
"""Nats a target position. On average the divergence of the exact posterior from the prior is below
the prior's entropy; where that is less than this a small divergence is no collapse."""

TIGHT = 0.01
"""Nats a target position. A guide this near to the exact posterior has nothing left to learn."""

VANISHED_GRADIENT = 1e-4
"""The guide's gradient against the model's, by norm. On a small corpus the ratio was 0.04 to 0.4,
at the beginning 0.0015; with this one, rounding, to which Adam gives full steps too, is much of it.
"""

EARLY = 500
"""Optimiser steps in which nothing is said. Before the emission has learnt to read an alignment no
position says anything about it, and prior, guide and posterior are one and flat: on a small corpus
the divergence passed 0.01 after some hundred steps."""

EPOCHS = 2
"""Validations in a row that must agree, for one is an estimate."""


class CollapseWarning(Callback):
    """Say once, on standard error, that the guide has collapsed, and what helps.

    A guide has collapsed if ``KL(q ‖ p)`` has vanished though the prior leaves something to infer.
    Where the model does not follow the guide, being frozen or fitted by :class:`ExactMarginal`, a
    guide at the exact posterior is right all the same: that is the prior then. A guide is not
    trained any more if its gradient has vanished though it is not at the exact posterior. The
    :data:`EARLY` steps are not looked at, nor epochs at whose end the KL divergence has not its
    full weight or the objective still warms up. Gradients stay on the device until the epoch is
    over.

    Args:
        inferred: the parameters of the guide that are not the model's.
    """

    def __init__(self, inferred: Sequence[nn.Parameter]):
        self.inferred = list(inferred)
        self._squares: Tensor | None = None  # of the gradients of guide and model, this epoch
        self._in_a_row = {"kl": 0, "gradient": 0}
        self._told = False

    def state_dict(self) -> dict[str, Any]:
        """What the next look depends on."""
        return {"squares": self._squares, "in_a_row": dict(self._in_a_row), "told": self._told}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        self._squares = state_dict["squares"]
        self._in_a_row = dict(state_dict["in_a_row"])
        self._told = state_dict["told"]

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Add the squared norms of the gradients."""
        assert isinstance(pl_module, AlignmentTask)
        both = torch.stack(
            [
                _squared_norm(parameters, pl_module.device)
                for parameters in (self.inferred, list(pl_module.elbo.model.parameters()))
            ]
        )
        so_far = torch.zeros_like(both) if self._squares is None else self._squares.to(both.device)
        self._squares = so_far + both

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the epoch that is over."""
        assert isinstance(pl_module, AlignmentTask)
        squares, self._squares = self._squares, None
        step = trainer.global_step
        begun = step >= max(EARLY, getattr(pl_module.objective, "warmup_steps", 0))
        if squares is None or not begun or pl_module.kl_weight(step) < 1:
            return
        of = {name: float(value) for name, value in trainer.callback_metrics.items()}
        gap = -math.log(of["valid/perplexity"]) - of["valid/elbo"]
        guides, models = squares.sqrt().tolist()
        has_to_learn = gap > TIGHT
        signs = {
            "kl": of["valid/kl"] < VANISHED_KL
            and of["valid/prior_entropy"] > CERTAIN
            and (has_to_learn or _model_follows(pl_module)),
            "gradient": guides <= VANISHED_GRADIENT * models and has_to_learn,
        }
        for name, seen in signs.items():
            self._in_a_row[name] = self._in_a_row[name] + 1 if seen else 0
        told = [name for name, number in self._in_a_row.items() if number >= EPOCHS]
        if told and not self._told:
            self._told = True
            if trainer.is_global_zero:
                what = {
                    "kl": f"KL(guide ‖ prior) is {of['valid/kl']:.1g} nats a position, the prior's "
                    f"entropy {of['valid/prior_entropy']:.2g}",
                    "gradient": f"the guide's gradient has norm {guides:.1g}, the model's "
                    f"{models:.1g}",
                }
                print(
                    f"warning: the guide has collapsed: {what[told[0]]}, for {EPOCHS} epochs. "
                    f"What can help: {'; '.join(remedies(pl_module))}",
                    file=sys.stderr,
                    flush=True,
                )


def remedies(task: AlignmentTask) -> list[str]:
    """What can help against a collapse and is not in use yet, each with its setting."""
    objective: Objective = task.objective
    if isinstance(objective, ExactMarginal):  # its guide has nothing but its own gradient
        return ["a larger step (training.learning_rate)"]
    found = []
    if task.settings.kl_schedule == "constant" and objective.weighs_kl:
        found.append("KL annealing (training.kl_schedule=linear)")
    if getattr(objective, "free_bits", None) == 0:
        found.append("free bits (objective.free_bits=0.1)")
    if _model_follows(task):
        found.append("word dropout in the decoder (network.word_dropout=0.2)")
    if isinstance(objective, ScoreFunctionELBO):
        found.append("another baseline (objective.baseline=soft-attention or leave-one-out)")
    if objective.pairs & EnumeratedELBO.pairs and not isinstance(objective, EnumeratedELBO):
        found.append("the expectation instead of samples (objective.name=enumerated)")
    return found


def _model_follows(task: AlignmentTask) -> bool:
    """Whether what the guide says changes what the model learns."""
    return not (task.settings.freeze_model or isinstance(task.objective, ExactMarginal))


def _squared_norm(parameters: Sequence[nn.Parameter], device: torch.device) -> Tensor:
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return torch.zeros((), device=device)
    norms = torch.stack(torch._foreach_norm(gradients))
    return norms.square().sum()
