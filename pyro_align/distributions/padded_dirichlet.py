"""A Dirichlet distribution with padded coordinates."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import constraints, register_kl

LEAST_COORDINATE = 1e-30
"""Minimum to which densities clamp coordinates of the simplex: small enough to be negligible, large
enough that the gradient of the density is finite in fp32."""

LOG_CONCENTRATION_BOUND = 5.0
"""Bound of the absolute log concentrations that :func:`concentrations` returns."""

_SINGLE = torch.Size()


def concentrations(scores: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Map attention scores to Dirichlet concentrations: ``exp(5 tanh(score / 5))``.

    With the exponential, unlike softplus, the mean of the Dirichlet is the softmax of the scores
    (for small scores), as in soft attention; adding a constant to all scores changes how
    concentrated it is. The bound keeps every concentration between 0.0067, where samples are close
    to a corner of the simplex, and 148, where they are close to the mean. It is smooth, because a
    score beyond a hard clamp would get no gradient.
    """
    bound = LOG_CONCENTRATION_BOUND
    return (bound * torch.tanh(scores / bound)).exp()


class PaddedDirichlet(TorchDistribution):
    """A Dirichlet on the simplex of the coordinates ``inside``; the others are zero.

    The density is over the coordinates inside only. With a single coordinate inside, the
    distribution is a point mass whose log probability, entropy and KL divergence are zero.

    Args:
        concentration: positive inside; values outside are ignored.
        inside: true on real coordinates, at least one per row; broadcast to ``concentration``.
    """

    arg_constraints: ClassVar = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(
        self,
        concentration: Float[Tensor, "*batch source"],
        inside: Bool[Tensor, "*broad source"],
        *,
        validate_args: bool | None = None,
    ):
        self.inside = inside.expand_as(concentration)
        # A coordinate with concentration 1 contributes only to the total.
        self.concentration = concentration.where(self.inside, 1.0)
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: object = None) -> PaddedDirichlet:
        """Return the distribution expanded to a batch shape."""
        shape = torch.Size(batch_shape) + self.event_shape
        return PaddedDirichlet(
            self.concentration.expand(shape), self.inside.expand(shape), validate_args=False
        )

    @property
    def total(self) -> Float[Tensor, "*batch"]:
        """Sum of the concentrations inside."""
        return self.concentration.where(self.inside, 0.0).sum(-1)

    @property
    def mean(self) -> Float[Tensor, "*batch source"]:
        """Mean; zero outside."""
        return self.concentration.where(self.inside, 0.0) / self.total.unsqueeze(-1)

    def rsample(self, sample_shape: Any = _SINGLE) -> Float[Tensor, "*shape source"]:
        """Sample with implicit reparameterisation (Figurnov et al. 2018); exactly zero outside."""
        shape = self._extended_shape(sample_shape)
        return _PathwiseSample.apply(  # type: ignore[no-untyped-call]
            self.concentration.expand(shape), self.inside.expand(shape)
        )

    def log_prob(self, value: Float[Tensor, "*shape source"]) -> Float[Tensor, "*shape"]:
        """Compute the log density, with coordinates clamped at :data:`LEAST_COORDINATE`."""
        if self._validate_args:
            self._validate_sample(value)
        log_value = value.clamp_min(LEAST_COORDINATE).log()
        return ((self.concentration - 1) * log_value).sum(-1) - self._log_normalizer()

    def entropy(self) -> Float[Tensor, "*batch"]:
        """Compute the differential entropy."""
        excess = self.total - self.inside.sum(-1)
        sharpness = ((self.concentration - 1) * self.concentration.digamma()).sum(-1)
        return self._log_normalizer() + excess * self.total.digamma() - sharpness

    def _log_normalizer(self) -> Float[Tensor, "*batch"]:
        return self.concentration.lgamma().sum(-1) - self.total.lgamma()


@register_kl(PaddedDirichlet, PaddedDirichlet)
def _kl(p: PaddedDirichlet, q: PaddedDirichlet) -> Float[Tensor, "*batch"]:
    """Compute ``KL(p ‖ q)`` of two distributions with the same coordinates inside."""
    expected_log = p.concentration.digamma() - p.total.digamma().unsqueeze(-1)
    change = ((p.concentration - q.concentration) * expected_log).sum(-1)
    return change + q._log_normalizer() - p._log_normalizer()


class _PathwiseSample(torch.autograd.Function):
    """Dirichlet samples with the pathwise derivative of PyTorch, from each marginal Beta."""

    @staticmethod
    def forward(
        ctx: Any,
        concentration: Float[Tensor, "*shape source"],
        inside: Bool[Tensor, "*shape source"],
    ) -> Float[Tensor, "*shape source"]:
        # Gamma(a) = Gamma(a + 1) · U^(1/a), in logarithms: samples with small a would underflow.
        tiny = torch.finfo(concentration.dtype).tiny
        log_power = torch.rand_like(concentration).clamp_min(tiny).log() / concentration
        log_gamma = torch._standard_gamma(concentration + 1).log() + log_power
        sample = log_gamma.masked_fill(~inside, -math.inf).softmax(-1)
        ctx.save_for_backward(concentration, inside, sample)
        return sample

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, "*shape source"]) -> tuple[Tensor | None, ...]:
        concentration, inside, sample = ctx.saved_tensors
        total = concentration.where(inside, 0.0).sum(-1, keepdim=True)
        # A point mass has no derivative, and neither have coordinates outside.
        moves = inside & (inside.sum(-1, keepdim=True) > 1)
        limits = torch.finfo(sample.dtype)
        slope = torch._dirichlet_grad(
            sample.clamp(limits.tiny, 1 - limits.eps).where(moves, 0.5),
            concentration.where(moves, 1.0),
            total.expand_as(sample).where(moves, 2.0),
        )
        along = grad - (sample * grad).sum(-1, keepdim=True)
        return (slope * along).where(moves, 0.0), None
