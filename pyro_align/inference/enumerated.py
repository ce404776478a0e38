"""Evidence lower bound with exact expectations, by enumeration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyro.infer import TraceEnum_ELBO, config_enumerate
from torch import Tensor

from pyro_align.constraints import NonNegative
from pyro_align.data.batch import Batch
from pyro_align.inference.chains import divergence, marginals, prior_of, staying
from pyro_align.inference.free_bits import (
    checked_free_bits,
    elbo_label,
    free_bits,
    free_bits_remedy,
)
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Objective, Reference, Terms
from pyro_align.inference.sites import positional_observations
from pyro_align.inference.traces import ALIGNMENT, Traces, total

ENUMERATION = "enumeration instead of sampling (objective.name=enumerated)"
"""A remedy for posterior collapse, for objectives that sample a categorical alignment."""


class EnumeratedELBO(Objective, TraceEnum_ELBO):
    """``E_q[log p(y | z)] − KL(q ‖ p)``, summed over all alignments.

    Value and gradient equal those of ``TraceEnum_ELBO`` with an enumerated guide (for
    ``kl_weight`` 1). Of Markov chains the expectations are computed from their marginals.
    ``TraceEnum_ELBO`` first drops the alignments of probability zero, such as
    padding, with data-dependent indexing; this class multiplies them by zero, which does not
    synchronise with a GPU.

    Args:
        free_bits: KL divergence per target position, in nats, that is not penalised, see
            :func:`~pyro_align.inference.free_bits.free_bits`; 0 for the bound itself.
    """

    pairs = frozenset({("categorical", "categorical"), ("markov", "markov")})
    strategy = "enumeration"

    def __init__(self, *, free_bits: NonNegative = 0.0):
        super().__init__()
        self.free_bits = checked_free_bits(free_bits)

    def _handled(self, model: Any, guide: Any) -> tuple[Any, Any]:
        """Enumerate the alignments of the guide."""
        return staying(model), config_enumerate(staying(guide), default="parallel")

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Compute the expectations over the enumerated dimension, the leftmost."""
        site = traces.alignment
        q = marginals(traces)
        log_likelihood = q.new_zeros(())
        for observed, dependent in positional_observations(
            traces, type(self).__name__, one_scale=False
        ):
            log_prob = observed["log_prob"]
            log_likelihood = log_likelihood + (q * log_prob if dependent else log_prob).sum()
        divergences = divergence(traces, prior_of(traces))
        kl, penalty = (
            total(each, site) for each in (divergences, free_bits(divergences, self.free_bits))
        )
        loss = self.kl_weight * penalty - log_likelihood
        return Terms(loss, log_likelihood.detach(), {ALIGNMENT: kl.detach()})

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The objective itself."""
        return elbo_reference(self.free_bits)

    def remedies(self) -> list[str]:
        """Free bits."""
        return free_bits_remedy(self.free_bits)


def elbo_reference(
    nats: float = 0.0, guide: Callable[[Any], Any] = lambda guide: guide
) -> Reference:
    """Return the evidence lower bound with ``nats`` free bits, computed by enumeration.

    Args:
        nats: free bits per target position.
        guide: maps the guide to one whose alignment is categorical.
    """
    exact = EnumeratedELBO(free_bits=nats)

    def loss(model: Any, approximation: Any, batch: Batch) -> Tensor:
        return exact.differentiable_loss(model, guide(approximation), batch)

    return Reference(elbo_label(nats), loss)
