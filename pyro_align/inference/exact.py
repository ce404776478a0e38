"""Maximum marginal likelihood, every alignment enumerated."""

from __future__ import annotations

from typing import Any

from pyro.infer import TraceEnum_ELBO, config_enumerate
from pyro.infer.traceenum_elbo import _compute_dice_elbo

from pyro_align.inference.objective import Objective, Terms


class ExactMarginal(Objective, TraceEnum_ELBO):
    """``Σ_t log Σ_s p(z_t = s) p(y_t | z_t = s)`` (Deng et al. 2018, equation 1).

    The model's ``alignment`` is enumerated in parallel and summed out by ``TraceEnum_ELBO``.
    """

    pairs = frozenset({("categorical", "none")})

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Log evidence; there is no divergence, the posterior being exact."""
        enumerated = config_enumerate(model, default="parallel")
        ((model_trace, guide_trace),) = self._get_traces(enumerated, guide, args, kwargs)
        evidence = _compute_dice_elbo(model_trace, guide_trace)
        return Terms(-evidence, evidence.detach(), kl=evidence.new_zeros(()))
