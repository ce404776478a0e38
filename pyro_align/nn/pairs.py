"""Emissions given as functions, evaluated for pairs of a query and a context in chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from pyro_align.distributions import at_least_fp32

EmissionFunction = Callable[[Tensor, Tensor], Any]
"""``emission(queries, contexts)`` of ``(row, query)`` and ``(row, memory)``: logits of shape
``(row, vocabulary)``, or a distribution of batch shape ``(row,)``."""


def log_likelihood(
    emission: EmissionFunction,
    queries: Float[Tensor, "batch target query"],
    memory: Float[Tensor, "batch source memory"],
    positions: Int[Tensor, "batch target k"],
    target: Tensor,
    chunk: int,
) -> Float[Tensor, "batch target k"]:
    """``log p(y_t | q_t, m_s)`` of ``k`` source positions ``s`` for each target position.

    Args:
        emission: a function or module.
        queries: a row for each target position.
        memory: a row for each source position.
        positions: source positions.
        target: ``(batch, target, *event)``: token ids for logits, else what the distribution takes.
        chunk: largest number of rows the emission is called with.
    """
    targets = target.flatten(0, 1)

    def of_pairs(rows: Tensor, contexts: Tensor) -> Tensor:
        found = _emitted(emission, queries, memory, rows, contexts)
        wanted = targets.index_select(0, rows)
        if isinstance(found, Tensor):
            return -cross_entropy(at_least_fp32(found), wanted, reduction="none")
        return at_least_fp32(found.log_prob(wanted))

    pairs = _in_chunks(of_pairs, positions, memory, chunk)
    return torch.cat(pairs).reshape(positions.shape)


def log_mixture(
    emission: EmissionFunction,
    queries: Float[Tensor, "batch target query"],
    memory: Float[Tensor, "batch source memory"],
    positions: Int[Tensor, "batch target k"],
    log_weights: Float[Tensor, "batch target k"],
    chunk: int,
) -> Float[Tensor, "batch target vocabulary"]:
    """``log Σ_k w_tk p(y | q_t, m_k)`` for the whole vocabulary.

    Args:
        emission: a function or module that returns logits or a distribution that has ``logits``.
        queries: a row for each target position.
        memory: a row for each source position.
        positions: source positions.
        log_weights: normalised log probabilities of these positions.
        chunk: largest number of rows the emission is called with, but at least ``k``.
    """
    k = positions.shape[-1]
    weights = log_weights.flatten(0, 1)

    def of_rows(rows: Tensor, contexts: Tensor) -> Tensor:
        found = _emitted(emission, queries, memory, rows, contexts)
        logits = found if isinstance(found, Tensor) else found.logits
        log_probs = at_least_fp32(logits).log_softmax(-1).unflatten(0, (-1, k))
        own = weights.index_select(0, rows.unflatten(0, (-1, k))[:, 0])
        return (own.unsqueeze(-1) + log_probs).logsumexp(1)

    mixed = _in_chunks(of_rows, positions, memory, max(1, chunk // k) * k)
    return torch.cat(mixed).unflatten(0, positions.shape[:2])


def _emitted(
    emission: EmissionFunction, queries: Tensor, memory: Tensor, rows: Tensor, contexts: Tensor
) -> Any:
    return emission(
        queries.flatten(0, 1).index_select(0, rows),
        memory.flatten(0, 1).index_select(0, contexts),
    )


def _in_chunks(
    function: Callable[[Tensor, Tensor], Tensor], positions: Tensor, memory: Tensor, chunk: int
) -> list[Tensor]:
    """Call ``function(rows of queries, rows of memory)`` for chunks of all pairs.

    Of several chunks none is kept for the backward pass: each is computed again there.
    """
    batch, target, k = positions.shape
    rows = torch.arange(batch * target, device=memory.device).repeat_interleave(k)
    offsets = torch.arange(batch, device=memory.device) * memory.shape[1]
    contexts = (positions + offsets.reshape(-1, 1, 1)).flatten()
    chunks = list(zip(rows.split(chunk), contexts.split(chunk), strict=True))
    if len(chunks) == 1 or not torch.is_grad_enabled():
        return [function(*each) for each in chunks]
    return [checkpoint(function, *each, use_reentrant=False) for each in chunks]
