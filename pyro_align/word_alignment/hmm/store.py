"""Files with a tensor per batch of a text: alignment probabilities, and places in the lexicon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

LEAST = 1e-4
"""Smaller probabilities are stored as 0: most pairs of words are no links, and are then skipped."""


@final
class PosteriorStore:
    """State probabilities of each position, by batch, in half precision.

    Args:
        path: the file.
        shapes: numbers of sentences, source words and target words of each batch.
        directions: 1 (target words), or 2 (target words, then source words).
    """

    def __init__(self, path: Path, shapes: Sequence[tuple[int, int, int]], directions: int):
        self._shapes = [[(b, t, 1 + s), (b, s, 1 + t)][:directions] for b, s, t in shapes]
        sizes = [[b * t * s for b, t, s in batch] for batch in self._shapes]
        self._ends = np.cumsum([0, *(sum(batch) for batch in sizes)])
        self._sizes = sizes
        mapped = np.memmap(path, dtype=np.float16, mode="w+", shape=(int(self._ends[-1]),))
        self._file = np.asarray(mapped)  # faster to index

    def write(self, batch: int, states: Sequence[Float[Tensor, "b t one_more"]]) -> list[Tensor]:
        """Store the states of a batch in each direction, and return them as :meth:`read` does."""
        flat = torch.cat([each.reshape(-1) for each in states])
        flat = flat.masked_fill_(flat < LEAST, 0.0).half()
        self._file[self._ends[batch] : self._ends[batch + 1]] = flat.numpy()
        return self._split(batch, flat)

    def read(self, batch: int) -> list[Float[Tensor, "b t one_more"]]:
        """Return the stored states of a batch in each direction."""
        part = self._file[self._ends[batch] : self._ends[batch + 1]]
        return self._split(batch, torch.from_numpy(part.copy()))

    def read_row(self, batch: int, row: int) -> list[NDArray[np.float32]]:
        """Return the stored states of one sentence pair of a batch, in each direction.

        They are NumPy arrays, which are cut to the lengths of the sentences in less time than
        tensors.
        """
        found = []
        begin = int(self._ends[batch])
        for (_, t, s), size in zip(self._shapes[batch], self._sizes[batch], strict=True):
            part = self._file[begin + row * t * s : begin + (row + 1) * t * s]
            found.append(part.astype(np.float32).reshape(t, s))
            begin += size
        return found

    def _split(self, batch: int, flat: Tensor) -> list[Tensor]:
        parts = flat.float().split(self._sizes[batch])
        return [part.view(shape) for part, shape in zip(parts, self._shapes[batch], strict=True)]


@final
class PlaceStore:
    """Indices of the pairs of words of each batch in the lexicon.

    Args:
        path: the file.
        shapes: numbers of sentences, source words and target words of each batch.
    """

    def __init__(self, path: Path, shapes: Sequence[tuple[int, int, int]]):
        self._shapes = [(b, t, s) for b, s, t in shapes]
        self._ends = np.cumsum([0, *(b * t * s for b, t, s in self._shapes)])
        mapped = np.memmap(path, dtype=np.int32, mode="w+", shape=(int(self._ends[-1]),))
        self._file = np.asarray(mapped)

    def write(self, batch: int, places: Int[Tensor, "b t s"]) -> None:
        """Store the indices of a batch."""
        self._file[self._ends[batch] : self._ends[batch + 1]] = places.reshape(-1).numpy()

    def read(self, batch: int) -> Int[Tensor, "b t s"]:
        """Return the indices of a batch."""
        part = self._file[self._ends[batch] : self._ends[batch + 1]]
        return torch.from_numpy(part.copy()).view(self._shapes[batch])
