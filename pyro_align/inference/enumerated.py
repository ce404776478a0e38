"""The evidence lower bound with its expectation computed, not sampled."""

from __future__ import annotations

from typing import Any

from pyro.infer import TraceEnum_ELBO, config_enumerate

from pyro_align.inference.objective import Objective, Terms
from pyro_align.inference.sharing import share_computation


class EnumeratedELBO(Objective, TraceEnum_ELBO):
    """``E_q[log p(y | z)] − KL(q ‖ p)``, the sum over alignments written out.

    The value and gradient are those of ``TraceEnum_ELBO`` on an enumerated guide (with
    ``kl_weight`` 1). That one first drops the alignments of probability zero, padding among them,
    by a data-dependent selection; this one multiplies by zero, which needs no look at the data.
    """

    pairs = frozenset({("categorical", "categorical")})

    def terms(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Terms:
        """Expectations over the enumerated dimension, the leftmost."""
        enumerated = config_enumerate(guide, default="parallel")
        with share_computation():
            ((model_trace, guide_trace),) = self._get_traces(model, enumerated, args, kwargs)
        guide_site, model_site = guide_trace.nodes["alignment"], model_trace.nodes["alignment"]
        q = guide_site["unscaled_log_prob"].exp()
        log_likelihood = sum(
            (q * site["log_prob"]).sum()
            for site in model_trace.nodes.values()
            if site["type"] == "sample" and site["is_observed"]
        )
        kl = (q * (guide_site["log_prob"] - model_site["log_prob"])).sum()
        loss = self.kl_weight * kl - log_likelihood
        return Terms(loss, log_likelihood.detach(), kl.detach())
