"""`WordPairs`: pairs of words that co-occur in a sentence pair, shared by both directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pyro_align.word_alignment.hmm.occurrences import Occurrences, pair_codes
from pyro_align.word_alignment.hmm.types import Types

BLOCK = 1 << 18
"""Number of pairs that are looked up at once."""


@final
@dataclass(frozen=True)
class IdPairs:
    """Distinct pairs of ids, sorted by their codes.

    Attributes:
        keys: sorted codes, and one number that is greater than all of them.
        width: number of ids of the side that varies fastest.
        is_turned: whether that is the source side. The codes are then those of the other direction,
            so that both directions store the pairs in the same order.
    """

    keys: Int[Tensor, " n_plus_1"]
    width: int
    is_turned: bool = False

    @classmethod
    def create(cls, codes: Int[Tensor, " n"], width: int) -> IdPairs:
        """Create the pairs from their sorted codes; ``width`` is the number of target ids."""
        end = torch.tensor([torch.iinfo(torch.int64).max])
        return cls(torch.cat([codes, end]), width)

    def __len__(self) -> int:
        return len(self.keys) - 1

    def chosen(self, which: Bool[Tensor, " n"]) -> IdPairs:
        """Return some of the pairs."""
        return replace(self, keys=torch.cat([self.keys[:-1][which], self.keys[-1:]]))

    def turned(self) -> IdPairs:
        """Return the pairs with source and target swapped."""
        return replace(self, is_turned=not self.is_turned)

    def sides(self, part: Any = slice(-1)) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
        """Return the sources and the targets of all pairs, or of those at some places."""
        keys = self.keys[part]
        slow = keys.div(self.width, rounding_mode="floor")
        fast = keys - slow * self.width
        return (fast, slow) if self.is_turned else (slow, fast)

    def find(
        self, source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"]
    ) -> Int[Tensor, "*b t s"]:
        """Return the places of pairs, which is their number for pairs that are not stored."""
        if self.is_turned:
            codes = pair_codes(target, source, self.width).mT
        else:
            codes = pair_codes(source, target, self.width)
        places = torch.searchsorted(self.keys, codes.contiguous())
        return places.masked_fill_(self.keys[places] != codes, len(self))


@final
@dataclass(frozen=True)
class AffixPairs:
    """Pairs of prefixes or suffixes of words, of all lengths in one table.

    Attributes:
        indices: the pairs of each length; those of a length are after those of the one before.
        source: affixes of each source word, by length.
        target: affixes of each target word, by length.
    """

    indices: tuple[IdPairs, ...]
    source: Int[Tensor, "k e"]
    target: Int[Tensor, "k f"]

    @classmethod
    def create(
        cls,
        source: Int[Tensor, "k e"],
        target: Int[Tensor, "k f"],
        pairs: IdPairs,
        repeated: Bool[Tensor, " n"] | None = None,
    ) -> AffixPairs:
        """Create the pairs of affixes of pairs of words.

        Args:
            source: affixes of each source word, by length.
            target: affixes of each target word, by length.
            pairs: the pairs of words.
            repeated: which pairs of words occur more than once, to create only the pairs of affixes
                that do. None to create all.
        """
        indices = []
        for one, other in zip(source, target, strict=True):
            seen, width = Occurrences(), int(other.max()) + 1
            for part in blocks(len(pairs)):
                left, right = pairs.sides(part)
                again = None if repeated is None else repeated[part]
                seen.add(one[left] * width + other[right], again)
            codes, more = seen.found()
            indices.append(IdPairs.create(codes if repeated is None else codes[more], width))
        return cls(tuple(indices), source, target)

    def __len__(self) -> int:
        return sum(map(len, self.indices))

    def turned(self) -> AffixPairs:
        """Return the pairs with source and target swapped."""
        return AffixPairs(tuple(each.turned() for each in self.indices), self.target, self.source)

    def find(
        self, source: Int[Tensor, "*b s"], target: Int[Tensor, "*b t"]
    ) -> Int[Tensor, "*b t s k"]:
        """Return the places of the affixes of words, or the number of all pairs if not stored."""
        found, begin = [], 0
        for index, one, other in zip(self.indices, self.source, self.target, strict=True):
            places = index.find(one[source], other[target])
            found.append(torch.where(places < len(index), places + begin, len(self)))
            begin += len(index)
        return torch.stack(found, dim=-1)

    def find_each(self, source: Int[Tensor, " m"], target: Int[Tensor, " m"]) -> Int[Tensor, "m k"]:
        """Return the result of :meth:`find` for pairs of words, as 32-bit numbers."""
        return self.find(source.unsqueeze(1), target.unsqueeze(1))[:, 0, 0].int()


@final
@dataclass(frozen=True)
class WordPairs:
    """Pairs of words that co-occur in a sentence pair.

    Attributes:
        index: the pairs.
        affixes: pairs of prefixes or suffixes.
        places: places of the affixes of each pair of words in ``affixes``.
    """

    index: IdPairs
    affixes: AffixPairs
    places: Int[Tensor, "n k"]

    @classmethod
    def create(
        cls,
        source: Types,
        target: Types,
        keys: Int[Tensor, " n"],
        lengths: Sequence[int],
        repeated: Bool[Tensor, " n"] | None = None,
    ) -> WordPairs:
        """Create the pairs of two sides from their codes.

        Args:
            source: source words.
            target: target words.
            keys: sorted codes of the pairs, see :func:`pair_codes`.
            lengths: number of characters of each prefix or, if negative, suffix.
            repeated: which pairs occur more than once, to store only these, and the pairs of
                affixes that occur more than once. None to store all.
        """
        one, other = (
            torch.stack([side.affixes(length) for length in lengths]) for side in (source, target)
        )
        pairs = IdPairs.create(keys, len(target))
        affixes = AffixPairs.create(one, other, pairs, repeated)
        return cls._of(pairs if repeated is None else pairs.chosen(repeated), affixes)

    def of_same_words(self, keys: Int[Tensor, " n"]) -> WordPairs:
        """Return other pairs of the same words.

        Args:
            keys: their sorted codes, in which the ids of target words vary fastest.
        """
        source, target = self.affixes.source, self.affixes.target
        pairs = IdPairs.create(keys, target.shape[1])
        return self._of(pairs, AffixPairs.create(source, target, pairs))

    @classmethod
    def _of(cls, pairs: IdPairs, affixes: AffixPairs) -> WordPairs:
        places = torch.empty(len(pairs), len(affixes.indices), dtype=torch.int32)
        for part in blocks(len(pairs)):
            places[part] = affixes.find_each(*pairs.sides(part))
        return cls(pairs, affixes, places)

    def turned(self) -> WordPairs:
        """Return the pairs with source and target swapped, in the same order and memory."""
        return WordPairs(self.index.turned(), self.affixes.turned(), self.places)

    def __len__(self) -> int:
        return len(self.index)


def blocks(number: int, size: int = BLOCK) -> Iterator[slice]:
    """Yield slices of equal size, at most ``size``, that cover a number of items."""
    parts = -(-number // size)
    for part in range(parts):
        yield slice(part * number // parts, (part + 1) * number // parts)
