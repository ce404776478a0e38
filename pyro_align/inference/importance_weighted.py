"""Importance-weighted bound with the plain score-function gradient."""

from __future__ import annotations

from torch import Tensor

from pyro_align.constraints import Count
from pyro_align.inference.importance import Draws, ImportanceObjective


class ImportanceWeightedBound(ImportanceObjective):
    """``L = E log 1/K Σ_k w_k`` (Burda et al. 2016) with the plain score-function gradient.

    ``∇L = E[Σ_k L̂ ∇ log q(z_k) + Σ_k v_k ∇ log w_k]`` with the estimate ``L̂`` of the bound and
    the self-normalised weights ``v_k`` (Mnih & Rezende 2016, equation 5). The gradient is unbiased
    but has a large variance; :class:`~pyro_align.inference.VIMCO` reduces it. With one sample the
    bound is the evidence lower bound.

    The KL weight β tempers the weights, ``log w = log p(y | z) + β (log p(z) − log q(z))``. With
    one sample this is the evidence lower bound with a weighted KL divergence.

    Args:
        samples: K, the number of alignments sampled per target position.
    """

    def __init__(self, *, samples: Count = 5):
        super().__init__(samples)

    def _surrogate(self, draws: Draws) -> Tensor:
        """Return the bound plus the score of every sample times the bound."""
        bound = draws.log_mean_weight
        return bound + bound.detach() * draws.log_guide.sum(0)
