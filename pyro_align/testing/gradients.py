"""Gradients as one vector, and the log evidence of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pyro_align.data.batch import Batch


def parameters(*modules: nn.Module) -> list[Tensor]:
    """Return the parameters of all modules without duplicates."""
    return list(dict.fromkeys(p for module in modules for p in module.parameters()))


def gradient(value: Tensor, *modules: nn.Module) -> Tensor:
    """Return the gradient of ``value`` with respect to all parameters, as one vector."""
    grads = torch.autograd.grad(
        value,
        parameters(*modules),
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return torch.cat([grad.reshape(-1) for grad in grads])


def collected_gradient(*modules: nn.Module) -> Tensor:
    """Return the ``.grad`` of all parameters as one vector, and clear it."""
    grads = []
    for parameter in parameters(*modules):
        grads.append(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
        parameter.grad = None
    return torch.cat([grad.reshape(-1) for grad in grads])


def evidence(model: Any, batch: Batch) -> Tensor:
    """Return ``log p(y | x)`` of a batch, from the model's next-token probabilities."""
    log_probs = model.next_token(model.states(batch))
    gold = log_probs.gather(-1, batch.target.unsqueeze(-1)).squeeze(-1)
    return gold.masked_fill(~batch.target_mask, 0.0).sum()
