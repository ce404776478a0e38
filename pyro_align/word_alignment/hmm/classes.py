"""`Classes`: word classes by prefix, so that the forms of a word share parameters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from pyro_align.data import split_words

NULL = 0
"""Id of padding and of the null word."""


@final
class Classes:
    """Ids of word classes; words with the same lower-cased prefix are in one class.

    With little text, treating the inflected forms of a rare word as one word is more accurate.

    Args:
        prefix: number of characters of the prefix.
        names: existing classes, with ids from 1.
    """

    def __init__(self, prefix: int, names: Iterable[str] = ()):
        self.prefix = prefix
        self._ids = {name: number for number, name in enumerate(names, start=1)}

    def __len__(self) -> int:
        """Number of ids, including :data:`NULL`."""
        return 1 + len(self._ids)

    @property
    def names(self) -> list[str]:
        """Class names in the order of their ids, from 1."""
        return list(self._ids)

    def copy(self) -> Classes:
        """Return a copy, to which classes can be added."""
        return Classes(self.prefix, self._ids)

    def add(self, sentence: str) -> list[int]:
        """Return the ids of the words of a sentence, adding new classes."""
        return [
            self._ids.setdefault(word[: self.prefix], len(self._ids) + 1)
            for word in split_words(sentence.lower())
        ]


def spelled_alike(
    source: Classes, target: Classes, pairs: Int[Tensor, "n 2"]
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """Find pairs of classes whose names are equal or differ in one character.

    Two names differ in one character if they become equal when a character is removed from each
    name of more than three characters, or from one of the two.

    Args:
        source: classes of the first column.
        target: classes of the second column.
        pairs: ids.

    Returns:
        Two indicators (0 or 1) per pair: equal, and different in one character; never both.
    """
    known: dict[str, int] = {}
    mine, others = (_variants(classes, known) for classes in (source, target))
    equal = torch.empty(len(pairs), dtype=torch.int8)
    near = torch.empty(len(pairs), dtype=torch.int8)
    # In blocks, because all variants of a pair are compared with each other.
    for block in range(0, len(pairs), 1 << 20):
        part = pairs[block : block + (1 << 20)]
        first, second = mine[part[:, 0]], others[part[:, 1]]
        same = (first[:, 0] == second[:, 0]) & (first[:, 0] >= 0)
        alike = (first.unsqueeze(2) == second.unsqueeze(1)) & (first >= 0).unsqueeze(2)
        equal[block : block + len(part)] = same
        near[block : block + len(part)] = alike.flatten(1).any(1) & ~same
    return equal, near


def _variants(classes: Classes, known: dict[str, int]) -> Int[Tensor, "n v"]:
    """Return for each class its name and, if longer than three, the name without each character.

    Strings are numbered by ``known``; −1 is padding. Row 0 is :data:`NULL`.
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
