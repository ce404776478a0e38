"""Base class of evidence lower bounds with reparameterised samples."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from pyro.infer import Trace_ELBO
from torch import Tensor

from pyro_align.constraints import Count, NonNegative
from pyro_align.inference.free_bits import (
    checked_free_bits,
    elbo_label,
    free_bits,
    free_bits_remedy,
)
from pyro_align.inference.importance import checked_samples
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Objective, Reference, Terms
from pyro_align.inference.traces import ALIGNMENT, Traces, total


class PathwiseELBO(Objective, Trace_ELBO):
    """Base class of objectives with pathwise gradients and a KL divergence in closed form.

    Args:
        samples: alignments sampled per target position; the estimate is their mean.
        free_bits: KL divergence per target position, in nats, that is not penalised, see
            :func:`~pyro_align.inference.free_bits.free_bits`; 0 for the bound itself.
    """

    def __init__(self, *, samples: Count = 1, free_bits: NonNegative = 0.0):
        checked_samples(samples, 1, type(self).__name__)
        super().__init__(samples=samples)
        self.free_bits = checked_free_bits(free_bits)

    strategy = "pathwise gradients"

    def _log_likelihood(self, traces: Traces) -> Float[Tensor, ""]:
        """Return the log probability of the observed sites, averaged over the samples."""
        return traces.log_likelihood() / self.num_particles

    def _bound(
        self,
        log_likelihood: Float[Tensor, ""],
        divergence: Float[Tensor, "*shape"],
        guide_site: Any,
    ) -> Terms:
        """Return the terms, given the KL divergence in the shape of the guide's site."""
        kl = self._sum(divergence, guide_site)
        penalty = self._sum(free_bits(divergence, self.free_bits), guide_site)
        loss = self.kl_weight * penalty - log_likelihood
        return Terms(loss, log_likelihood.detach(), {ALIGNMENT: kl.detach()})

    def _sum(self, values: Float[Tensor, "*shape"], guide_site: Any) -> Float[Tensor, ""]:
        """Sum over positions, excluding padding, and average over the samples."""
        return total(values, guide_site) / self.num_particles

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The evidence lower bound, which cannot be enumerated on the simplex."""
        return Reference(elbo_label(self.free_bits))

    def remedies(self) -> list[str]:
        """Free bits."""
        return free_bits_remedy(self.free_bits)
