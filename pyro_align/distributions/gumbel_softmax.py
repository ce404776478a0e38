"""Gumbel-softmax distributions, with padding."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_align.distributions.padded_dirichlet import LEAST_COORDINATE

_SINGLE = torch.Size()


class GumbelSoftmax(TorchDistribution):
    """``softmax((logits + Gumbel noise) / τ)`` (Jang et al. 2017; Maddison et al. 2017).

    Categories of probability zero, such as padding, are excluded from the simplex: samples are
    exactly zero there, and the density is over the other categories.

    Args:
        temperature: τ; as it tends to 0, samples tend to one-hot samples of the Categorical.
        logits: of the Categorical that is relaxed; need not be normalised.
    """

    arg_constraints: ClassVar = {"logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True

    def __init__(
        self,
        temperature: float | Float[Tensor, ""],
        logits: Float[Tensor, "*batch source"],
        *,
        validate_args: bool | None = None,
    ):
        self.temperature = temperature
        self.logits = logits.log_softmax(-1)
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: object = None) -> GumbelSoftmax:
        """Return the distribution expanded to a batch shape."""
        logits = self.logits.expand(torch.Size(batch_shape) + self.event_shape)
        return type(self)(self.temperature, logits, validate_args=False)

    @property
    def probs(self) -> Float[Tensor, "*batch source"]:
        """Probabilities of the Categorical that is relaxed."""
        return self.logits.exp()

    @property
    def inside(self) -> Bool[Tensor, "*batch source"]:
        """True on the categories with a probability above zero."""
        return self.probs > 0

    def rsample(self, sample_shape: Any = _SINGLE) -> Float[Tensor, "*shape source"]:
        """Sample points of the simplex, reparameterised."""
        logits = self.logits.expand(self._extended_shape(sample_shape))
        tiny = torch.finfo(logits.dtype).tiny
        gumbel = -torch.empty_like(logits).exponential_().clamp_min(tiny).log()
        noisy = (logits + gumbel) / self.temperature
        return noisy.masked_fill(~self.inside, -math.inf).softmax(-1)

    def log_prob(self, value: Float[Tensor, "*shape source"]) -> Float[Tensor, "*shape"]:
        """Compute the log density (Maddison et al. 2017, equation 10).

        ``log Γ(n) + (n − 1) log τ + Σ (logit − (τ + 1) log v) − n log Σ exp(logit − τ log v)``,
        with coordinates clamped as in ``PaddedDirichlet``.
        """
        if self._validate_args:
            self._validate_sample(value)
        tau, inside, count = self.temperature, self.inside, self.inside.sum(-1)
        log_value = value.clamp_min(LEAST_COORDINATE).log()
        scores = self.logits - tau * log_value
        log_tau = torch.as_tensor(tau, dtype=value.dtype).log()
        constant = count.to(value.dtype).lgamma() + (count - 1) * log_tau
        total = (scores - log_value).where(inside, 0.0).sum(-1)
        return constant + total - count * scores.masked_fill(~inside, -math.inf).logsumexp(-1)


class StraightThroughGumbelSoftmax(GumbelSoftmax):
    """One-hot samples with the gradient of the relaxed samples (Jang et al. 2017).

    The values are exact samples of the Categorical; the gradient is biased.
    """

    def rsample(self, sample_shape: Any = _SINGLE) -> Float[Tensor, "*shape source"]:
        """Sample one-hot vectors."""
        soft = super().rsample(sample_shape)
        hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
        return hard + (soft - soft.detach())

    def log_prob(self, value: Float[Tensor, "*shape source"]) -> Float[Tensor, "*shape"]:
        """Compute the log probability of one-hot vectors, extended linearly to the simplex."""
        if self._validate_args:
            self._validate_sample(value)
        return (value * self.logits).where(self.inside, 0.0).sum(-1)
