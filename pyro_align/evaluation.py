"""Measuring a model and guide on parallel text: likelihood, posterior, translation, alignment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.corpus import (
    BucketBatches,
    GoldLinks,
    IndexedCorpus,
    Link,
    ParallelText,
    SentencePair,
    Vocabulary,
    check_links,
    read_links,
)
from pyro_align.errors import DataError
from pyro_align.metrics import AlignmentErrorRate, TranslationScores
from pyro_align.posterior import (
    PositionScores,
    SimplexScores,
    best_links,
    merge_pieces,
    score_positions,
)

if TYPE_CHECKING:
    from pandas import DataFrame

MAX_LENGTH = 1000
"""Longest side of a pair, in pieces, that is evaluated unless told otherwise."""


@dataclass
class PositionMeans:
    """Means over target tokens, in nats a token; None where the programs do not have it.

    Attributes:
        tokens: number of target tokens, the sentence ends counted.
        estimated: whether evidence and bound are estimates, from draws of alignments that cannot be
            enumerated; see :class:`~pyro_align.posterior.SimplexScores`.
        log_evidence: log ``p(y_t | x, y_<t)``, alignments marginalised out.
        elbo: evidence lower bound.
        kl: divergence of the guide from the prior.
        gap: divergence of the guide from the exact posterior.
        prior_entropy: entropy of the prior (of the attention, for soft attention).
        posterior_entropy: entropy of the exact posterior.
    """

    tokens: int = 0
    estimated: bool = False
    log_evidence: float = 0.0
    elbo: float | None = None
    kl: float | None = None
    gap: float | None = None
    prior_entropy: float | None = None
    posterior_entropy: float | None = None

    @property
    def perplexity(self) -> float:
        """Perplexity a token (of the target vocabulary's pieces)."""
        return math.exp(-self.log_evidence)


class Measure(NamedTuple):
    """A line of an evaluation's table.

    Attributes:
        name: what was measured.
        value: what it came to.
        digits: how many of them to show behind the point.
        note: unit, signature or interval.
    """

    name: str
    value: float
    digits: int
    note: str


@dataclass
class Evaluation:
    """What one evaluation found. In a notebook it shows itself as a table.

    Attributes:
        sentences: number of sentence pairs.
        positions: means over target tokens.
        error_rates: alignment error rate by what the links were read from: ``posterior``,
            ``guide``, ``prior`` (for soft attention, its attention weights).
        translation: scores of the translations, if there were any.
    """

    sentences: int
    positions: PositionMeans
    error_rates: dict[str, AlignmentErrorRate] = field(default_factory=dict)
    translation: TranslationScores | None = None

    def measures(self) -> list[Measure]:
        """What was measured, in the order it is shown; what was not is left out."""
        means, unit = self.positions, "nats a piece"
        if means.estimated:
            kind, note = (
                "perplexity",
                "per target piece, estimated from draws; too high if anything",
            )
        else:
            kind, note = "exact perplexity", "per target piece, alignments summed out"
        found: list[tuple[str, float | None, int, str]] = [
            (kind, means.perplexity, 3, note),
            ("log evidence", means.log_evidence, 4, unit),
            ("ELBO", means.elbo, 4, unit),
            ("KL(guide ‖ prior)", means.kl, 4, unit),
            ("KL(guide ‖ exact posterior)", means.gap, 4, f"{unit}: log evidence − ELBO"),
            ("entropy of the prior", means.prior_entropy, 4, unit),
            ("entropy of the exact posterior", means.posterior_entropy, 4, unit),
        ]
        if (scores := self.translation) is not None:
            found.append(("BLEU", scores.bleu, 2, scores.bleu_signature))
            found.append(("chrF", scores.chrf, 2, scores.chrf_signature))
        for name, rate in self.error_rates.items():
            low, high = rate.interval()
            note = (
                f"95 % within {low:.4f} and {high:.4f}, precision {rate.precision:.3f}, "
                f"recall {rate.recall:.3f}"
            )
            found.append((f"AER of the {name}", rate.error_rate, 4, note))
        found.append(("sentence pairs", self.sentences, 0, f"{means.tokens} target pieces"))
        return [
            Measure(name, value, digits, note)
            for name, value, digits, note in found
            if value is not None
        ]

    def to_frame(self) -> DataFrame:
        """A table with one row a measure, called by its name: ``value`` and ``note``."""
        import pandas as pd

        rows = [(one.name, one.value, one.note) for one in self.measures()]
        return pd.DataFrame(rows, columns=["measure", "value", "note"]).set_index("measure")

    def _repr_html_(self) -> str:
        frame = self.to_frame().rename_axis(None)
        frame["value"] = [f"{one.value:.{one.digits}f}" for one in self.measures()]
        return frame.to_html()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; what was not measured is left out."""
        means = {name: value for name, value in vars(self.positions).items() if value is not None}
        result: dict[str, Any] = {
            "sentences": self.sentences,
            "perplexity": self.positions.perplexity,
            **means,
        }
        if self.translation is not None:
            result.update(vars(self.translation))
        if self.error_rates:
            result["alignment"] = {name: rate.to_dict() for name, rate in self.error_rates.items()}
        return result


class SentencePairs(NamedTuple):
    """Sentence pairs side by side.

    Attributes:
        sources: source sentences.
        targets: their translations.
        gold: links between the words of each pair; None where there are none.
    """

    sources: list[str]
    targets: list[str]
    gold: list[GoldLinks] | None

    @classmethod
    def read(cls, text: ParallelText, gold: Path | None, most: int | None = None) -> SentencePairs:
        """The first pairs of a text, with the links of a file or else its own.

        Args:
            text: the sentence pairs.
            gold: file of their links; None for those that the text itself has, if any.
            most: how many pairs to take; None for all.

        Raises:
            DataError: for text or links that cannot be read.
        """
        pairs = list(islice(text, most))
        links = None
        if gold is not None:
            links = list(islice(read_links(gold, sentences=text.count()), most))
        return cls([p.source for p in pairs], [p.target for p in pairs], _gold(pairs, links))


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
    """Likelihood, posterior and, with gold links, alignment error of every sentence pair.

    Args:
        model: a Pyro program over a batch, in evaluation mode.
        guide: a Pyro program over a batch, in evaluation mode.
        text: the sentence pairs.
        vocabularies: of source and target.
        gold: links of each pair; None for those that the text itself has, if any.
        batch_tokens: padded size of a batch.
        max_length: longest side of a pair, in pieces.
        device: where model and guide are.
        progress: told how many pairs are done.

    Raises:
        DataError: for text or gold links that cannot be used.
    """
    pairs, links, corpus = check_text(text, vocabularies, gold, max_length)
    widest = max(corpus.source_lengths.max(), corpus.target_lengths.max())
    buckets = BucketBatches(
        corpus.source_lengths,
        corpus.target_lengths,
        tokens=max(batch_tokens, int(widest)),
        seed=0,
        shuffle=False,
    )
    totals: dict[str, float] = {}
    rates: dict[str, AlignmentErrorRate] = {}
    tokens = done = 0
    estimated = False
    for indices in buckets.batches(0):
        batch = corpus.batch(indices).to(device)
        scores = score_positions(model, guide, batch)
        estimated = isinstance(scores, SimplexScores)
        for name, value in _measured(scores):
            totals[name] = totals.get(name, 0.0) + float(value.double().sum())
        tokens += batch.tokens
        if links is not None:
            for name, probabilities in _alignments(scores):
                rate = rates.setdefault(name, AlignmentErrorRate())
                for row, i in zip(probabilities.cpu(), indices, strict=True):
                    rate.update(_links(row, pairs[i], vocabularies), links[i])
        done += len(indices)
        progress(done)
    means = PositionMeans(
        tokens, estimated, **{name: total / tokens for name, total in totals.items()}
    )
    return Evaluation(len(pairs), means, rates)


def check_text(
    text: ParallelText,
    vocabularies: tuple[Vocabulary, Vocabulary],
    gold: Iterable[GoldLinks] | None,
    max_length: int,
) -> tuple[list[SentencePair], list[GoldLinks] | None, IndexedCorpus]:
    """Pairs, links and ids of a text to evaluate on; arguments as :func:`evaluate_positions`.

    Raises:
        DataError: for text or gold links that cannot be used.
    """
    pairs = list(text)
    return pairs, _gold(pairs, gold), _encoded(pairs, text, vocabularies, max_length)


def _gold(pairs: list[SentencePair], gold: Iterable[GoldLinks] | None) -> list[GoldLinks] | None:
    if gold is None:
        given = [pair.links for pair in pairs if pair.links is not None]
        if len(given) < len(pairs):
            return None
        return [GoldLinks(sure=links, possible=links) for links in given]
    links = list(gold)
    if len(links) != len(pairs):
        raise DataError(f"{len(links)} lines of gold links for {len(pairs)} sentence pairs")
    for pair, one in zip(pairs, links, strict=True):
        lengths = len(pair.source.split()), len(pair.target.split())
        check_links(one.possible, *lengths, Path("gold links"), pair.line)
    return links


def _encoded(
    pairs: list[SentencePair],
    text: ParallelText,
    vocabularies: tuple[Vocabulary, Vocabulary],
    max_length: int,
) -> IndexedCorpus:
    sources = vocabularies[0].encode_all([pair.source for pair in pairs])
    targets = vocabularies[1].encode_all([pair.target for pair in pairs])
    for pair, source, target in zip(pairs, sources, targets, strict=True):
        if max(len(source), len(target)) > max_length:
            raise DataError(
                f"a sentence of {max(len(source), len(target))} pieces, and at most {max_length} "
                f"can be evaluated: split it, or raise --max-length (data.max_length for a fit)",
                text.source_path if len(source) > max_length else text.target_path,
                pair.line,
            )
    return IndexedCorpus.from_ids(sources, targets)


def _measured(scores: PositionScores) -> Iterator[tuple[str, Tensor]]:
    for name in ("log_evidence", "elbo", "kl", "gap", "prior_entropy", "posterior_entropy"):
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
    """Best links between words, from the padded probabilities of one sentence's pieces."""
    _, sources = vocabularies[0].words(pair.source)
    _, targets = vocabularies[1].words(pair.target)
    matrix = probabilities[: len(targets), : len(sources)]
    words = len(pair.target.split()), len(pair.source.split())
    return best_links(merge_pieces(matrix, targets, sources, *words))
