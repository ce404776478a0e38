"""Losses whose gradient reaches some of the parameters only."""

from __future__ import annotations

import torch
from torch import Tensor


def gradient_alone(value: Tensor, parameters: list[Tensor], *, retain_graph: bool) -> Tensor:
    """Return ``value`` with a gradient for ``parameters`` only."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    if not (torch.is_grad_enabled() and value.requires_grad and parameters):
        return value.detach()
    gradients = torch.autograd.grad(value, parameters, allow_unused=True, retain_graph=retain_graph)
    linear = sum(
        (parameter * gradient).sum()
        for parameter, gradient in zip(parameters, gradients, strict=True)
        if gradient is not None
    )
    return value.detach() + (linear - linear.detach() if isinstance(linear, Tensor) else 0.0)
