"""Tokens that two vocabularies have in common."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from pyro_align.data.batch import BOS, EOS, PAD, UNK


@runtime_checkable
class Pieces(Protocol):
    """A vocabulary that names its ids."""

    def __len__(self) -> int: ...

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Return the piece of each id."""


def counterparts(source: Pieces, target: Pieces) -> list[int]:
    """Return for each source id the target id of the same piece, and −1 if there is none.

    ``EOS`` and ``UNK`` are their own counterparts, so that an unknown token is copied as an unknown
    one; ``PAD`` and ``BOS`` have none.

    Args:
        source: the vocabulary to copy from.
        target: the vocabulary to copy to.
    """
    special = {PAD: -1, UNK: UNK, BOS: -1, EOS: EOS}
    first = max(special) + 1
    ids = {piece: number for number, piece in enumerate(target.pieces(range(len(target))))}
    own = source.pieces(range(first, len(source)))
    return [special[number] for number in range(first)] + [ids.get(piece, -1) for piece in own]
