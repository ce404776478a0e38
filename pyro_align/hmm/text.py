"""`ClassText`: a text as ids of classes of words, in batches of sentences of like length."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import final

import numpy as np

from pyro_align.hmm.classes import Classes
from pyro_align.hmm.model import Words

CELLS = 100_000
"""Pairs of words, padding counted, whose alignment is computed at a time."""


@final
class ClassText:
    """Sentence pairs as ids, four bytes a word.

    Args:
        pairs: sentence pairs with words on both sides; read once.
        classes: of source and target words; new ones are added.

    Attributes:
        words: number of target words, then of source words.
        batches: number of batches.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]], classes: tuple[Classes, Classes]):
        self._ids = array("i"), array("i")
        ends = array("q", [0]), array("q", [0])
        for pair in pairs:
            for sentence, side, ids, end in zip(pair, classes, self._ids, ends, strict=True):
                ids.extend(side.add(sentence))
                end.append(len(ids))
        self._ends = [np.frombuffer(end, dtype=np.int64) for end in ends]
        self.words = [len(ids) for ids in reversed(self._ids)]
        self._lengths = source, target = tuple(np.diff(end) for end in self._ends)
        order = np.lexsort((source, target))
        self._batches: list[list[int]] = []
        widest = 0
        for pair in order.tolist():
            widest = max(widest, int(source[pair]))
            size = widest * int(target[pair])
            if not self._batches or size * (len(self._batches[-1]) + 1) > CELLS:
                self._batches.append([])
                widest = int(source[pair])
            self._batches[-1].append(pair)
        self._places = np.empty((len(order), 2), dtype=np.int32)
        for number, batch in enumerate(self._batches):
            self._places[batch] = [(number, row) for row in range(len(batch))]

    def __len__(self) -> int:
        return len(self._places)

    @property
    def batches(self) -> int:
        """Number of batches."""
        return len(self._batches)

    def place(self, pair: int) -> tuple[int, int, int, int]:
        """Batch and row of a sentence pair, and its numbers of source and target words."""
        batch, row = self._places[pair].tolist()
        source, target = (int(length[pair]) for length in self._lengths)
        return batch, row, source, target

    def shape(self, number: int) -> tuple[int, int, int]:
        """Sentences, longest source and longest target of a batch."""
        pairs = self._batches[number]
        source, target = (int(length[pairs].max()) for length in self._lengths)
        return len(pairs), source, target

    def batch(self, number: int) -> Words:
        """A batch by its number."""
        pairs = self._batches[number]
        return Words.from_ids(
            *(
                [ids[end[pair] : end[pair + 1]] for pair in pairs]
                for ids, end in zip(self._ids, self._ends, strict=True)
            )
        )
