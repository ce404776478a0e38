"""A Gaussian with independent dimensions, from the output of a network."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.distributions.precision import at_least_fp32


def diagonal_normal(parameters: Float[Tensor, "*shape two_sizes"]) -> Any:
    """Return ``N(μ, diag σ²)`` of batch shape ``shape``.

    Args:
        parameters: ``μ`` and ``log σ``, concatenated.
    """
    mean, log_scale = at_least_fp32(parameters).chunk(2, -1)
    return dist.Normal(mean, torch.exp(log_scale)).to_event(1)
