"""BPE-dropout: training text is split into different pieces each time it is read."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import final

import numpy as np
from numpy.typing import ArrayLike

from pyro_align.data.batch import TextBatch
from pyro_align.data.index import IndexedCorpus
from pyro_align.data.vocabulary import WORD_START, Vocabulary

_VARIANTS = 32
"""Number of random segmentations that are kept for a word."""

_WORDS = 1 << 17
"""Maximum number of words whose segmentations are kept in memory."""


@final
class BPEDropout:
    """Random segmentations of words (Provilkov, Emelianenko & Voita 2020).

    The pieces of a word are merged from its characters, always the pair with the highest priority,
    and each merge that comes up is skipped with probability ``rate``, as sentencepiece's sampling
    does for a model of type BPE. A number of segmentations of each word are drawn once, by a random
    generator seeded with the word, and :meth:`sample` chooses among them. sentencepiece's own
    generator cannot be seeded again within a thread, so a resumed fit could not repeat its draws.

    Args:
        vocabulary: a vocabulary of type BPE.
        rate: probability that a merge is skipped.

    Raises:
        ConfigError: for a vocabulary of another type.
    """

    def __init__(self, vocabulary: Vocabulary, rate: float):
        self._rate = rate
        self._priorities = vocabulary.merge_priorities()
        self._pieces = vocabulary.pieces(range(len(vocabulary)))
        self._ids = {piece: number for number, piece in enumerate(self._pieces)}
        self._fixed = [piece not in self._priorities for piece in self._pieces]
        self._first = [
            fixed or piece.startswith(WORD_START)
            for fixed, piece in zip(self._fixed, self._pieces, strict=True)
        ]
        self._variants = lru_cache(_WORDS)(self._draw)

    def sample(self, ids: Sequence[int], generator: np.random.Generator) -> list[int]:
        """Return a random segmentation of a sentence.

        Args:
            ids: ids of a sentence, with or without ``EOS``. Special, unknown and byte pieces stay
                as they are.
            generator: random generator.
        """
        words = list(self._words(ids))
        chosen = generator.integers(_VARIANTS, size=len(words)).tolist()
        return [
            number
            for word, variant in zip(words, chosen, strict=True)
            for number in self._variants(word)[variant]
        ]

    def segment(self, word: str, chance: random.Random) -> list[str]:
        """Draw the pieces of a word, which starts with ``▁``."""
        pieces = list(word)
        priorities = [self._priority(*pair) for pair in pairwise(pieces)]
        while priorities and (best := max(priorities)) > -np.inf:
            left = priorities.index(best)
            if chance.random() < self._rate:
                priorities[left] = -np.inf
                continue
            pieces[left : left + 2] = [pieces[left] + pieces[left + 1]]
            del priorities[left]
            # A merge that was skipped next to the new piece is another merge now.
            for first in (left - 1, left):
                if 0 <= first < len(priorities):
                    priorities[first] = self._priority(*pieces[first : first + 2])
        return pieces

    def _priority(self, left: str, right: str) -> float:
        return self._priorities.get(left + right, -np.inf)

    def _draw(self, word: tuple[int, ...]) -> list[tuple[int, ...]]:
        text = "".join(self._pieces[number] for number in word)
        if self._fixed[word[0]] or not all(letter in self._priorities for letter in text):
            return [word] * _VARIANTS
        chance = random.Random(text)
        return [
            tuple(self._ids[piece] for piece in self.segment(text, chance))
            for _ in range(_VARIANTS)
        ]

    def _words(self, ids: Sequence[int]) -> Iterator[tuple[int, ...]]:
        """Yield the ids of each word; a piece that stays as it is counts as a word."""
        start = 0
        for end in range(1, len(ids) + 1):
            if end == len(ids) or self._first[ids[end]] or self._fixed[ids[end - 1]]:
                yield tuple(ids[start:end])
                start = end


@final
class ResegmentedCorpus:
    """An indexed corpus whose batches have random segmentations, see :class:`BPEDropout`.

    The segmentations are a function of the pairs of a batch, which differ from epoch to epoch. They
    have more pieces than the corpus, so batches are somewhat larger than their maximum size.

    Args:
        corpus: the sentence pairs.
        vocabularies: source and target vocabulary.
        rate: probability that a merge is skipped.

    Attributes:
        source_lengths: source length of each pair in ``corpus``, int32.
        target_lengths: target length of each pair in ``corpus``, int32.
        skipped: number of pairs skipped as too long.

    Raises:
        ConfigError: for vocabularies of another type than BPE.
    """

    def __init__(
        self, corpus: IndexedCorpus, vocabularies: tuple[Vocabulary, Vocabulary], rate: float
    ):
        self._corpus = corpus
        self._source, self._target = (BPEDropout(each, rate) for each in vocabularies)
        self.source_lengths = corpus.source_lengths
        self.target_lengths = corpus.target_lengths
        self.skipped = corpus.skipped

    def __len__(self) -> int:
        return len(self._corpus)

    def batch(self, indices: ArrayLike) -> TextBatch:
        """Return a padded batch of pairs with random segmentations, in the order given.

        Args:
            indices: 0-based positions of pairs, at least one.
        """
        batch = self._corpus.batch(indices)
        generator = np.random.default_rng(batch.noise.seed)
        sources, targets = (
            [
                side.sample(ids[:length], generator)
                for ids, length in zip(padded.tolist(), lengths.tolist(), strict=True)
            ]
            for side, padded, lengths in (
                (self._source, batch.source, batch.source_lengths),
                (self._target, batch.target, batch.target_lengths),
            )
        )
        return TextBatch.from_ids(sources, targets, batch.indices.tolist(), batch.noise)
