"""`TypeText`: a text as ids of words, in batches of sentences of similar length."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_align.word_alignment.hmm.store import BatchFile
from pyro_align.word_alignment.hmm.types import NULL, Types
from pyro_align.word_alignment.hmm.words import Words

CELLS = 100_000
"""Maximum number of word pairs per batch, including padding."""


@final
class TypeText:
    """Sentence pairs as ids, using 8 bytes per word on disk and 20 bytes per pair in memory.

    Args:
        pairs: sentence pairs with words on both sides; iterated once.
        types: of source and target words; new words are added.
        scratch: folder for the ids.

    Attributes:
        words: number of target words, then of source words.
        shapes: number of sentence pairs and maximum source and target length of each batch.
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
        order = np.lexsort((source, target))
        self._bounds, widest = [0], 0
        sizes = zip(source[order].tolist(), target[order].tolist(), strict=True)
        for position, (width, height) in enumerate(sizes):
            widest = max(widest, width)
            number = position - self._bounds[-1]
            if number and widest * height * (number + 1) > CELLS:
                self._bounds.append(position)
                widest = width
        self._bounds.append(len(order))
        self._positions = order.argsort().astype(np.int32)
        self.shapes: list[tuple[int, int, int]] = []
        self._file = BatchFile(scratch / "batches", np.int32)
        if len(order):  # an empty file cannot be memory-mapped
            mapped = [np.memmap(path, np.int32, "r") for path in paths]
            for begin, end in pairwise(self._bounds):
                # Plain arrays are faster to index.
                self._append(order[begin:end], [np.asarray(each) for each in mapped])

    def _append(self, pairs: NDArray[np.int64], ids: list[NDArray[np.int32]]) -> None:
        """Store a batch of sentence pairs, given their numbers and the ids of all."""
        sides = []
        for side, end in zip(ids, self._ends, strict=True):
            begin, length = end[pairs], end[pairs + 1] - end[pairs]
            offset = np.arange(length.max())
            here = offset < length[:, None]
            sides.append(np.where(here, side[np.where(here, begin[:, None] + offset, 0)], NULL))
        source, target = sides
        self.shapes.append((len(pairs), source.shape[1], target.shape[1]))
        self._file.append(np.concatenate([source.ravel(), target.ravel()]))

    def __len__(self) -> int:
        return len(self._positions)

    @property
    def batches(self) -> int:
        """Number of batches."""
        return len(self.shapes)

    def place(self, pair: int) -> tuple[int, int, int, int]:
        """Return batch and row of a sentence pair, and its numbers of source and target words."""
        position = int(self._positions[pair])
        batch = bisect_right(self._bounds, position) - 1
        source, target = (int(end[pair + 1] - end[pair]) for end in self._ends)
        return batch, position - self._bounds[batch], source, target

    def batch(self, number: int) -> Words:
        """Return a batch by its number."""
        size, width, height = self.shapes[number]
        ids = torch.from_numpy(self._file.read(number)).long()
        source, target = ids.split([size * width, size * height])
        return Words(source.view(size, width), target.view(size, height))
