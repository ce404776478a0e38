"""`Occurrences`: different codes of pairs, and which of them occur more than once."""

from __future__ import annotations

from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

MERGED = 1 << 20
"""Minimum number of codes, with duplicates, that are collected before they are merged."""


def pair_codes(
    source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"], width: int
) -> Int[Tensor, "*b t s"]:
    """Return a code for each pair of ids; ``width`` is the number of target ids."""
    return source.unsqueeze(-2) * width + target.unsqueeze(-1)


@final
class Occurrences:
    """Collects codes in parts, in memory for the different ones.

    The number of occurrences of a code is not known, only whether it is more than one.
    """

    def __init__(self) -> None:
        # Twice the code, plus 1 if it occurs more than once.
        self._marked: NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._waiting: list[NDArray[np.int64]] = []

    def add(self, codes: Int[Tensor, " n"], repeated: Bool[Tensor, " n"] | None = None) -> None:
        """Add codes.

        Args:
            codes: the codes, not negative.
            repeated: which of them to treat as if they occurred more than once; None for none.
        """
        marked = 2 * codes
        if repeated is not None:
            marked += repeated
        self._waiting.append(_merged(marked.numpy()))
        if sum(map(len, self._waiting)) > max(MERGED, len(self._marked) // 2):
            self._merge()

    def _merge(self) -> None:
        both = np.concatenate([self._marked, *self._waiting])
        self._waiting = []
        self._marked = _merged(both)

    def found(self) -> tuple[Int[Tensor, " m"], Bool[Tensor, " m"]]:
        """Return all different codes in order, and which of them occur more than once."""
        self._merge()
        return torch.from_numpy(self._marked >> 1), torch.from_numpy((self._marked & 1) > 0)


def _merged(marked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the different codes in order, marked if they are there twice; sorts in place."""
    marked.sort()  # NumPy sorts in a seventh of the time of PyTorch
    same = (marked[1:] ^ marked[:-1]) < 2
    is_last = np.ones(len(marked), dtype=bool)
    np.logical_not(same, out=is_last[:-1])
    marked[1:] |= same
    return marked[is_last]
