"""Word tables: word alignment probabilities of a trained model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, final

import torch
from torch import Tensor

from pyro_align.data import Vocabulary, split_words
from pyro_align.data.batch import EOS, TextBatch
from pyro_align.data.noise import Noise
from pyro_align.errors import IncompatibleError
from pyro_align.inference import PositionScores, score_positions
from pyro_align.posterior import WordAlignment, mean_alignment, merge_pieces

ORIGINS = ("posterior", "guide", "prior")
"""Distributions that alignment probabilities can be taken from, in order of preference."""


@dataclass(frozen=True)
class Encoded:
    """A sentence pair as token ids.

    Attributes:
        source: source token ids, ending in ``EOS``.
        source_index: 0-based word index of each source token, −1 for ``EOS``.
        source_words: number of source words.
        target: target token ids, ending in ``EOS``.
        target_index: 0-based word index of each target token, −1 for ``EOS``.
        target_words: number of target words.
    """

    source: list[int]
    source_index: list[int]
    source_words: int
    target: list[int]
    target_index: list[int]
    target_words: int

    @property
    def width(self) -> int:
        """Number of tokens of the longer side."""
        return max(len(self.source), len(self.target))


@final
class WordTables:
    """Word alignment probabilities under a model and its guide.

    Args:
        model: Pyro program over a batch, in evaluation mode, on ``device``.
        guide: Pyro program over a batch, in evaluation mode, on ``device``.
        vocabularies: of source and target of the model.
        origin: one of :data:`ORIGINS`: the exact posterior, the guide, or the prior (the attention
            weights of a model without latent alignment). None for the first that is available.
        device: device of model and guide.
    """

    unit = "tokens"
    symmetrise = "grow-diag-final-and"

    def __init__(
        self,
        model: Any,
        guide: Any,
        vocabularies: tuple[Vocabulary, Vocabulary],
        *,
        origin: str | None = None,
        device: torch.device | str = "cpu",
    ):
        self.model = model
        self.guide = guide
        self.vocabularies = vocabularies
        self.origin = origin
        self.device = device

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[Encoded]:
        """Encode sentence pairs as tokens; much faster for many pairs at once."""
        source, target = self.vocabularies
        sources = _pieces([pair[0] for pair in pairs], source)
        targets = _pieces([pair[1] for pair in pairs], target)
        return [Encoded(*one, *other) for one, other in zip(sources, targets, strict=True)]

    def __call__(self, pairs: Sequence[Encoded]) -> list[WordAlignment]:
        """Compute the table of each pair in one batch, and return them on the CPU.

        Raises:
            IncompatibleError: if the programs do not have the requested origin.
        """
        sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
        batch = TextBatch.from_ids(sources, targets, noise=Noise(0))
        # The guide is run only if it is needed.
        guide = None if self.origin in ("posterior", "prior") else self.guide
        scores = score_positions(self.model, guide, batch.to(self.device))
        probabilities = self._read(scores).exp().float().cpu()
        return [
            merge_pieces(
                matrix[: len(pair.target), : len(pair.source)],
                pair.target_index,
                pair.source_index,
                pair.target_words,
                pair.source_words,
            )
            for matrix, pair in zip(probabilities, pairs, strict=True)
        ]

    def _read(self, scores: PositionScores) -> Tensor:
        for origin in ORIGINS if self.origin is None else (self.origin,):
            log_probabilities: Tensor | None = getattr(scores, f"log_{origin}")
            if log_probabilities is not None:
                self.origin = origin
                return log_probabilities
        there = [name for name in ORIGINS if getattr(scores, f"log_{name}") is not None]
        raise IncompatibleError(
            f"this model and guide have no {self.origin} to read links from; available: "
            f"{', '.join(there)}"
        )


@final
class MeanTables:
    """The mean of the word alignment probabilities of several models, such as an ensemble.

    Args:
        members: the tables of each model, with the same vocabularies.
    """

    unit = "tokens"
    symmetrise = "grow-diag-final-and"

    def __init__(self, members: Sequence[WordTables]):
        self.members = members

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[Encoded]:
        """Encode sentence pairs as tokens."""
        return self.members[0].encode(pairs)

    def __call__(self, pairs: Sequence[Encoded]) -> list[WordAlignment]:
        """Compute the mean table of each pair, in one batch."""
        tables = zip(*(member(pairs) for member in self.members), strict=True)
        return [mean_alignment(each) for each in tables]


def _pieces(
    sentences: Sequence[str], vocabulary: Vocabulary
) -> Iterator[tuple[list[int], list[int], int]]:
    """Yield token ids, their word indices and the number of words of each sentence."""
    split = [split_words(sentence) for sentence in sentences]
    distinct = list(dict.fromkeys(chain.from_iterable(split)))
    ids = dict(zip(distinct, vocabulary.encode_all(distinct, add_eos=False), strict=True))
    for words in split:
        pieces = [ids[word] for word in words]
        index = [position for position, word in enumerate(pieces) for _ in word]
        yield [*chain.from_iterable(pieces), EOS], [*index, -1], len(words)
