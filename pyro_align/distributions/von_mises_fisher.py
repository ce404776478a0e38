"""Distributions on the unit sphere: von Mises–Fisher, and uniform."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.distributions import TorchDistribution
from scipy import special
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import constraints, register_kl
from torch.nn.functional import normalize

from pyro_align.distributions.shapes import broadcast_shapes

_SINGLE = torch.Size()

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(128)
"""Gauss–Legendre quadrature on ``[−1, 1]``."""


class SphereUniform(TorchDistribution):
    """The uniform distribution on the unit sphere of ``ℝ^d``.

    Args:
        like: a tensor of shape ``(*batch, d)``, for shape, type and device; its values are not
            used.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    support = dist.constraints.sphere

    def __init__(self, like: Float[Tensor, "*batch d"], *, validate_args: bool | None = None):
        self.like = like
        super().__init__(like.shape[:-1], like.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: object = None) -> SphereUniform:
        """Return the distribution expanded to a batch shape."""
        return SphereUniform(self.like.expand((*batch_shape, -1)), validate_args=False)

    def sample(self, sample_shape: Any = _SINGLE) -> Float[Tensor, "*shape d"]:
        """Sample unit vectors."""
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = torch.randn(shape, dtype=self.like.dtype, device=self.like.device)
        return normalize(noise, dim=-1)

    def log_prob(self, value: Float[Tensor, "*value d"]) -> Float[Tensor, "*shape"]:
        """Return minus the logarithm of the area of the sphere."""
        if self._validate_args:
            self._validate_sample(value)
        shape = broadcast_shapes(value.shape[:-1], self.batch_shape)
        return self.like.new_full(shape, log_density_of_uniform(self.event_shape[0]))


class VonMisesFisher(TorchDistribution):
    """The von Mises–Fisher distribution on the unit sphere of ``ℝ^d``, ``d ≥ 3``.

    Its density is proportional to ``exp(κ μ · x)``. Samples are drawn by the rejection sampler of
    Wood (1994) for the cosine ``w = μ · x`` (Davidson et al. 2018, algorithm 1). Gradients of
    :meth:`rsample` are exact: that of ``w`` with respect to κ is implicit, ``−∂F(w)/∂κ / f(w)``
    with the distribution function ``F`` and the density ``f`` of ``w``, by quadrature. Moments and
    normaliser are computed in double precision on the CPU.

    Args:
        direction: the unit vector ``μ``, of shape ``(*batch, d)``.
        concentration: κ above 0, of shape ``(*batch,)``; the two are broadcast.

    Raises:
        ValueError: if ``d`` is below 3; Pyro has ``VonMises`` for the circle.
    """

    arg_constraints: ClassVar = {
        "direction": dist.constraints.sphere,
        "concentration": constraints.positive,
    }
    support = dist.constraints.sphere
    has_rsample = True

    def __init__(
        self,
        direction: Float[Tensor, "*#batch d"],
        concentration: Float[Tensor, "*#batch"],
        *,
        validate_args: bool | None = None,
    ):
        if direction.shape[-1] < 3:
            raise ValueError(f"needs 3 dimensions or more, got {direction.shape[-1]}")
        batch = broadcast_shapes(direction.shape[:-1], concentration.shape)
        self.direction = direction.expand((*batch, -1))
        self.concentration = concentration.expand(batch)
        super().__init__(batch, direction.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: object = None) -> VonMisesFisher:
        """Return the distribution expanded to a batch shape."""
        batch_shape = torch.Size(batch_shape)
        return VonMisesFisher(
            self.direction.expand((*batch_shape, -1)),
            self.concentration.expand(batch_shape),
            validate_args=False,
        )

    @property
    def resultant(self) -> Float[Tensor, "*batch"]:
        """``E[μ · x]``, the length of the mean."""
        found: Tensor = _Resultant.apply(self.concentration, self.event_shape[0])  # type: ignore[no-untyped-call]
        return found

    @property
    def mean(self) -> Float[Tensor, "*batch d"]:
        """The mean, which lies inside of the sphere."""
        return self.resultant.unsqueeze(-1) * self.direction

    @property
    def variance(self) -> Float[Tensor, "*batch d"]:
        """The variance of each coordinate."""
        size = self.event_shape[0]
        across = self.resultant / self.concentration
        along = 1 - size * across - self.resultant**2
        return across.unsqueeze(-1) + along.unsqueeze(-1) * self.direction**2

    @property
    def log_normaliser(self) -> Float[Tensor, "*batch"]:
        """Logarithm of the density's factor that does not depend on the vector."""
        found: Tensor = _LogNormaliser.apply(self.concentration, self.event_shape[0])  # type: ignore[no-untyped-call]
        return found

    def log_prob(self, value: Float[Tensor, "*value d"]) -> Float[Tensor, "*shape"]:
        """Compute the log density with respect to the area of the sphere."""
        if self._validate_args:
            self._validate_sample(value)
        cosine = (self.direction * value).sum(-1)
        return self.concentration * cosine + self.log_normaliser

    def rsample(self, sample_shape: Any = _SINGLE) -> Float[Tensor, "*shape d"]:
        """Sample unit vectors, differentiably."""
        shape = self._extended_shape(torch.Size(sample_shape))
        concentration = self.concentration.expand(shape[:-1])
        cosine = _Cosine.apply(concentration, self.event_shape[0]).unsqueeze(-1)  # type: ignore[no-untyped-call]
        noise = torch.randn(shape, dtype=self.direction.dtype, device=self.direction.device)
        # A uniform direction orthogonal to the mean direction.
        along = (noise * self.direction).sum(-1, keepdim=True)
        across = normalize(noise - along * self.direction, dim=-1)
        found = cosine * self.direction + (1 - cosine**2).clamp_min(0).sqrt() * across
        return normalize(found, dim=-1)  # against rounding


def log_density_of_uniform(size: int) -> float:
    """Return the log density of the uniform distribution on the unit sphere of ``ℝ^size``."""
    return math.lgamma(size / 2) - math.log(2) - size / 2 * math.log(math.pi)


@register_kl(VonMisesFisher, SphereUniform)
def _kl(q: VonMisesFisher, p: SphereUniform) -> Float[Tensor, "*batch"]:
    """``κ E[μ · x] + log C(κ) + log area`` (Xu & Durrett 2018; Davidson et al. 2018)."""
    shape = broadcast_shapes(q.batch_shape, p.batch_shape)
    bound = q.concentration * q.resultant + q.log_normaliser
    return (bound - log_density_of_uniform(q.event_shape[0])).expand(shape)


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().double().cpu().numpy()


def _like(values: Any, tensor: Tensor) -> Tensor:
    return torch.as_tensor(values).to(tensor)


def _resultants(concentration: Any, size: int) -> Any:
    """Ratio of the modified Bessel functions of orders ``size/2`` and ``size/2 − 1``."""
    order = size / 2 - 1
    return special.ive(order + 1, concentration) / special.ive(order, concentration)


class _Resultant(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, concentration: Tensor, size: int) -> Tensor:
        value = _numpy(concentration)
        found = _resultants(value, size)
        ctx.slope = _like(1 - found**2 - (size - 1) / value * found, concentration)
        return _like(found, concentration)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.slope, None


class _LogNormaliser(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, concentration: Tensor, size: int) -> Tensor:
        value, order = _numpy(concentration), size / 2 - 1
        ctx.slope = _like(-_resultants(value, size), concentration)
        bessel = np.log(special.ive(order, value)) + value
        found = order * np.log(value) - size / 2 * math.log(2 * math.pi) - bessel
        return _like(found, concentration)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.slope, None


class _Cosine(torch.autograd.Function):
    """Sample ``μ · x``, with its implicit gradient with respect to the concentration."""

    @staticmethod
    def forward(ctx: Any, concentration: Tensor, size: int) -> Tensor:
        with torch.no_grad():
            cosine = _rejection_sample(concentration.double(), size)
        if concentration.requires_grad:
            ctx.slope = _like(
                _implicit_slope(_numpy(cosine), _numpy(concentration), size), concentration
            )
        return cosine.to(concentration)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad * ctx.slope, None


def _rejection_sample(concentration: Tensor, size: int) -> Tensor:
    """Sample cosines (Wood 1994; Davidson et al. 2018, algorithm 1)."""
    flat = concentration.flatten()
    rest = size - 1
    b = rest / (2 * flat + (4 * flat**2 + rest**2).sqrt())
    a = (rest + 2 * flat + (4 * flat**2 + rest**2).sqrt()) / 4
    d = 4 * a * b / (1 + b) - rest * math.log(rest)
    found = torch.full_like(flat, torch.nan)
    half = flat.new_full((), rest / 2)
    proposal = torch.distributions.Beta(half, half, validate_args=False)
    left = torch.arange(len(flat), device=flat.device)
    while len(left):
        noise = proposal.sample(left.shape)
        bl, al, dl = b[left], a[left], d[left]
        cosine = (1 - (1 + bl) * noise) / (1 - (1 - bl) * noise)
        t = 2 * al * bl / (1 - (1 - bl) * noise)
        accepted = rest * t.log() - t + dl >= torch.rand_like(noise).log()
        found[left[accepted]] = cosine[accepted]
        left = left[~accepted]
    return found.view_as(concentration)


def _implicit_slope(cosine: Any, concentration: Any, size: int) -> Any:
    """Compute ``−∂F(w)/∂κ / f(w)`` of each cosine ``w``.

    ``∂F(w)/∂κ`` is the integral of ``f(t) (t − E[t])`` up to ``w``, and minus that from ``w`` on.
    The side on which ``t − E[t]`` has one sign is integrated, so that nothing cancels.
    """
    mean = _resultants(concentration, size)
    is_low = cosine < mean
    end = np.where(is_low, -1.0, 1.0)
    middle, half = (cosine + end)[..., None] / 2, (cosine - end)[..., None] / 2
    t = middle + half * _NODES
    power = (size - 3) / 2
    log_ratio = concentration[..., None] * (t - cosine[..., None])
    if power:
        log_ratio += power * (np.log1p(-(t**2)) - np.log1p(-(cosine**2))[..., None])
    integral = (half * _WEIGHTS * np.exp(log_ratio) * (t - mean[..., None])).sum(-1)
    # From −1 to w, or from 1 to w, which is minus the integral from w to 1: both are ∂F/∂κ.
    return -integral
