"""Word tables: what a trained model says about the alignment of each pair of words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, final

import torch
from torch import Tensor

from pyro_align.batch import EOS, Batch, Noise
from pyro_align.corpus import Vocabulary, split_words
from pyro_align.errors import IncompatibleError
from pyro_align.posterior import PositionScores, WordAlignment, merge_pieces, score_positions

ORIGINS = ("posterior", "guide", "prior")
"""What alignment probabilities can be read from, the best first."""


@dataclass(frozen=True)
class Encoded:
    """A sentence pair as pieces.

    Attributes:
        source: ids of the source, ``EOS`` at the end.
        source_index: for each of them the 0-based word it is part of, −1 for ``EOS``.
        source_words: number of words.
        target: ids of the target, and so on.
        target_index: as ``source_index``.
        target_words: as ``source_words``.
    """

    source: list[int]
    source_index: list[int]
    source_words: int
    target: list[int]
    target_index: list[int]
    target_words: int

    @property
    def width(self) -> int:
        """Pieces of the longer side."""
        return max(len(self.source), len(self.target))


@final
class WordTables:
    """Alignment probabilities between words, by a model and its guide.

    Args:
        model: Pyro program over a batch, in evaluation mode, on ``device``.
        guide: Pyro program over a batch, likewise.
        vocabularies: of what the model reads and of what it predicts.
        origin: one of :data:`ORIGINS`: the exact posterior, the guide, or the prior (of a model
            without latent alignment, its attention weights). None for the first of them that the
            programs have.
        device: where model and guide are.
    """

    unit = "pieces"

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
        """Pieces of sentence pairs; many at once are much faster than one by one."""
        source, target = self.vocabularies
        sources = _pieces([pair[0] for pair in pairs], source)
        targets = _pieces([pair[1] for pair in pairs], target)
        return [Encoded(*one, *other) for one, other in zip(sources, targets, strict=True)]

    def __call__(self, pairs: Sequence[Encoded]) -> list[WordAlignment]:
        """The table of each pair, on the CPU; all pairs are computed at once.

        Raises:
            IncompatibleError: if the programs do not have the wanted origin.
        """
        sources, targets = [pair.source for pair in pairs], [pair.target for pair in pairs]
        batch = Batch.from_ids(sources, targets, noise=Noise(0))
        # No guide is run that is not read.
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
            f"there is no {self.origin} to read links from; this model and guide have: "
            f"{', '.join(there)}"
        )


def _pieces(
    sentences: Sequence[str], vocabulary: Vocabulary
) -> Iterator[tuple[list[int], list[int], int]]:
    """Ids, words of the ids, and number of words of each sentence; see ``Vocabulary.words``."""
    split = [split_words(sentence) for sentence in sentences]
    distinct = list(dict.fromkeys(chain.from_iterable(split)))
    ids = dict(zip(distinct, vocabulary.encode_all(distinct, add_eos=False), strict=True))
    for words in split:
        pieces = [ids[word] for word in words]
        index = [position for position, word in enumerate(pieces) for _ in word]
        yield [*chain.from_iterable(pieces), EOS], [*index, -1], len(words)
