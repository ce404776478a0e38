"""`Words`: a batch of sentence pairs as ids of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from numpy.typing import NDArray
from torch import Tensor

from pyro_align.word_alignment.hmm.types import NULL

Ids = Sequence[int] | NDArray[np.int32]
"""Ids of the words of a sentence."""


@dataclass(frozen=True)
class Words:
    """Sentence pairs as ids of words, padded with 0.

    Attributes:
        source: ids of source words.
        target: ids of target words.
    """

    source: Int[Tensor, "b s"]
    target: Int[Tensor, "b t"]

    @classmethod
    def from_ids(cls, source: Sequence[Ids], target: Sequence[Ids]) -> Words:
        """Create a batch of sentences of at least one word each."""
        return cls(_padded(source), _padded(target))

    @property
    def source_mask(self) -> Bool[Tensor, "b s"]:
        """True on real source words."""
        return self.source != NULL

    @property
    def target_mask(self) -> Bool[Tensor, "b t"]:
        """True on real target words."""
        return self.target != NULL

    def turned(self) -> Words:
        """Return the batch with source and target swapped."""
        return Words(self.target, self.source)

    def at(self, cells: Int[Tensor, " m"]) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
        """Return source and target of pairs of words, by their indices in a flat ``b t s``."""
        shape = len(self.source), self.target.shape[1], self.source.shape[1]
        # In half of the time of a division.
        sides = self.source.unsqueeze(1).expand(shape), self.target.unsqueeze(2).expand(shape)
        source, target = (side.reshape(-1).index_select(0, cells) for side in sides)
        return source, target


def _padded(rows: Sequence[Ids]) -> Int[Tensor, "b n"]:
    padded = np.full((len(rows), max(map(len, rows))), NULL, dtype=np.int64)
    for row, each in enumerate(rows):
        padded[row, : len(each)] = each
    return torch.from_numpy(padded)
