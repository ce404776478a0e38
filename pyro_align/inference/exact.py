"""Maximum marginal likelihood, every alignment enumerated."""

from __future__ import annotations

from typing import Any

from pyro.distributions.util import scale_and_mask
from pyro.infer import TraceEnum_ELBO, config_enumerate
from torch import Tensor, nn

from pyro_align.inference.enumeration import log_joint
from pyro_align.inference.objective import Objective, Terms


class ExactMarginal(Objective, TraceEnum_ELBO):
    """``Σ_t log Σ_s p(z_t = s) p(y_t | z_t = s)`` (Deng et al. 2018, equation 1).

    Without a guide's ``alignment`` the model's is enumerated in parallel by ``TraceEnum_ELBO``'s
    traces and summed out.

    A guide with an ``alignment`` is fitted beside the model, to the exact posterior: the loss is
    ``−log p(y | x) + KL(q ‖ p(z | x, y))``, in value the negative evidence lower bound, in which
    the posterior is a constant. So the guide gets the gradient of the bound and the model that of
    the evidence, whatever the guide is worth. What both share, such as embeddings, gets both. A
    guide without parameters, such as the prior, is only measured.
    """

    pairs = frozenset({("categorical", "none"), ("categorical", "categorical")})
    weighs_kl = False

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Log evidence, and what there is of a bound."""
        enumerated = (config_enumerate(each, default="parallel") for each in (model, guide))
        ((model_trace, guide_trace),) = self._get_traces(*enumerated, args, kwargs)
        joint, rest = log_joint(model_trace, self.max_plate_nesting)
        prior = model_trace.nodes["alignment"]
        if "alignment" not in guide_trace:
            # What TraceEnum_ELBO would return, which on a GPU waits for the device.
            positions = scale_and_mask(joint.logsumexp(0), prior["scale"], prior["mask"])
            evidence = positions.sum() + rest
            return Terms(-evidence, evidence.detach(), kl=evidence.new_zeros(()))

        site = guide_trace.nodes["alignment"]
        log_q = site["unscaled_log_prob"]
        if isinstance(guide, nn.Module) and next(guide.parameters(), None) is None:
            log_q = log_q.detach()
        log_p = prior["unscaled_log_prob"]

        def total(positions: Tensor) -> Tensor:
            return scale_and_mask(positions, site["scale"], site["mask"]).sum()

        q = log_q.exp()
        gap = (q * (log_q - joint.detach().log_softmax(0))).sum(0)
        bound = total(joint.logsumexp(0) - gap) + rest
        kl = total((q * (log_q - log_p)).sum(0)).detach()
        return Terms(-bound, bound.detach() + kl, kl)
