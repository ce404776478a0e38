"""Exact marginal log likelihood, by enumeration."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions.util import scale_and_mask
from pyro.infer import TraceEnum_ELBO, config_enumerate
from torch import Tensor

from pyro_align.distributions import categorical_kl
from pyro_align.inference.chains import EnumeratePositions
from pyro_align.inference.enumeration import log_joint, observed_terms
from pyro_align.inference.objective import Objective, Terms
from pyro_align.inference.traces import own_parameters


class ExactMarginal(Objective, TraceEnum_ELBO):
    """``Σ_t log Σ_s p(z_t = s) p(y_t | z_t = s)`` (Deng et al. 2018, equation 1).

    If the guide has no site ``alignment``, the model's alignments are enumerated in parallel, with
    the traces of ``TraceEnum_ELBO``, and summed out. If they are a Markov chain, the sum over all
    paths is computed by the forward algorithm.

    If the guide has one, it is fitted to the exact posterior at the same time: the loss is
    ``−log p(y | x) + KL(q ‖ p(z | x, y))``, with the posterior held fixed, and its value is the
    negative evidence lower bound. The KL divergence has a gradient for the guide's own parameters
    only, so that the model is trained as it would be without a guide.

    If the model's alignment is observed, for example with ``poutine.condition``, the loss is
    ``−log p(y, z | x)``.
    """

    pairs = frozenset({("categorical", "none"), ("categorical", "categorical"), ("markov", "none")})
    weighs_kl = False

    def __init__(self) -> None:
        super().__init__()

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Compute the log evidence, or the lower bound if the guide has an alignment."""
        every_model, every_guide = (
            config_enumerate(EnumeratePositions()(each), default="parallel")
            for each in (model, guide)
        )
        model_trace, guide_trace = self._traces(every_model, every_guide, args, kwargs)
        prior = model_trace.nodes["alignment"]
        if prior["is_observed"]:
            return observed_terms(model_trace)
        joint, rest = log_joint(model_trace, self.max_plate_nesting)
        # Equals TraceEnum_ELBO, which synchronises with a GPU.
        positions = scale_and_mask(joint.logsumexp(0), prior["scale"], prior["mask"])
        evidence = positions.sum() + rest
        if "alignment" not in guide_trace:
            return Terms(-evidence, evidence.detach(), kl=evidence.new_zeros(()))

        site = guide_trace.nodes["alignment"]
        log_q, log_p = site["unscaled_log_prob"], prior["unscaled_log_prob"]

        def total(positions: Tensor) -> Tensor:
            return scale_and_mask(positions, site["scale"], site["mask"]).sum()

        gap = total(categorical_kl(log_q, joint.detach().log_softmax(0), dim=0))
        own = own_parameters(guide, guide_trace, model, model_trace)
        bound = evidence - _gradient_alone(gap, own)
        with torch.no_grad():
            kl = total(categorical_kl(log_q, log_p, dim=0))
        return Terms(-bound, bound.detach() + kl, kl)


def _gradient_alone(value: Tensor, parameters: list[Tensor]) -> Tensor:
    """Return ``value`` with a gradient for ``parameters`` only."""
    if not (torch.is_grad_enabled() and value.requires_grad and parameters):
        return value.detach()
    gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    linear = sum(
        (parameter * gradient).sum()
        for parameter, gradient in zip(parameters, gradients, strict=True)
        if gradient is not None
    )
    return value.detach() + (linear - linear.detach() if isinstance(linear, Tensor) else 0.0)
