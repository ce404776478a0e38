"""What the tests share: small random batches and networks, gradients, and error bars."""

from __future__ import annotations

import dataclasses
import inspect
import random
from collections.abc import Iterable, Sequence
from typing import Any

import pyro
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pyro_align.batch import EOS, PAD, Batch
from pyro_align.distributions import chunks
from pyro_align.guides import AmortizedGuide
from pyro_align.models import CategoricalModel
from pyro_align.networks import NetworkConfig, SequenceToSequence

VOCABULARY = 9


def random_batch(
    source_lengths: Sequence[int] = (3, 4, 1),
    target_lengths: Sequence[int] = (4, 2, 3),
    *,
    vocabulary: int = VOCABULARY,
    seed: int = 0,
) -> Batch:
    """Random sentence pairs of these lengths, ``EOS`` counted."""
    generator = random.Random(seed)

    def sentences(lengths: Iterable[int]) -> list[list[int]]:
        return [
            [*(generator.randrange(EOS + 1, vocabulary) for _ in range(length - 1)), EOS]
            for length in lengths
        ]

    return Batch.from_ids(sentences(source_lengths), sentences(target_lengths))


def padded(batch: Batch, source: int = 0, target: int = 0) -> Batch:
    """The same sentences with more columns of padding on either side."""
    return dataclasses.replace(
        batch,
        source=pad(batch.source, (0, source), value=PAD),
        source_mask=pad(batch.source_mask, (0, source), value=False),
        target=pad(batch.target, (0, target), value=PAD),
        target_mask=pad(batch.target_mask, (0, target), value=False),
    )


def repeated(batch: Batch, times: int) -> Batch:
    """Every sentence pair ``times`` times: as many independent draws in one call."""
    return Batch(
        *(
            getattr(batch, field.name).repeat_interleave(times, dim=0)
            for field in dataclasses.fields(batch)
        )
    )


def randomise(module: nn.Module, seed: int = 0, scale: float = 1.5) -> Any:
    """The module in double precision with normal parameters: nothing is zero, equal or small.

    Gains become one, lest a small one make everything else small.
    """
    generator = torch.Generator().manual_seed(seed)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim():
                parameter.normal_(0.0, scale, generator=generator)
            else:
                parameter.fill_(1.0)
    return module


def tiny_networks(
    *,
    vocabulary: int = VOCABULARY,
    source_vocabulary: int | None = None,
    seed: int = 0,
    **settings: Any,
) -> SequenceToSequence:
    """Double-precision networks of a few units; ``settings`` go to :class:`NetworkConfig`."""
    sizes: dict[str, Any] = {
        "embedding": 5,
        "encoder_hidden": 3,
        "decoder_hidden": 6,
        "attention_hidden": 4,
        "dropout": 0.0,
        # The paper's.
        "emission": "tanh",
        "lexical": False,
    }
    config = NetworkConfig(**{**sizes, **settings})
    return randomise(SequenceToSequence(config, source_vocabulary or vocabulary, vocabulary), seed)


def tiny_model(kind: Any = CategoricalModel, *, seed: int = 0, **settings: Any) -> Any:
    """A model of ``kind`` on tiny networks."""
    return kind(tiny_networks(seed=seed, **settings))


def tiny_guide(model: Any, kind: Any = AmortizedGuide, *, seed: int = 1, **options: Any) -> Any:
    """A guide of ``kind`` on ``model``."""
    if "hidden" in inspect.signature(kind).parameters:
        options = {"hidden": 4, **options}
    return randomise(kind(model, **options), seed)


def parameters(*modules: nn.Module) -> list[Tensor]:
    """Parameters of all modules, each once."""
    return list(dict.fromkeys(p for module in modules for p in module.parameters()))


def gradient(value: Tensor, *modules: nn.Module) -> Tensor:
    """Gradient of ``value`` for the parameters of all modules, as one vector."""
    grads = torch.autograd.grad(
        value,
        parameters(*modules),
        retain_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    return torch.cat([grad.reshape(-1) for grad in grads])


def collected_gradient(*modules: nn.Module) -> Tensor:
    """What stands in ``.grad`` of all parameters, as one vector, and is cleared by this."""
    grads = []
    for parameter in parameters(*modules):
        grads.append(torch.zeros_like(parameter) if parameter.grad is None else parameter.grad)
        parameter.grad = None
    return torch.cat([grad.reshape(-1) for grad in grads])


def row_variance(elbo: Any, model: Any, guide: Any, batch: Batch, module: nn.Module) -> float:
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


def evidence(model: Any, batch: Batch) -> Tensor:
    """``log p(y | x)`` of the whole batch, from the model's next-token probabilities."""
    log_probs = model.next_token(model.states(batch))
    gold = log_probs.gather(-1, batch.target.unsqueeze(-1)).squeeze(-1)
    return gold.masked_fill(~batch.target_mask, 0.0).sum()


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
