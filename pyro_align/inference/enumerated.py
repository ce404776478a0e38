"""The evidence lower bound with its expectation computed, not sampled."""

from __future__ import annotations

from typing import Any

from pyro.infer import TraceEnum_ELBO, config_enumerate

from pyro_align.inference.objective import Objective, Terms


class EnumeratedELBO(Objective, TraceEnum_ELBO):
    """``E_q[log p(y | z)] − KL(q ‖ p)``, the sum over alignments written out.

    The value and gradient are those of ``TraceEnum_ELBO`` on an enumerated guide (with
    ``kl_weight`` 1). That one first drops the alignments of probability zero, padding among them,
    by a data-dependent selection; this one multiplies by zero, which needs no look at the data.
    """

    pairs = frozenset({("categorical", "categorical")})

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Expectations over the enumerated dimension, the leftmost."""
        enumerated = config_enumerate(guide, default="parallel")
        ((model_trace, guide_trace),) = self._get_traces(model, enumerated, args, kwargs)
        guide_site, model_site = guide_trace.nodes["alignment"], model_trace.nodes["alignment"]
        q = guide_site["unscaled_log_prob"].exp()
        log_likelihood = q.new_zeros(())
        for site in model_trace.nodes.values():
            if site["type"] == "sample" and site["is_observed"]:
                log_prob = site["log_prob"]
                # What has no dimension to the left of the plates does not depend on the alignment.
                enumerated_here = log_prob.dim() > self.max_plate_nesting
                expected = q * log_prob if enumerated_here else log_prob
                log_likelihood = log_likelihood + expected.sum()
        kl = (q * (guide_site["log_prob"] - model_site["log_prob"])).sum()
        loss = self.kl_weight * kl - log_likelihood
        return Terms(loss, log_likelihood.detach(), kl.detach())
