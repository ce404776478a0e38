"""Evidence lower bound with score-function gradients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from pyro.infer import TraceGraph_ELBO
from torch import Tensor

from pyro_align.constraints import Count, NonNegative
from pyro_align.distributions import MarkovChain, kl_divergence
from pyro_align.errors import ConfigError, IncompatibleError, nearest
from pyro_align.inference.baselines import (
    BASELINE_OF_STEPS,
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
    scaled,
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

    If the alignments of a sentence are a path ``z_1, …, z_T``, a Markov chain, a path is sampled.
    The gradient for a step contains only the tokens that depend on it, those from ``t`` on:
    ``Σ_t (Σ_{u≥t} log p(y_u | z_u) − baseline_u) ∇ log q(z_t | z_{t−1}) − ∇ KL(q ‖ p)``.

    Args:
        baseline: control variate of the score function: ``soft-attention``, ``none``,
            ``average``, ``network`` or ``leave-one-out`` (:data:`BASELINES`).
        samples: alignments sampled per target position; the estimate is their mean.
        free_bits: KL divergence per target position, in nats, that is not penalised, see
            :func:`~pyro_align.inference.free_bits.free_bits`; 0 for the bound itself.
    """

    pairs = frozenset({("categorical", "categorical"), ("markov", "markov")})
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
        frames = set(site["cond_indep_stack"])
        if isinstance(chain := site["fn"], MarkovChain):
            divergence = chain.divergences(traces.prior["fn"]).squeeze(-2)
            frames |= _position_plates(traces)
        else:
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
        score = self._score(site, cost.sum_to(frames))

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
        drawn = _drawn(site)
        baseline_site = {**site, "infer": drawn.infer}
        used, regression, prediction = pyro_baseline(ALIGNMENT, baseline_site, cost)
        left = detach_provenance(cost - prediction if used else cost).detach()
        advantage = self.baseline(left.expand(self.num_particles, *drawn.mask.shape), drawn.mask)
        if isinstance(site["fn"], MarkovChain):
            # A step of a path decides about the tokens from its own on.
            advantage = advantage.flip(-1).cumsum(-1).flip(-1)
        score: Tensor = (drawn.log_q * advantage).sum() - regression
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


@dataclass(frozen=True)
class _Drawn:
    """The sampled alignments of the target positions.

    Attributes:
        log_q: scaled log probability of each; in a path, given the one before.
        mask: true on real target positions.
        infer: options of the baseline.
    """

    log_q: Float[Tensor, "*sample batch target"]
    mask: Bool[Tensor, "batch target"]
    infer: dict[str, Any]


def _drawn(site: Any) -> _Drawn:
    drawn_from, mask = site["fn"], site["mask"]
    if not isinstance(drawn_from, MarkovChain):
        shape = drawn_from.batch_shape[-MAX_PLATE_NESTING:]
        mask = torch.as_tensor(True if mask is None else mask).expand(shape)
        return _Drawn(site["score_parts"].score_function, mask, site["infer"])
    shape = (drawn_from.batch_shape[-MAX_PLATE_NESTING], *drawn_from.event_shape)
    log_q = scaled(drawn_from.log_prob_of_steps(site["value"]).squeeze(-2), site)
    mask = torch.ones(shape, dtype=torch.bool, device=log_q.device)
    if drawn_from.mask is not None:  # the same for all samples
        mask = drawn_from.mask.reshape(-1, *shape)[0]
    return _Drawn(log_q, mask, {"baseline": site["infer"].get(BASELINE_OF_STEPS, {})})


def _position_plates(traces: Traces) -> set[Any]:
    """Return the plates of the target positions, where all depends on the path of the sentence.

    Raises:
        IncompatibleError: if a site that depends on the path is outside of them.
    """
    found = set()
    for site, dependent in traces.observations():
        plates = {each for each in site["cond_indep_stack"] if each.vectorized and each.dim == -1}
        if dependent and not plates:
            raise IncompatibleError(
                f"the site {site['name']!r} depends on the path but is outside the plate "
                f"'positions', so that it has no step: move the site into the plate, or use a "
                f"stock ELBO such as pyro.infer.TraceGraph_ELBO"
            )
        found |= plates if dependent else set()
    return found
