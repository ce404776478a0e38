"""Marginal log likelihood over the K most probable alignments of each position."""

from __future__ import annotations

from typing import Any

from pyro.distributions.util import scale_and_mask
from pyro.infer import Trace_ELBO
from pyro.poutine.messenger import Messenger

from pyro_align.constraints import Count
from pyro_align.errors import ConfigError
from pyro_align.inference.enumeration import log_joint, observed_terms
from pyro_align.inference.objective import Objective, Terms


class TopKMarginal(Objective, Trace_ELBO):
    """``Σ_t log Σ_{s ∈ S_t} p(z_t = s) p(y_t | z_t = s)`` with the K most probable positions S_t.

    ``S_t`` are the K source positions of largest prior probability. The prior is not renormalised,
    so that this is a lower bound of the log evidence. Since no token has a probability above 1, the
    evidence of a position exceeds the sum by at most the prior mass outside of ``S_t``. Deng et al.
    (2018) marginalise this way at test time. The emission is computed K times per target position
    instead of once for every source position, which pays off if each evaluation needs a softmax
    over the vocabulary, as the ``tanh`` emission does.

    Args:
        k: number of alignments per target position that are summed over.
    """

    pairs = frozenset({("categorical", "none")})
    weighs_kl = False

    def __init__(self, *, k: Count = 5):
        if k < 1:
            raise ConfigError(f"k must be 1 or more, got {k}")
        super().__init__()
        self.k = k

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Compute the bound; it has no KL divergence."""
        model_trace, _ = self._traces(MostProbable(self.k)(model), guide, args, kwargs)
        site = model_trace.nodes["alignment"]
        if site["is_observed"]:
            return observed_terms(model_trace)
        joint, rest = log_joint(model_trace, self.max_plate_nesting)
        bound = scale_and_mask(joint.logsumexp(0), site["scale"], site["mask"]).sum() + rest
        return Terms(-bound, bound.detach(), bound.new_zeros(()))


class MostProbable(Messenger):
    """Set ``alignment`` to its K most probable values, along a dimension left of the plates."""

    def __init__(self, k: int):
        super().__init__()
        self.k = k

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] != "alignment" or msg["is_observed"]:
            return
        logits = msg["fn"].logits
        best = logits.topk(min(self.k, logits.shape[-1]), dim=-1).indices
        msg["value"] = best.movedim(-1, 0)
        msg["done"] = True
        # Tells Pyro that the guide does not need this site.
        msg["infer"]["_enumerate_dim"] = -msg["value"].dim()
