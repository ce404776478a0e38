"""Ancestral sampling of sentences, token by token."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.data.batch import BOS, EOS, PAD, Batch, length_mask
from pyro_align.data.noise import Noise
from pyro_align.distributions import at_least_fp32
from pyro_align.errors import IncompatibleError
from pyro_align.networks import AutoregressiveNetwork, LanguageNetwork
from pyro_align.nn import Memory

LONGEST = 2
"""Maximum length of a sampled target, relative to the longest target of the batch."""


@torch.no_grad()
def sample_targets(model: Any, batch: Batch, memory: Memory | None = None) -> Batch:
    """Sample ``y ~ p(y | x)`` for every source of a batch, with alignments summed out.

    Tokens are sampled one after the other, each given those before, until ``EOS``. A target that
    reaches :data:`LONGEST` times the length of the longest target of the batch ends there.
    A network that does not decode step by step must have a single target position.

    Args:
        model: an :class:`~pyro_align.models.AlignmentModel`.
        batch: a batch; all but its targets is kept.
        memory: the encoded sources; None for those of the model.

    Raises:
        IncompatibleError: if the network does not decode step by step and the batch has several
            target positions.
    """
    if not isinstance(model.networks, AutoregressiveNetwork):
        if batch.target.shape[1] > 1:
            raise IncompatibleError(
                f"{type(model.networks).__name__} cannot be sampled from, since it does not decode "
                f"step by step: derive it from pyro_align.networks.AutoregressiveNetwork"
            )
        return dataclasses.replace(
            batch, target=_sample(model.next_token(model.states(batch))), computed=None
        )
    networks = model.networks
    source: Any = batch
    if memory is None:
        memory = model.encode(source.source, source.source_mask, source.source_lengths)
    state, past = networks.initial(memory), None

    def next_token(tokens: Tensor) -> Tensor:
        nonlocal state, past
        states, state = networks.decode(tokens, state, memory)
        states = model.predict(states, past)
        sampled = _sample(_without_special(model.next_token(states)))
        past = model.update(states, sampled)
        return sampled

    return _with_targets(batch, next_token)


@torch.no_grad()
def sample_sentences(
    networks: LanguageNetwork, batch: Batch, latent: Float[Tensor, "batch latent"]
) -> Batch:
    """Sample a sentence in place of each one of a batch; ends as in :func:`sample_targets`.

    Args:
        networks: the network.
        batch: a batch of sentences.
        latent: latent vector of each sentence.
    """
    state = networks.initial(latent)

    def next_token(tokens: Tensor) -> Tensor:
        nonlocal state
        features, state = networks.decode(tokens, state)
        return _sample(_without_special(networks.emission(features).logits))

    return _with_targets(batch, next_token)


def _with_targets(batch: Batch, next_token: Callable[[Tensor], Tensor]) -> Batch:
    """Replace the targets of a batch by tokens that are sampled until all rows have ended.

    Args:
        batch: the batch.
        next_token: maps the last token of each row, at first ``BOS``, to the next one.
    """
    token = batch.target.new_full((len(batch), 1), BOS)
    limit = LONGEST * batch.target.shape[1]
    tokens: list[Tensor] = []
    ended = torch.zeros_like(token, dtype=torch.bool)
    for _ in range(limit - 1):
        token = next_token(token)
        tokens.append(token)
        ended = ended | (token == EOS)
        if bool(ended.all()):
            break
    # Rows that have not ended end here.
    whole = torch.cat([*tokens, torch.full_like(token, EOS)], 1)
    lengths = ((whole == EOS).int().cumsum(1) == 0).sum(1).add(1)
    mask = length_mask(lengths.cpu()).to(whole.device)
    return dataclasses.replace(
        batch,
        target=whole[:, : mask.shape[1]].where(mask, PAD),
        target_mask=mask,
        target_lengths=lengths.cpu(),
        noise=Noise.new(),
        computed=None,
    )


def _without_special(log_probs: Tensor) -> Tensor:
    """Exclude ``PAD`` and ``BOS``, which no target contains."""
    excluded = torch.tensor([PAD, BOS], device=log_probs.device)
    return log_probs.index_fill(-1, excluded, -torch.inf)


def _sample(log_probs: Tensor) -> Tensor:
    sampled: Tensor = torch.distributions.Categorical(logits=at_least_fp32(log_probs)).sample()
    return sampled
