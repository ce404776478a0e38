"""`TypeText`: a text as ids of words, in batches of sentences of similar length."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_align.word_alignment.hmm.model import Words
from pyro_align.word_alignment.hmm.types import NULL, Types

CELLS = 100_000
"""Maximum number of word pairs per batch, including padding."""


@final
class TypeText:
    """Sentence pairs as ids, using 4 bytes per word on disk and 28 bytes per pair in memory.

    Args:
        pairs: sentence pairs with words on both sides; iterated once.
        types: of source and target words; new words are added.
        scratch: folder for the ids.

    Attributes:
        words: number of target words, then of source words.
        batches: number of batches.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]], types: tuple[Types, Types], scratch: Path):
        paths = scratch / "source", scratch / "target"
        lengths = array("i"), array("i")
        with paths[0].open("wb") as source_file, paths[1].open("wb") as target_file:
            for pair in pairs:
                for sentence, side, file, length in zip(
                    pair, types, (source_file, target_file), lengths, strict=True
                ):
                    ids = array("i", side.add(sentence))
                    ids.tofile(file)
                    length.append(len(ids))
        source, target = sides = [np.frombuffer(length, dtype=np.int32) for length in lengths]
        self._ends = [np.append(0, side.cumsum(dtype=np.int64)) for side in sides]
        self.words = [int(end[-1]) for end in reversed(self._ends)]
        # An empty file cannot be memory-mapped.
        mapped = [np.memmap(path, np.int32, "r") for path in paths] if len(source) else []
        self._ids = [np.asarray(each) for each in mapped]  # faster to index
        self._order = np.lexsort((source, target))
        self._bounds, widest = [0], 0
        sizes = zip(source[self._order].tolist(), target[self._order].tolist(), strict=True)
        for position, (width, height) in enumerate(sizes):
            widest = max(widest, width)
            number = position - self._bounds[-1]
            if number and widest * height * (number + 1) > CELLS:
                self._bounds.append(position)
                widest = width
        self._bounds.append(len(self._order))
        self._positions = self._order.argsort().astype(np.int32)

    def __len__(self) -> int:
        return len(self._order)

    @property
    def batches(self) -> int:
        """Number of batches."""
        return len(self._bounds) - 1

    def place(self, pair: int) -> tuple[int, int, int, int]:
        """Return batch and row of a sentence pair, and its numbers of source and target words."""
        position = int(self._positions[pair])
        batch = bisect_right(self._bounds, position) - 1
        source, target = (int(end[pair + 1] - end[pair]) for end in self._ends)
        return batch, position - self._bounds[batch], source, target

    def shape(self, number: int) -> tuple[int, int, int]:
        """Return the number of sentences and the maximum source and target length of a batch."""
        pairs = self._pairs(number)
        source, target = (int((end[pairs + 1] - end[pairs]).max()) for end in self._ends)
        return len(pairs), source, target

    def batch(self, number: int) -> Words:
        """Return a batch by its number."""
        pairs = self._pairs(number)
        sides = []
        for ids, end in zip(self._ids, self._ends, strict=True):
            begin, length = end[pairs], end[pairs + 1] - end[pairs]
            offset = np.arange(length.max())
            here = offset < length[:, None]
            padded = np.where(here, ids[np.where(here, begin[:, None] + offset, 0)], NULL)
            sides.append(torch.from_numpy(padded.astype(np.int64)))
        return Words(*sides)

    def _pairs(self, number: int) -> NDArray[np.int64]:
        """Return the numbers of the sentence pairs of a batch."""
        return self._order[self._bounds[number] : self._bounds[number + 1]]
