"""`Cells`: pairs of words of the sentence pairs of a batch, and where a lexicon has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.word_alignment.hmm.cooccurrences import WordPairs
from pyro_align.word_alignment.hmm.store import BatchFile
from pyro_align.word_alignment.hmm.words import Words


def greater(numbers: Float[Tensor, " n"], least: float = 0.0) -> Int[Tensor, " m"]:
    """Return the indices of numbers that are greater than ``least``."""
    # In a tenth of the time of PyTorch.
    return torch.from_numpy(np.flatnonzero(numbers.numpy() > least))


@final
@dataclass(frozen=True)
class Cells:
    """Pairs of words of a batch, of which a lexicon stores those that occur more than once.

    A pair that occurs once, in one cell of the text, has the count of this cell only. It is
    subtracted when the links of the cell are inferred, so that no count has to be stored.

    Attributes:
        words: the sentence pairs.
        places: place of each pair of words in the lexicon; the number of stored pairs for those
            that are not stored and for padding.
        single: indices of the pairs that occur once, in the flattened ``places``.
        affixes: place of their affixes in the lexicon; the number of stored pairs of affixes for
            those that occur once.
        prior: their pseudo-counts by spelling, λ r.
    """

    words: Words
    places: Int[Tensor, "b t s"]
    single: Int[Tensor, " m"]
    affixes: Int[Tensor, "m k"]
    prior: Float[Tensor, " m"]

    @classmethod
    def find(cls, words: Words, pairs: WordPairs) -> Cells:
        """Look up a batch; the pseudo-counts are 0."""
        places = pairs.index.find(words.source, words.target)
        there = words.target_mask.unsqueeze(2) & words.source_mask.unsqueeze(1)
        single = ((places == len(pairs)) & there).view(-1).nonzero().squeeze(1)
        source, target = words.at(single)
        # In the order of their words: what is looked up in turn is then near in memory.
        order = (source * pairs.affixes.target.shape[1] + target).argsort()
        single = single[order]
        affixes = pairs.affixes.find_each(source[order], target[order])
        return cls(words, places.int(), single, affixes, torch.zeros(len(single)))

    def turned(self, prior: Float[Tensor, " m"]) -> Cells:
        """Return the batch with source and target swapped.

        Args:
            prior: pseudo-counts of the pairs that occur once in this direction.
        """
        _, height, width = self.places.shape
        # NumPy divides by one number in a third of the time of PyTorch.
        flat = self.single.numpy()
        row = flat // width
        sentence = row // height
        column, row = flat - row * width, row - sentence * height
        single = torch.from_numpy((sentence * width + column) * height + row)
        return Cells(self.words.turned(), self.places.mT.contiguous(), single, self.affixes, prior)


@final
class CellStore:
    """Cells of each batch of a text, on disk.

    Args:
        folder: of the files.
        lengths: number of lengths of prefixes and suffixes.
        directions: 1 or 2.
    """

    def __init__(self, folder: Path, lengths: int, directions: int):
        self._lengths = lengths
        self._directions = directions
        self._places = BatchFile(folder / "places", np.int32)
        self._single = BatchFile(folder / "single", np.int32)
        self._affixes = BatchFile(folder / "affixes", np.int32)
        self._priors = BatchFile(folder / "priors", np.float32)

    def append(self, cells: Cells) -> None:
        """Store a further batch, with pseudo-counts of 0."""
        self._places.append(cells.places.numpy())
        self._single.append(cells.single.numpy())
        self._affixes.append(cells.affixes.numpy())
        self._priors.append(cells.prior.repeat(self._directions).numpy())

    def write_priors(self, batch: int, priors: Sequence[Float[Tensor, " m"]]) -> None:
        """Store the pseudo-counts of the pairs of a batch that occur once, in each direction."""
        self._priors.write(batch, torch.cat(list(priors)).numpy())

    def read(self, batch: int, words: Words) -> list[Cells]:
        """Return the cells of a batch in each direction.

        Args:
            batch: number of the batch.
            words: its sentence pairs.
        """
        shape = len(words.source), words.target.shape[1], words.source.shape[1]
        prior, *others = torch.from_numpy(self._priors.read(batch)).view(self._directions, -1)
        cells = Cells(
            words,
            torch.from_numpy(self._places.read(batch)).view(shape),
            torch.from_numpy(self._single.read(batch)).long(),
            torch.from_numpy(self._affixes.read(batch)).view(-1, self._lengths),
            prior,
        )
        return [cells, *(cells.turned(each) for each in others)]
