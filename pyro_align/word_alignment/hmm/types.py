"""`Types`: ids of the distinct words of one side of a text."""

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
class Types:
    """Ids of distinct lower-cased words.

    Args:
        names: existing words, with ids from 1.
    """

    def __init__(self, names: Iterable[str] = ()):
        self._ids = {name: number for number, name in enumerate(names, start=1)}

    def __len__(self) -> int:
        """Number of ids, including :data:`NULL`."""
        return 1 + len(self._ids)

    @property
    def names(self) -> list[str]:
        """Words in the order of their ids, from 1."""
        return list(self._ids)

    def copy(self) -> Types:
        """Return a copy, to which words can be added."""
        return Types(self._ids)

    def add(self, sentence: str) -> list[int]:
        """Return the ids of the words of a sentence, adding new words."""
        words, ids = split_words(sentence.lower()), self._ids
        try:
            return list(map(ids.__getitem__, words))
        except KeyError:
            return [ids.setdefault(word, len(ids) + 1) for word in words]

    def affixes(self, length: int) -> Int[Tensor, " v"]:
        """Return the id of the class of each word; words with the same affix are in one class.

        Args:
            length: number of characters of the prefix or, if negative, of the suffix.
        """
        part = slice(length) if length > 0 else slice(length, None)
        classes: dict[str, int] = {}
        ids = [classes.setdefault(name[part], len(classes) + 1) for name in self._ids]
        return torch.tensor([NULL, *ids])
