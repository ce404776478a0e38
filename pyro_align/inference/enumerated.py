"""Evidence lower bound with exact expectations, by enumeration."""

from __future__ import annotations

from typing import Any

from pyro.distributions.util import scale_and_mask
from pyro.infer import TraceEnum_ELBO, config_enumerate

from pyro_align.constraints import NonNegative
from pyro_align.distributions import categorical_kl
from pyro_align.inference.free_bits import checked_free_bits, free_bits
from pyro_align.inference.objective import Objective, Terms


class EnumeratedELBO(Objective, TraceEnum_ELBO):
    """``E_q[log p(y | z)] − KL(q ‖ p)``, summed over all alignments.

    Value and gradient equal those of ``TraceEnum_ELBO`` with an enumerated guide (for
    ``kl_weight`` 1). ``TraceEnum_ELBO`` first drops the alignments of probability zero, such as
    padding, with data-dependent indexing; this class multiplies them by zero, which does not
    synchronise with a GPU.

    Args:
        free_bits: KL divergence per target position, in nats, that is not penalised, see
            :func:`~pyro_align.inference.free_bits.free_bits`; 0 for the bound itself.
    """

    pairs = frozenset({("categorical", "categorical")})

    def __init__(self, *, free_bits: NonNegative = 0.0):
        super().__init__()
        self.free_bits = checked_free_bits(free_bits)

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Compute the expectations over the enumerated dimension, the leftmost."""
        enumerated = config_enumerate(guide, default="parallel")
        model_trace, guide_trace = self._traces(model, enumerated, args, kwargs)
        guide_site, model_site = guide_trace.nodes["alignment"], model_trace.nodes["alignment"]
        log_q, log_p = guide_site["unscaled_log_prob"], model_site["unscaled_log_prob"]
        q = log_q.exp()
        log_likelihood = q.new_zeros(())
        for site in model_trace.nodes.values():
            if site["type"] == "sample" and site["is_observed"]:
                log_prob = site["log_prob"]
                # A site without a dimension left of the plates does not depend on the alignment.
                enumerated_here = log_prob.dim() > self.max_plate_nesting
                expected = q * log_prob if enumerated_here else log_prob
                log_likelihood = log_likelihood + expected.sum()
        divergence = categorical_kl(log_q, log_p, dim=0)
        kl, penalty = (
            scale_and_mask(each, guide_site["scale"], guide_site["mask"]).sum()
            for each in (divergence, free_bits(divergence, self.free_bits))
        )
        loss = self.kl_weight * penalty - log_likelihood
        return Terms(loss, log_likelihood.detach(), kl.detach())
