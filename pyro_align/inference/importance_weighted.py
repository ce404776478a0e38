"""The importance-weighted bound, with two estimates of its gradient."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.inference.importance import Draws, ImportanceObjective


class ImportanceWeightedBound(ImportanceObjective):
    """``L = E log 1/K Σ_k w_k`` (Burda et al. 2016) with the plain score-function gradient.

    ``∇L = E[Σ_k L̂ ∇ log q(z_k) + Σ_k v_k ∇ log w_k]`` with the bound ``L̂`` of the samples and
    their self-normalised weights ``v_k`` (Mnih & Rezende 2016, equation 5). It is unbiased, and of
    large variance: :class:`VIMCO` estimates the same with less. With one sample it is the evidence
    lower bound.

    The KL weight β tempers the weights, ``log w = log p(y | z) + β (log p(z) − log q(z))``: with
    one sample that is the bound with a weighted divergence, and with β = 1 no change.

    Args:
        samples: K.
    """

    def __init__(self, *, samples: int = 5):
        super().__init__(samples)

    def _surrogate(self, draws: Draws) -> Tensor:
        """The bound, and the score of every sample times the bound."""
        bound = draws.log_mean_weight
        return bound + bound.detach() * draws.log_guide.sum(0)


class VIMCO(ImportanceObjective):
    """The importance-weighted bound, each sample's score times what that sample adds to it.

    ``∇L = E[Σ_k (L̂ − L̂₋ₖ) ∇ log q(z_k) + Σ_k v_k ∇ log w_k]``, where ``L̂₋ₖ`` is the bound with
    the weight of sample k replaced by a mean of the others' weights (Mnih & Rezende 2016,
    equations 7 to 9). It does not depend on sample k, so the gradient stays unbiased. The KL weight
    acts as in :class:`ImportanceWeightedBound`.

    Args:
        samples: K, at least 2.
        mean: which mean of the others' weights; ``geometric`` is the one recommended there.
    """

    def __init__(self, *, samples: int = 5, mean: Literal["geometric", "arithmetic"] = "geometric"):
        super().__init__(samples, least=2)
        self._log_mean = {"geometric": _geometric, "arithmetic": _arithmetic}[mean]

    def _surrogate(self, draws: Draws) -> Tensor:
        """The bound, and the score of every sample times its learning signal."""
        bound = draws.log_mean_weight
        signal = bound.detach() - self._without_each(draws.log_weight.detach())
        return bound + (signal * draws.log_guide).sum(0)

    def _without_each(
        self, log_weight: Float[Tensor, "sample batch target"]
    ) -> Float[Tensor, "sample batch target"]:
        """``L̂₋ₖ`` for every sample k."""
        samples = len(log_weight)
        itself = torch.eye(samples, dtype=torch.bool, device=log_weight.device)[..., None, None]
        others = log_weight.expand(samples, *log_weight.shape)  # of sample k, in row k
        stand_in = self._log_mean(others.masked_fill(itself, -math.inf), log_weight)
        replaced = others.where(~itself, stand_in.unsqueeze(1))
        return replaced.logsumexp(1) - math.log(samples)


def _geometric(others: Tensor, log_weight: Tensor) -> Tensor:
    """Logarithm of the geometric mean of the others' weights."""
    return (log_weight.sum(0) - log_weight) / (len(log_weight) - 1)


def _arithmetic(others: Tensor, log_weight: Tensor) -> Tensor:
    """Logarithm of the arithmetic mean of the others' weights."""
    return others.logsumexp(1) - math.log(len(log_weight) - 1)
