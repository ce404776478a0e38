"""Small random batches, networks, models and guides for tests."""

from __future__ import annotations

import dataclasses
import inspect
import random
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad

from pyro_align.data.batch import EOS, PAD, TextBatch
from pyro_align.guides import AmortizedGuide
from pyro_align.models import CategoricalModel
from pyro_align.networks import NetworkConfig, SequenceToSequence

VOCABULARY = 9
"""Vocabulary size of a small batch, including special tokens."""


def random_batch(
    source_lengths: Sequence[int] = (3, 4, 1),
    target_lengths: Sequence[int] = (4, 2, 3),
    *,
    vocabulary: int = VOCABULARY,
    seed: int = 0,
) -> TextBatch:
    """Return random sentence pairs with the given lengths, including ``EOS``."""
    generator = random.Random(seed)

    def sentences(lengths: Iterable[int]) -> list[list[int]]:
        return [
            [*(generator.randrange(EOS + 1, vocabulary) for _ in range(length - 1)), EOS]
            for length in lengths
        ]

    return TextBatch.from_ids(sentences(source_lengths), sentences(target_lengths))


def padded(batch: TextBatch, source: int = 0, target: int = 0) -> TextBatch:
    """Return the batch with additional padding columns on both sides."""
    return dataclasses.replace(
        batch,
        source=pad(batch.source, (0, source), value=PAD),
        source_mask=pad(batch.source_mask, (0, source), value=False),
        target=pad(batch.target, (0, target), value=PAD),
        target_mask=pad(batch.target_mask, (0, target), value=False),
    )


def repeated(batch: TextBatch, times: int) -> TextBatch:
    """Repeat every sentence pair ``times`` times, for independent samples in one call."""
    return batch.repeated(times)


def randomise(module: nn.Module, seed: int = 0, scale: float = 1.5) -> Any:
    """Convert a module to double precision with normally distributed parameters.

    Gains are set to 1, since a small gain would make all other contributions small.
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
    """Return small double-precision networks; ``settings`` are passed to :class:`NetworkConfig`."""
    sizes: dict[str, Any] = {
        "embedding": 5,
        "encoder_hidden": 3,
        "decoder_hidden": 6,
        "attention_hidden": 4,
        "dropout": 0.0,
        # The paper's emission.
        "emission": "tanh",
        "lexical": False,
    }
    config = NetworkConfig(**{**sizes, **settings})
    source = source_vocabulary or vocabulary
    copies = [token if token < vocabulary else -1 for token in range(source)]
    # Ids of two candidates that differ between source tokens; some have one candidate or none.
    candidates = torch.arange(2 * source).reshape(source, 2) - 3
    candidates = candidates.where(candidates < vocabulary, -1)
    networks = SequenceToSequence.from_config(config, source, vocabulary, copies, candidates)
    return randomise(networks, seed)


def tiny_model(kind: Any = CategoricalModel, *, seed: int = 0, **settings: Any) -> Any:
    """Return a model of ``kind`` with small networks."""
    return kind(tiny_networks(seed=seed, **settings))


def tiny_guide(model: Any, kind: Any = AmortizedGuide, *, seed: int = 1, **options: Any) -> Any:
    """Return a guide of ``kind`` for ``model``."""
    if "hidden" in inspect.signature(kind).parameters:
        options = {"hidden": 4, **options}
    return randomise(kind(model, **options), seed)
