"""Hamiltonian Monte Carlo with a chain for every sentence of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LogDensity = Callable[[Mapping[str, Tensor]], Float[Tensor, " row"]]
"""Log density of every row, up to a constant, as a function of the values of the latent sites."""


@dataclass(frozen=True)
class Move:
    """Result of :func:`hamiltonian_step`.

    Attributes:
        values: new values by site, of batch shape ``(row, 1)``.
        log_density: their log density.
        acceptance: probability with which the proposal of each row was accepted.
    """

    values: Mapping[str, Float[Tensor, "row 1 *event"]]
    log_density: Float[Tensor, " row"]
    acceptance: Float[Tensor, " row"]


def hamiltonian_step(
    log_density: LogDensity,
    values: Mapping[str, Float[Tensor, "row 1 *event"]],
    *,
    step_size: float,
    leapfrog: int,
) -> Move:
    """Move every row by one step of Hamiltonian Monte Carlo (Neal 2011, figure 2).

    Each row is accepted or rejected by itself. ``pyro.infer.HMC`` accepts a batch as a whole, so
    that its step size must decrease with the number of rows.

    Args:
        log_density: log density of the rows, which are independent of each other.
        values: values by site, unconstrained.
        step_size: step size of the leapfrog integrator.
        leapfrog: number of leapfrog steps.
    """
    momentum = {name: torch.randn_like(value) for name, value in values.items()}
    before, gradient = _with_gradient(log_density, values)
    position, kinetic = dict(values), _kinetic(momentum)
    after = before
    for _ in range(leapfrog):
        momentum = _moved(momentum, gradient, step_size / 2)
        position = _moved(position, momentum, step_size)
        after, gradient = _with_gradient(log_density, position)
        momentum = _moved(momentum, gradient, step_size / 2)
    change = (after - _kinetic(momentum)) - (before - kinetic)
    # An energy that is not finite is rejected.
    acceptance = change.nan_to_num(nan=-torch.inf).exp().clamp_max(1.0)
    accepted = torch.rand_like(acceptance) < acceptance
    chosen = {
        name: value.where(accepted.reshape(-1, *[1] * (value.dim() - 1)), values[name])
        for name, value in position.items()
    }
    return Move(chosen, after.where(accepted, before), acceptance)


def _moved(
    values: Mapping[str, Tensor], direction: Mapping[str, Tensor], size: float
) -> dict[str, Tensor]:
    return {name: value + size * direction[name] for name, value in values.items()}


def _kinetic(momentum: Mapping[str, Tensor]) -> Float[Tensor, " row"]:
    return sum(
        (0.5 * value.square().flatten(1).sum(1) for value in momentum.values()),
        start=torch.zeros(()),
    )


def _with_gradient(
    log_density: LogDensity, values: Mapping[str, Tensor]
) -> tuple[Float[Tensor, " row"], dict[str, Tensor]]:
    with torch.enable_grad():
        leaves = {name: value.detach().requires_grad_() for name, value in values.items()}
        density = log_density(leaves)
        gradients = torch.autograd.grad(density.sum(), list(leaves.values()))
    return density.detach(), dict(zip(leaves, gradients, strict=True))
