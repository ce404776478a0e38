"""Files with numbers of each batch of a text, such as alignment probabilities."""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

LEAST = 1e-4
"""Smaller probabilities are stored as 0: most pairs of words are no links, and are then skipped."""


@final
class BatchFile:
    """Numbers of each batch, on disk.

    The file is read by parts and not mapped, as mapped pages count as memory of the process.
    Processes that are forked share it.

    Args:
        path: the file, which is replaced.
        kind: type of the numbers.
        sizes: how many numbers each batch has; further batches can be appended.
    """

    def __init__(self, path: Path, kind: type[Any], sizes: Iterable[int] = ()):
        self._kind = np.dtype(kind)
        self._ends = list(accumulate(sizes, initial=0))
        self._file = path.open("w+b", buffering=0)
        weakref.finalize(self, self._file.close)

    def append(self, numbers: NDArray[Any]) -> None:
        """Write the numbers of a further batch."""
        self._ends.append(self._ends[-1] + numbers.size)
        self.write(len(self._ends) - 2, numbers)

    def write(self, batch: int, numbers: NDArray[Any]) -> None:
        """Write the numbers of a batch.

        Raises:
            OSError: if the disk is full.
        """
        content = np.ascontiguousarray(numbers, self._kind)
        place = self._ends[batch] * self._kind.itemsize
        if os.pwrite(self._file.fileno(), content.data, place) < content.nbytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)

    def read(self, batch: int) -> NDArray[Any]:
        """Return the numbers of a batch."""
        return self.read_part(batch, 0, self._ends[batch + 1] - self._ends[batch])

    def read_part(self, batch: int, begin: int, size: int) -> NDArray[Any]:
        """Return ``size`` numbers of a batch from ``begin``."""
        bytes_each = self._kind.itemsize
        place = (self._ends[batch] + begin) * bytes_each
        content = os.pread(self._file.fileno(), size * bytes_each, place)
        # PyTorch warns of arrays that cannot be changed.
        return np.frombuffer(bytearray(content), self._kind)


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
        self._sizes = [[b * t * s for b, t, s in batch] for batch in self._shapes]
        self._file = BatchFile(path, np.float16, map(sum, self._sizes))

    def write(self, batch: int, states: Sequence[Float[Tensor, "b t one_more"]]) -> list[Tensor]:
        """Store the states of a batch in each direction, and return them as :meth:`read` does."""
        flat = torch.cat([each.reshape(-1) for each in states])
        flat = flat.masked_fill_(flat < LEAST, 0.0).half()
        self._file.write(batch, flat.numpy())
        return self._split(batch, flat)

    def read(self, batch: int) -> list[Float[Tensor, "b t one_more"]]:
        """Return the stored states of a batch in each direction."""
        return self._split(batch, torch.from_numpy(self._file.read(batch)))

    def read_row(self, batch: int, row: int) -> list[NDArray[np.float32]]:
        """Return the stored states of one sentence pair of a batch, in each direction.

        They are NumPy arrays, which are cut to the lengths of the sentences in less time than
        tensors.
        """
        found, begin = [], 0
        for (_, t, s), size in zip(self._shapes[batch], self._sizes[batch], strict=True):
            part = self._file.read_part(batch, begin + row * t * s, t * s)
            found.append(part.astype(np.float32).reshape(t, s))
            begin += size
        return found

    def _split(self, batch: int, flat: Tensor) -> list[Tensor]:
        parts = flat.float().split(self._sizes[batch])
        return [part.view(shape) for part, shape in zip(parts, self._shapes[batch], strict=True)]
