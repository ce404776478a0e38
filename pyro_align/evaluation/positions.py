"""Evaluation of a model and guide per target position."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.data import GoldLinks, Link, ParallelText, SentencePair, Vocabulary, split_words
from pyro_align.data.batch import Batch
from pyro_align.data.batching import all_batches
from pyro_align.evaluation import AlignmentErrorRate
from pyro_align.evaluation.result import MEANS, Evaluation, PositionMeans
from pyro_align.evaluation.sentences import SentenceSums
from pyro_align.evaluation.text import check_text
from pyro_align.inference import PositionScores, SentenceScores, score_batch
from pyro_align.inference.sentences import DRAWS
from pyro_align.posterior import best_links, merge_pieces


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
    draws: int = DRAWS,
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
        draws: samples per sentence, if there are latent sites besides the alignment.

    Raises:
        DataError: if text or gold links are invalid.
    """
    pairs, links, corpus = check_text(text, vocabularies, gold, max_length)
    counted = LinkErrors(links, lambda index, row: _links(row, pairs[index], vocabularies))
    batches = all_batches(corpus, batch_tokens)
    result = evaluate_batches(
        model, guide, batches, device=device, progress=progress, each=counted, draws=draws
    )
    result.error_rates = counted.rates
    return result


@dataclass
class LinkErrors:
    """Counts alignment errors of the links decoded from each distribution, batch by batch.

    Attributes:
        gold: gold links of each pair; None if there are none, and nothing is counted.
        decode: returns the best links of a pair, given its index and padded link probabilities.
        rates: error rates by distribution.
    """

    gold: Sequence[GoldLinks] | None
    decode: Callable[[int, Float[Tensor, "target source"]], frozenset[Link]]
    rates: dict[str, AlignmentErrorRate] = field(default_factory=dict)

    def __call__(self, batch: Batch, scores: PositionScores) -> None:
        """Count the errors of a batch."""
        if self.gold is None:
            return
        for name, probabilities in _alignments(scores):
            rate = self.rates.setdefault(name, AlignmentErrorRate())
            for row, i in zip(probabilities.cpu(), batch.indices.tolist(), strict=True):
                rate.update(self.decode(i, row), self.gold[i])


def evaluate_batches(
    model: Any,
    guide: Any,
    batches: Iterable[Batch],
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
    each: Callable[[Batch, PositionScores], None] = lambda batch, scores: None,
    draws: int = DRAWS,
) -> Evaluation:
    """Compute likelihood and posterior on batches of any task.

    Args:
        model: a Pyro program over a batch, in evaluation mode.
        guide: a Pyro program over a batch, in evaluation mode.
        batches: the batches.
        device: device of model and guide.
        progress: called with the number of examples done.
        each: called with each batch and the scores of its alignments, for further measures.
        draws: samples per sentence, if there are latent sites besides the alignment.
    """
    totals: dict[str, float] = {}
    tokens = done = 0
    estimated, latent = False, True
    sentences = SentenceSums()
    for batch in batches:
        batch = batch.to(device).sharing()
        scores = score_batch(model, guide, batch, draws=draws)
        positions: PositionScores | None
        if isinstance(scores, SentenceScores):
            sentences.add(scores)
            positions = scores.positions
        else:
            positions = scores
        estimated = scores.estimated
        latent = positions is not None and (estimated or positions.log_emission is not None)
        for name, value in _measured(scores):
            totals[name] = totals.get(name, 0.0) + float(value.double().sum())
        tokens += batch.num_targets
        if positions is not None:
            each(batch, positions)
        done += len(batch)
        progress(done)
    per_token = {name: total / tokens for name, total in totals.items()}
    means = PositionMeans(tokens, latent, estimated, **per_token)
    return Evaluation(done, means, of_sentences=sentences.means())


def _measured(scores: PositionScores | SentenceScores) -> Iterator[tuple[str, Tensor]]:
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
