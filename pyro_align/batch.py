"""`Batch`: padded ids, lengths and masks; the one thing that flows through everything."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

PAD, UNK, BOS, EOS = 0, 1, 2, 3
"""Ids of the special pieces, the same in every vocabulary of this package."""


@dataclass(frozen=True)
class Batch:
    """Sentence pairs, padded with :data:`PAD` to the longest of the batch.

    Both sides end in :data:`EOS`, which is a position like any other: a target ``EOS`` is
    predicted and aligned, and a source ``EOS`` is what a target token aligns to when nothing in
    the source caused it.

    Attributes:
        source: source ids.
        target: target ids, the tokens to predict.
        source_mask: true where ``source`` is not padding.
        target_mask: true where ``target`` is not padding.
        source_lengths: lengths with ``EOS``; always on the CPU, so that reading one never waits
            for a device.
        target_lengths: as ``source_lengths``.
        indices: 0-based position of each pair in its corpus; always on the CPU.
    """

    source: Int[Tensor, "batch source"]
    target: Int[Tensor, "batch target"]
    source_mask: Bool[Tensor, "batch source"]
    target_mask: Bool[Tensor, "batch target"]
    source_lengths: Int[Tensor, " batch"]
    target_lengths: Int[Tensor, " batch"]
    indices: Int[Tensor, " batch"]

    @classmethod
    def from_ids(
        cls,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        indices: Sequence[int] | None = None,
    ) -> Batch:
        """Pad ids, each sentence already ending in ``EOS``, into a batch.

        Raises:
            ValueError: if the sides differ in number, or one is empty.
        """
        if len(sources) != len(targets):
            raise ValueError(f"{len(sources)} sources but {len(targets)} targets")
        if not sources:
            raise ValueError("a batch needs at least one sentence pair")
        source, source_lengths = _pad(sources)
        target, target_lengths = _pad(targets)
        return cls(
            source=source,
            target=target,
            source_mask=_mask(source_lengths, source.shape[1]),
            target_mask=_mask(target_lengths, target.shape[1]),
            source_lengths=source_lengths,
            target_lengths=target_lengths,
            indices=torch.as_tensor(range(len(sources)) if indices is None else indices),
        )

    def __len__(self) -> int:
        return self.source.shape[0]

    @property
    def target_input(self) -> Int[Tensor, "batch target"]:
        """What the decoder reads: ``target`` shifted right behind a :data:`BOS`."""
        start = self.target.new_full((len(self), 1), BOS)
        return torch.cat([start, self.target[:, :-1]], dim=1)

    @property
    def tokens(self) -> int:
        """Number of target tokens, ``EOS`` counted, padding not."""
        return int(self.target_lengths.sum())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch with ids and masks on ``device``; lengths and indices stay on the CPU."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, from where a GPU can fetch it by itself."""
        return self._map(torch.Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        moved = ("source", "target", "source_mask", "target_mask")
        return dataclasses.replace(self, **{name: function(getattr(self, name)) for name in moved})


def _pad(
    sentences: Sequence[Sequence[int]],
) -> tuple[Int[Tensor, "batch length"], Int[Tensor, " batch"]]:
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    if not bool((lengths > 0).all()):
        raise ValueError("a sentence without ids: each needs at least its EOS")
    padded = torch.full((len(sentences), int(lengths.max())), PAD)
    for row, sentence in zip(padded, sentences, strict=True):
        row[: len(sentence)] = torch.as_tensor(sentence)
    return padded, lengths


def _mask(lengths: Int[Tensor, " batch"], width: int) -> Bool[Tensor, "batch length"]:
    return torch.arange(width) < lengths.unsqueeze(1)
