"""`WordPairs`: pairs of words that co-occur in a sentence pair, shared by both directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pyro_align.word_alignment.hmm.types import Types


def pair_codes(
    source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"], width: int
) -> Int[Tensor, "*b t s"]:
    """Return a code for each pair of ids; ``width`` is the number of target ids."""
    return source.unsqueeze(-2) * width + target.unsqueeze(-1)


def distinct(codes: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
    """Return the different codes in order."""
    # NumPy sorts in a seventh of the time of torch.unique, and in less memory.
    in_order = np.sort(codes.numpy())
    is_first = np.ones(len(in_order), dtype=bool)
    np.not_equal(in_order[1:], in_order[:-1], out=is_first[1:])
    return torch.from_numpy(in_order[is_first])


@final
@dataclass(frozen=True)
class IdPairs:
    """Distinct pairs of ids, sorted by their codes.

    Attributes:
        keys: sorted codes.
        width: number of ids of the side that varies fastest.
        is_turned: whether that is the source side. The codes are then those of the other direction,
            so that both directions store the pairs in the same order.
    """

    keys: Int[Tensor, " n"]
    width: int
    is_turned: bool = False

    def turned(self) -> IdPairs:
        """Return the pairs with source and target swapped."""
        return replace(self, is_turned=not self.is_turned)

    def sides(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Return the source and the target of each pair."""
        slow, fast = self.keys.div(self.width, rounding_mode="floor").int(), self.keys % self.width
        return (fast.int(), slow) if self.is_turned else (slow, fast.int())

    def find(
        self, source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"]
    ) -> tuple[Int[Tensor, "*b t s"], Bool[Tensor, "*b t s"]]:
        """Return the places of pairs, and whether they are stored; other places are arbitrary."""
        if self.is_turned:
            codes = pair_codes(target, source, self.width).mT
        else:
            codes = pair_codes(source, target, self.width)
        places = torch.searchsorted(self.keys, codes.contiguous()).clamp_max_(len(self.keys) - 1)
        return places, self.keys[places] == codes


@final
@dataclass(frozen=True)
class AffixPairs:
    """Pairs of prefixes or suffixes of co-occurring words.

    Attributes:
        index: the pairs.
        places: place of the affixes of each pair of words in ``index``.
        source: affix of each source word.
        target: affix of each target word.
    """

    index: IdPairs
    places: Int[Tensor, " n"]
    source: Int[Tensor, " e"]
    target: Int[Tensor, " f"]

    def turned(self) -> AffixPairs:
        """Return the pairs with source and target swapped."""
        return AffixPairs(self.index.turned(), self.places, self.target, self.source)


@final
@dataclass(frozen=True)
class WordPairs:
    """Pairs of words that co-occur in a sentence pair.

    Attributes:
        index: the pairs.
        source: source word of each pair.
        target: target word of each pair.
        affixes: pairs of their prefixes or suffixes, for each length.
    """

    index: IdPairs
    source: Int[Tensor, " n"]
    target: Int[Tensor, " n"]
    affixes: tuple[AffixPairs, ...]

    @classmethod
    def create(
        cls, source: Types, target: Types, keys: Int[Tensor, " n"], lengths: Sequence[int]
    ) -> WordPairs:
        """Create the pairs of two sides from their codes.

        Args:
            source: source words.
            target: target words.
            keys: sorted codes of the pairs, see :func:`pair_codes`.
            lengths: number of characters of each prefix or, if negative, suffix.
        """
        index = IdPairs(keys, len(target))
        one, other = index.sides()
        affixes = []
        for length in lengths:
            of_source, of_target = source.affixes(length), target.affixes(length)
            width = int(of_target.max()) + 1
            codes = of_source[one] * width + of_target[other]
            found = distinct(codes)
            places = torch.searchsorted(found, codes, out_int32=True)
            affixes.append(AffixPairs(IdPairs(found, width), places, of_source, of_target))
        return cls(index, one, other, tuple(affixes))

    def turned(self) -> WordPairs:
        """Return the pairs with source and target swapped, in the same order and memory."""
        affixes = tuple(each.turned() for each in self.affixes)
        return WordPairs(self.index.turned(), self.target, self.source, affixes)

    def __len__(self) -> int:
        return len(self.source)
