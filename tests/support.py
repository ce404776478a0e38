"""What the tests share: error bars, variances of gradients, and global state.

Small batches, networks and gradients are those of :mod:`pyro_align.testing`.
"""

from __future__ import annotations

from typing import Any

import pyro
import torch
from torch import Tensor, nn

from pyro_align.data.batch import TextBatch
from pyro_align.distributions import chunks
from pyro_align.testing import (
    VOCABULARY,
    collected_gradient,
    evidence,
    gradient,
    padded,
    parameters,
    random_batch,
    randomise,
    repeated,
    tiny_guide,
    tiny_model,
    tiny_networks,
)

__all__ = [
    "SIGMAS",
    "VOCABULARY",
    "assert_unbiased",
    "collected_gradient",
    "evidence",
    "global_state",
    "gradient",
    "mean_error",
    "padded",
    "parameters",
    "random_batch",
    "randomise",
    "repeated",
    "restore",
    "row_variance",
    "rows_of_a_chunk",
    "tiny_guide",
    "tiny_model",
    "tiny_networks",
]


def row_variance(elbo: Any, model: Any, guide: Any, batch: TextBatch, module: nn.Module) -> float:
    """Variance between sentences of a loss's gradient for what ``module`` puts out.

    Of a batch that repeats one sentence pair, it is the variance of the estimator.
    """
    outputs = []

    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        output.retain_grad()
        outputs.append(output)

    handle = module.register_forward_hook(keep)
    elbo.loss_and_grads(model, guide, batch)
    handle.remove()
    (output,) = outputs
    assert output.grad is not None
    collected_gradient(model)
    return output.grad.var(0).sum().item()


def mean_error(draws: Tensor, expected: Tensor) -> Tensor:
    """How many standard errors the mean of independent draws lies from what is expected.

    Args:
        draws: ``(draw, coordinate)``.
        expected: ``(coordinate,)``.
    """
    error = draws.std(0) / len(draws) ** 0.5
    difference = (draws.mean(0) - expected).abs()
    # A coordinate that never varies must be met up to rounding.
    return difference / error.clamp_min(1e-10 * (1 + expected.abs()))


SIGMAS = 10.0
"""Bound on :func:`mean_error`.

With 24 draws, P(|t₂₃| > 10) < 10⁻⁹, so that 10⁵ coordinates raise a false alarm with a probability
below 10⁻⁴.
"""


def assert_unbiased(draws: Tensor, expected: Tensor) -> None:
    """At least 24 independent draws have the expectation ``expected`` within error bars."""
    assert len(draws) >= 24
    worst = mean_error(draws, expected).max().item()
    assert worst < SIGMAS, f"a coordinate's mean lies {worst:.1f} standard errors off"


def global_state() -> dict[str, Any]:
    """What one test could leave behind for the next."""
    return {
        "pyro settings": pyro.settings.get(),
        "pyro handlers": len(pyro.poutine.runtime._PYRO_STACK),
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "anomaly detection": torch.is_anomaly_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "deterministic algorithms": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        "cudnn": (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark),
        "matmul precision": torch.get_float32_matmul_precision(),
    }


def restore(state: dict[str, Any]) -> None:
    """Set back to an earlier :func:`global_state` all of it that can be set."""
    pyro.settings.set(**state["pyro settings"])
    del pyro.poutine.runtime._PYRO_STACK[state["pyro handlers"] :]
    torch.set_default_dtype(state["default dtype"])
    if torch.get_default_device() != state["default device"]:
        torch.set_default_device(state["default device"])
    if torch.get_num_threads() != state["threads"]:
        torch.set_num_threads(state["threads"])
    torch.set_grad_enabled(state["gradients"])
    torch.autograd.set_detect_anomaly(state["anomaly detection"])
    torch.set_autocast_enabled("cpu", state["autocast"])
    enabled, warn_only = state["deterministic algorithms"]
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = state["cudnn"]
    torch.set_float32_matmul_precision(state["matmul precision"])


def rows_of_a_chunk(monkeypatch, rows):
    """Let only so many rows of logits exist at a time."""
    monkeypatch.setattr(chunks, "ELEMENTS", {"cpu": 1})
    monkeypatch.setattr(chunks, "ROWS", rows)
