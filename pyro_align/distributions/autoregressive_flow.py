"""Gaussians transformed by inverse autoregressive flows, whose parameters depend on a context."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.nn import ConditionalAutoRegressiveNN
from torch import Tensor, nn

MOMENT_SAMPLES = 200
"""Samples from which mean and variance are estimated."""

_SINGLE = torch.Size()


class AutoregressiveFlow(nn.Module):
    """Layers ``s ← σ(a) s + (1 − σ(a)) m``, where ``m`` and ``a`` read a context and earlier ``s``.

    The gated inverse autoregressive flow of Kingma et al. (2016), equation 14, made of Pyro's
    :class:`~pyro.distributions.transforms.ConditionalAffineAutoregressive`. Every second layer
    reads the dimensions in reverse order.

    Args:
        size: number of dimensions, 2 or more.
        context: size of the context.
        layers: number of layers.
        hidden: number of hidden units of a layer, at least ``size``.
    """

    def __init__(self, size: int, context: int, layers: int, hidden: int):
        super().__init__()
        order = torch.arange(size)
        self.layers = nn.ModuleList(
            dist.transforms.ConditionalAffineAutoregressive(
                ConditionalAutoRegressiveNN(
                    size,
                    context,
                    [hidden],
                    permutation=order.flip(0) if number % 2 else order,
                    nonlinearity=nn.Tanh(),
                ),
                stable=True,
            )
            for number in range(layers)
        )

    def transform(self, start: Any, context: Float[Tensor, "*batch context"]) -> FlowDistribution:
        """Return the distribution of a transformed sample of ``start``.

        Args:
            start: a distribution of event shape ``(size,)``.
            context: a vector for each element of the batch of ``start``.
        """
        layers: Any = self.layers
        return FlowDistribution(start, [layer.condition(context) for layer in layers])


class FlowDistribution(dist.TransformedDistribution):
    """The distribution of a transformed sample, computed in the precision of its parameters.

    The density of a value that was sampled is exact and costs no more than the sample. For other
    values the transforms are inverted, one dimension after the other. Mean and variance have no
    closed form: they are estimated from :data:`MOMENT_SAMPLES` samples, always the same.
    """

    def rsample(self, sample_shape: Any = _SINGLE) -> Tensor:
        """Sample with a gradient."""
        with torch.autocast(self._device, enabled=False):
            found: Tensor = super().rsample(sample_shape)
            return found

    def sample(self, sample_shape: Any = _SINGLE) -> Tensor:
        """Sample without a gradient."""
        with torch.no_grad():
            return self.rsample(sample_shape)

    def log_prob(self, value: Float[Tensor, "*value size"]) -> Float[Tensor, "*shape"]:
        """Compute the log density of values, broadcast to the batch shape."""
        shape = torch.broadcast_shapes(value.shape[:-1], self.batch_shape)
        if value.shape[:-1] != shape:  # otherwise the transforms recognise their own sample
            value = value.expand(*shape, value.shape[-1])
        with torch.autocast(self._device, enabled=False):
            found: Tensor = super().log_prob(value)
            return found

    @property
    def mean(self) -> Tensor:
        """The mean, estimated."""
        return self._samples().mean(0)

    @property
    def variance(self) -> Tensor:
        """The variance of each dimension, estimated."""
        return self._samples().var(0)

    def _samples(self) -> Float[Tensor, "sample *batch size"]:
        devices = [torch.cuda.current_device()] if self._device == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(0)
            return self.sample(torch.Size((MOMENT_SAMPLES,)))

    @property
    def _device(self) -> str:
        base: Any = self.base_dist
        return str(base.mean.device.type)
