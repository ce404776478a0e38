"""Evaluation of a model and guide per target position."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.data import GoldLinks, Link, ParallelText, SentencePair, Vocabulary, split_words
from pyro_align.evaluation import AlignmentErrorRate
from pyro_align.evaluation.result import MEANS, Evaluation, PositionMeans
from pyro_align.evaluation.text import check_text
from pyro_align.inference import PositionScores, SimplexScores, score_positions
from pyro_align.posterior import best_links, merge_pieces
from pyro_align.posterior.build import every_batch


def evaluate_positions(
    model: Any,
    guide: Any,
    text: ParallelText,
    vocabularies: tuple[Vocabulary, Vocabulary],
    *,
    gold: Iterable[GoldLinks] | None = None,
    batch_tokens: int,
    max_length: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Compute likelihood, posterior and, with gold links, alignment error on sentence pairs.

    Args:
        model: a Pyro program over a batch, in evaluation mode.
        guide: a Pyro program over a batch, in evaluation mode.
        text: the sentence pairs.
        vocabularies: of source and target.
        gold: gold links of each pair; None to use those of the text itself, if any.
        batch_tokens: maximum number of tokens per batch, including padding.
        max_length: maximum length of either side of a pair, in tokens.
        device: device of model and guide.
        progress: called with the number of pairs done.

    Raises:
        DataError: if text or gold links are invalid.
    """
    pairs, links, corpus = check_text(text, vocabularies, gold, max_length)
    totals: dict[str, float] = {}
    rates: dict[str, AlignmentErrorRate] = {}
    tokens = done = 0
    estimated, latent = False, True
    for indices, batch in every_batch(corpus, batch_tokens):
        scores = score_positions(model, guide, batch.to(device))
        estimated = isinstance(scores, SimplexScores)
        latent = estimated or scores.log_emission is not None
        for name, value in _measured(scores):
            totals[name] = totals.get(name, 0.0) + float(value.double().sum())
        tokens += batch.num_targets
        if links is not None:
            for name, probabilities in _alignments(scores):
                rate = rates.setdefault(name, AlignmentErrorRate())
                for row, i in zip(probabilities.cpu(), indices, strict=True):
                    rate.update(_links(row, pairs[i], vocabularies), links[i])
        done += len(indices)
        progress(done)
    per_token = {name: total / tokens for name, total in totals.items()}
    means = PositionMeans(tokens, latent, estimated, **per_token)
    return Evaluation(len(pairs), means, rates)


def _measured(scores: PositionScores) -> Iterator[tuple[str, Tensor]]:
    for name in MEANS:
        value = getattr(scores, name)
        if value is not None:
            yield name, value


def _alignments(scores: PositionScores) -> Iterator[tuple[str, Tensor]]:
    for name in ("posterior", "guide", "prior"):
        log_probability = getattr(scores, f"log_{name}")
        if log_probability is not None:
            yield name, log_probability.exp()


def _links(
    probabilities: Float[Tensor, "target source"],
    pair: SentencePair,
    vocabularies: tuple[Vocabulary, Vocabulary],
) -> frozenset[Link]:
    """Return the best word links from the padded token probabilities of a sentence."""
    _, sources = vocabularies[0].words(pair.source)
    _, targets = vocabularies[1].words(pair.target)
    matrix = probabilities[: len(targets), : len(sources)]
    words = len(split_words(pair.target)), len(split_words(pair.source))
    return best_links(merge_pieces(matrix, targets, sources, *words))
