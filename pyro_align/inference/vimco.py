"""VIMCO: the importance-weighted bound with a leave-one-out baseline."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.constraints import Count
from pyro_align.errors import ConfigError, nearest
from pyro_align.inference.importance import Draws, ImportanceObjective


class VIMCO(ImportanceObjective):
    """The importance-weighted bound with a learning signal per sample (Mnih & Rezende 2016).

    ``∇L = E[Σ_k (L̂ − L̂₋ₖ) ∇ log q(z_k) + Σ_k v_k ∇ log w_k]``, where ``L̂₋ₖ`` is the bound with
    the weight of sample k replaced by a mean of the other weights (equations 7 to 9). ``L̂₋ₖ`` does
    not depend on sample k, so that the gradient stays unbiased. For the KL weight see
    :class:`~pyro_align.inference.ImportanceWeightedBound`.

    Args:
        samples: K, the number of alignments sampled per target position; at least 2.
        mean: mean of the other samples' weights, ``geometric`` (recommended by Mnih and Rezende)
            or ``arithmetic``.

    Raises:
        ConfigError: if ``samples`` is less than 2 or ``mean`` is not one of the two.
    """

    def __init__(self, *, samples: Count = 5, mean: str = "geometric"):
        super().__init__(samples, least=2)
        if mean not in _LOG_MEANS:
            raise ConfigError(f"no mean {mean!r}; {nearest(mean, _LOG_MEANS)}")
        self._log_mean = _LOG_MEANS[mean]

    def _surrogate(self, draws: Draws) -> Tensor:
        """Return the bound plus the score of every sample times its learning signal."""
        bound = draws.log_mean_weight
        signal = bound.detach() - self._without_each(draws.log_weight.detach())
        return bound + (signal * draws.log_guide).sum(0)

    def _without_each(
        self, log_weight: Float[Tensor, "sample batch target"]
    ) -> Float[Tensor, "sample batch target"]:
        """Compute ``L̂₋ₖ`` for every sample k."""
        samples = len(log_weight)
        itself = torch.eye(samples, dtype=torch.bool, device=log_weight.device)[..., None, None]
        others = log_weight.expand(samples, *log_weight.shape)  # row k is for sample k
        stand_in = self._log_mean(others.masked_fill(itself, -math.inf), log_weight)
        replaced = others.where(~itself, stand_in.unsqueeze(1))
        return replaced.logsumexp(1) - math.log(samples)


def _geometric(others: Tensor, log_weight: Tensor) -> Tensor:
    """Return the log of the geometric mean of the other samples' weights."""
    return (log_weight.sum(0) - log_weight) / (len(log_weight) - 1)


def _arithmetic(others: Tensor, log_weight: Tensor) -> Tensor:
    """Return the log of the arithmetic mean of the other samples' weights."""
    return others.logsumexp(1) - math.log(len(log_weight) - 1)


_LOG_MEANS = {"geometric": _geometric, "arithmetic": _arithmetic}
