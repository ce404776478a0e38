"""Evidence lower bound with score-function gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pyro.infer import TraceGraph_ELBO
from torch import Tensor

from pyro_align.constraints import Count, NonNegative
from pyro_align.distributions import kl_divergence
from pyro_align.errors import ConfigError, nearest
from pyro_align.inference.baselines import (
    AverageBaseline,
    Baseline,
    LeaveOneOut,
    NoBaseline,
    SoftAttentionBaseline,
)
from pyro_align.inference.enumerated import ENUMERATION, elbo_reference
from pyro_align.inference.free_bits import checked_free_bits, free_bits, free_bits_remedy
from pyro_align.inference.importance import checked_samples
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.network_baseline import NetworkBaseline
from pyro_align.inference.objective import Objective, Reference, Terms
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.traces import (
    ALIGNMENT,
    MultiFrameTensor,
    Traces,
    detach_provenance,
    pyro_baseline,
    total,
)

BASELINES: dict[str, type[Baseline]] = {
    "none": NoBaseline,
    "average": AverageBaseline,
    "network": NetworkBaseline,
    "soft-attention": SoftAttentionBaseline,
    "leave-one-out": LeaveOneOut,
}
"""Baselines by their name in a configuration."""

LEAVE_ONE_OUT = (2, 3, 4)
"""Numbers of samples with which a diagnosis measures the baseline ``leave-one-out``."""


class ScoreFunctionELBO(Objective, TraceGraph_ELBO):
    """``E_q[log p(y | z)] − KL(q ‖ p)`` with ``z`` sampled and the KL divergence in closed form.

    The gradient for the guide is ``(log p(y | z) − baseline) ∇ log q(z) − ∇ KL(q ‖ p)``
    (Deng et al. 2018). Stock ``TraceGraph_ELBO`` also samples the KL divergence, and has no
    ``differentiable_loss``. Other latent sites ``s`` are reparameterised; the gradient for ``s``
    includes the dependence of ``q(z | s)`` on it.

    Args:
        baseline: control variate of the score function: ``soft-attention``, ``none``,
            ``average``, ``network`` or ``leave-one-out`` (:data:`BASELINES`).
        samples: alignments sampled per target position; the estimate is their mean.
        free_bits: KL divergence per target position, in nats, that is not penalised, see
            :func:`~pyro_align.inference.free_bits.free_bits`; 0 for the bound itself.
    """

    pairs = frozenset({("categorical", "categorical")})
    strategy = "the score function"

    def __init__(
        self, *, baseline: str = "soft-attention", samples: Count = 1, free_bits: NonNegative = 0.0
    ):
        if baseline not in BASELINES:
            raise ConfigError(f"no baseline {baseline!r}; {nearest(baseline, BASELINES)}")
        kind = BASELINES[baseline]
        checked_samples(samples, kind.samples, f"baseline {baseline!r}")
        super().__init__(samples=samples)
        self.baseline = kind()
        self.free_bits = checked_free_bits(free_bits)

    def module(self, model: Any) -> Baseline:
        """Return the baseline, prepared for the model."""
        self.baseline.prepare(model)
        return self.baseline

    def _handled(self, model: Any, guide: Any) -> tuple[Any, Any]:
        """Let the baseline predict the costs before the guide runs."""
        return model, self.baseline.handle(model, guide)

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Estimate the terms from ``samples`` alignments per position."""
        site = traces.alignment
        divergence = kl_divergence(site["fn"], traces.prior["fn"])
        kl, penalty = (
            total(each, site) for each in (divergence, free_bits(divergence, self.free_bits))
        )

        log_likelihood: Any = 0.0
        # Start from zero: a model may have no site that depends on the alignment.
        zero = site["log_prob"].new_zeros(site["log_prob"].shape)
        cost = MultiFrameTensor((site["cond_indep_stack"], zero))
        for observed, dependent in traces.observations():
            log_likelihood = log_likelihood + observed["log_prob"].sum()
            if dependent:
                cost.add((observed["cond_indep_stack"], observed["log_prob"].detach()))
        score = self._score(site, cost.sum_to(site["cond_indep_stack"]))

        scale = 1.0 / self.num_particles
        log_likelihood = detach_provenance(log_likelihood) * scale
        kl = detach_provenance(kl) * scale
        bound = log_likelihood - self.kl_weight * detach_provenance(penalty) * scale
        # The score term contributes to the gradient, not to the value.
        score = detach_provenance(score) * scale
        loss = score.detach() - score - bound
        return Terms(loss, log_likelihood.detach(), {ALIGNMENT: kl.detach()})

    def _score(self, site: Any, cost: Tensor) -> Tensor:
        """Sum ``(cost − baseline) log q(z)``, minus the regression loss of the baseline."""
        used, regression, prediction = pyro_baseline(ALIGNMENT, site, cost)
        left = detach_provenance(cost - prediction if used else cost).detach()
        shape = site["fn"].batch_shape[-MAX_PLATE_NESTING:]
        mask = torch.as_tensor(True if site["mask"] is None else site["mask"]).expand(shape)
        advantage = self.baseline(left.expand(self.num_particles, *shape), mask)
        score: Tensor = (site["score_parts"].score_function * advantage).sum() - regression
        return score

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The evidence lower bound."""
        return elbo_reference(self.free_bits)

    @classmethod
    def variants(cls, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the options with each baseline, and those in use."""
        for baseline, kind in BASELINES.items():
            if kind.samples > 1:
                yield from ({**options, "baseline": baseline, "samples": k} for k in LEAVE_ONE_OUT)
            else:
                yield {**options, "baseline": baseline}
        yield dict(options)

    def label(self, name: str) -> str:
        """Return ``name`` with the baseline and, if above one, the number of samples."""
        (baseline,) = (each for each, kind in BASELINES.items() if type(self.baseline) is kind)
        return super().label(f"{name.rpartition(':')[-1]}, {baseline}")

    def remedies(self) -> list[str]:
        """Free bits, another baseline, and enumeration."""
        return [
            *free_bits_remedy(self.free_bits),
            "another baseline (objective.baseline=soft-attention or leave-one-out)",
            ENUMERATION,
        ]
