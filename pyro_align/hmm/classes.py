"""`Classes`: words by their beginnings, so that forms of a word share what is learnt of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from pyro_align.corpus import split_words

NULL = 0
"""Id of no word: padding, and the source of target words that are drawn from nothing."""


@final
class Classes:
    """Ids of the classes of words; words that begin alike, case aside, are of one class.

    Inflected forms of a rare word are as good as one word when little text is there to learn from.

    Args:
        prefix: number of characters that are looked at.
        names: the classes there are, from id 1.
    """

    def __init__(self, prefix: int, names: Iterable[str] = ()):
        self.prefix = prefix
        self._ids = {name: number for number, name in enumerate(names, start=1)}

    def __len__(self) -> int:
        """Number of ids, that of no word counted."""
        return 1 + len(self._ids)

    @property
    def names(self) -> list[str]:
        """The classes in the order of their ids, from 1."""
        return list(self._ids)

    def copy(self) -> Classes:
        """The same classes, to which others may be added."""
        return Classes(self.prefix, self._ids)

    def add(self, sentence: str) -> list[int]:
        """Ids of the words of a sentence; a new class gets the next id."""
        return [
            self._ids.setdefault(word[: self.prefix], len(self._ids) + 1)
            for word in split_words(sentence.lower())
        ]


def spelled_alike(
    source: Classes, target: Classes, pairs: Int[Tensor, "n 2"]
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Which pairs of classes are equal strings, and which are equal but for one character.

    The latter become equal when one character is taken out of each string of more than three, or of
    the longer one.

    Args:
        source: classes of the first column.
        target: classes of the second column.
        pairs: ids.

    Returns:
        1 or 0 for each pair, twice; no pair is both.
    """
    known: dict[str, int] = {}
    mine, others = (_variants(classes, known) for classes in (source, target))
    equal = torch.empty(len(pairs), dtype=torch.int8)
    near = torch.empty(len(pairs), dtype=torch.int8)
    # In blocks, since all strings of a pair are compared with each other.
    for block in range(0, len(pairs), 1 << 20):
        part = pairs[block : block + (1 << 20)]
        first, second = mine[part[:, 0]], others[part[:, 1]]
        same = (first[:, 0] == second[:, 0]) & (first[:, 0] >= 0)
        alike = (first.unsqueeze(2) == second.unsqueeze(1)) & (first >= 0).unsqueeze(2)
        equal[block : block + len(part)] = same
        near[block : block + len(part)] = alike.flatten(1).any(1) & ~same
    return equal, near


def _variants(classes: Classes, known: dict[str, int]) -> Int[Tensor, "n v"]:
    """For each class its string and, of more than three characters, that without one of them.

    Strings are numbered by ``known``; −1 stands for none. Row 0 is no word.
    """
    rows = torch.full((len(classes), 1 + classes.prefix), -1)
    for row, name in enumerate(classes.names, start=1):
        strings = [name]
        if len(name) > 3:
            strings += [name[:place] + name[place + 1 :] for place in range(len(name))]
        rows[row, : len(strings)] = torch.tensor(
            [known.setdefault(string, len(known)) for string in strings]
        )
    return rows
