"""Base class of objectives with K importance-weighted samples per target position."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from pyro.infer import TraceGraph_ELBO
from torch import Tensor

from pyro_align.distributions import kl_divergence
from pyro_align.errors import ConfigError
from pyro_align.inference.enumerated import ENUMERATION, elbo_reference
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Objective, Reference, Terms
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.sites import positional_observations
from pyro_align.inference.traces import (
    ALIGNMENT,
    MultiFrameTensor,
    SiteHandler,
    Traces,
    detach_provenance,
    masked_log_prob,
    total,
)


@dataclass(frozen=True)
class Draws:
    """Log probabilities, in nats, of samples ``z_1 … z_K ~ q`` for every target position.

    If the alignments are a path, those of its whole sentence; there is one "position" then.

    Attributes:
        log_prior: ``log p(z_k)``.
        log_guide: ``log q(z_k)``.
        log_emission: ``log p(y_t | z_k)``.
        log_weight: ``log w_k = log p(y_t | z_k) + β (log p(z_k) − log q(z_k))`` with the KL weight
            β, 1 for the importance weight itself.
    """

    log_prior: Float[Tensor, "sample batch target"]
    log_guide: Float[Tensor, "sample batch target"]
    log_emission: Float[Tensor, "sample batch target"]
    log_weight: Float[Tensor, "sample batch target"]

    @property
    def log_mean_weight(self) -> Float[Tensor, "batch target"]:
        """``log 1/K Σ_k w_k``, the importance-weighted bound per position."""
        return self.log_weight.logsumexp(0) - math.log(len(self.log_weight))


class ImportanceObjective(Objective, TraceGraph_ELBO, ABC):
    """``Σ_t log 1/K Σ_k w_k``, a lower bound of the log evidence that tightens as K grows.

    Every target position has its own K weights: alignments of different positions are independent
    given the sentence pair, so that weights per sentence or per batch would only increase the
    variance. If they are a path, a Markov chain, a sentence has K paths and weights. The reported
    log likelihood and KL divergence are those of the evidence lower bound, from the same samples.

    Another latent site ``s`` is sampled once for all K alignments, so that the weights are given
    ``s``: the bound is ``E_q(s)[Σ_t log 1/K Σ_k w_k(s)] − KL(q(s) ‖ p(s))``.

    Args:
        samples: K, the number of alignments sampled per target position.
        least: minimum of ``samples``.
    """

    pairs = frozenset({("categorical", "categorical"), ("markov", "markov")})
    strategy = "importance weights per target position"

    def __init__(self, samples: int, least: int = 1):
        checked_samples(samples, least, type(self).__name__)
        super().__init__(samples=samples)

    @abstractmethod
    def _surrogate(self, draws: Draws) -> Float[Tensor, "batch target"]:
        """Return a term per position whose gradient is used; its value is ignored."""

    def _handled(self, model: Any, guide: Any) -> tuple[Any, Any]:
        """Sample all other sites once, for all K alignments: the weights are given their values."""
        return model, SiteHandler(_sample_once, name=None)(guide)

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Estimate the terms from K alignments per position."""
        site, prior = traces.alignment, traces.prior
        shape = (self.num_particles, *site["fn"].batch_shape[-MAX_PLATE_NESTING:])
        emission, rest = _observations(traces, type(self).__name__)
        log_prior, log_guide, log_emission = (
            detach_provenance(each).expand(shape)
            for each in (prior["unscaled_log_prob"], site["unscaled_log_prob"], emission)
        )
        draws = Draws(
            log_prior,
            log_guide,
            log_emission,
            log_emission + self.kl_weight * (log_prior - log_guide),
        )
        # Observed once, but summed for every particle.
        rest = detach_provenance(rest) / self.num_particles
        surrogate = total(self._surrogate(draws), site) + rest
        bound = total(draws.log_mean_weight, site) + rest
        with torch.no_grad():
            log_likelihood = total(log_emission.mean(0), site) + rest
            kl = total(_divergence(site["fn"], prior["fn"], draws).mean(0), site)
        loss = (surrogate - bound).detach() - surrogate
        return Terms(loss, log_likelihood, {ALIGNMENT: kl})

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The evidence lower bound for K = 1; a sum over all K-tuples is not enumerated."""
        if self.num_particles == 1:
            return elbo_reference()
        return Reference("importance-weighted bound")

    def remedies(self) -> list[str]:
        """Enumeration."""
        return [ENUMERATION]


def _sample_once(msg: Any) -> None:
    """Sample a site outside the plate of the particles, unless it is the alignment."""
    if msg["name"] != ALIGNMENT and msg["fn"].has_rsample:
        msg["value"] = msg["fn"].rsample()


def checked_samples(samples: int, least: int, what: str) -> int:
    """Check and return the option ``samples``.

    Raises:
        ConfigError: if it is less than ``least``; the message names ``what`` needs it.
    """
    if samples < least:
        raise ConfigError(f"{what} needs samples = {least} or more, got {samples}")
    return samples


def _observations(traces: Traces, who: str) -> tuple[Tensor, Tensor]:
    """Return the observed log probabilities.

    Those that depend on the alignment are summed per position, the others in total.
    """
    site = traces.alignment
    zero = site["unscaled_log_prob"].detach() * 0
    dependent = MultiFrameTensor((site["cond_indep_stack"], zero))
    rest = zero.sum()
    for observed, is_dependent in positional_observations(traces, who):
        if is_dependent:
            dependent.add((observed["cond_indep_stack"], masked_log_prob(observed)))
        else:
            rest = rest + observed["log_prob"].sum()
    return dependent.sum_to(site["cond_indep_stack"]), rest


def _divergence(guide: Any, prior: Any, draws: Draws) -> Float[Tensor, "sample batch target"]:
    """Compute ``KL(q ‖ p)``, in closed form if there is one, else from the samples."""
    try:
        return detach_provenance(kl_divergence(guide, prior)).expand_as(draws.log_guide)
    except NotImplementedError:
        return draws.log_guide - draws.log_prior
