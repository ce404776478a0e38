"""`Batch`: padded ids, lengths and masks; the one thing that flows through everything."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

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
        noise: seeds of the dropout that this batch is computed with, see :class:`Noise`.
        computed: what model and guide have computed from this batch, where they share it; None
            where every call computes afresh. See :meth:`sharing`.
    """

    source: Int[Tensor, "batch source"]
    target: Int[Tensor, "batch target"]
    source_mask: Bool[Tensor, "batch source"]
    target_mask: Bool[Tensor, "batch target"]
    source_lengths: Int[Tensor, " batch"]
    target_lengths: Int[Tensor, " batch"]
    indices: Int[Tensor, " batch"]
    noise: Noise = field(default_factory=lambda: Noise.new(), repr=False, compare=False)
    computed: dict[Any, Any] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_ids(
        cls,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        indices: Sequence[int] | None = None,
        noise: Noise | None = None,
    ) -> Batch:
        """Pad ids, each sentence already ending in ``EOS``, into a batch.

        Args:
            sources: ids of each source sentence.
            targets: ids of each target sentence.
            indices: positions in the corpus; None for 0, 1, ….
            noise: None for a seed drawn from torch's global generator.

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
            noise=Noise.new() if noise is None else noise,
        )

    def __len__(self) -> int:
        return self.source.shape[0]

    @property
    def target_input(self) -> Int[Tensor, "batch target"]:
        """What the decoder reads: ``target`` shifted right behind a :data:`BOS`."""
        start = self.target.new_full((len(self), 1), BOS)
        return torch.cat([start, self.target[:, :-1]], dim=1)

    @property
    def num_targets(self) -> int:
        """Number of target tokens, including ``EOS`` and excluding padding."""
        return int(self.target_lengths.sum())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The batch with ids and masks on ``device``; lengths and indices stay on the CPU."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, from where a GPU can fetch it by itself."""
        return self._map(torch.Tensor.pin_memory)

    def sharing(self) -> Batch:
        """The batch, with room for what model and guide both need, to be computed once.

        For one evaluation of an objective: what is computed goes with the parameters of that
        moment. A batch that is shared already is returned as it is.
        """
        return self if self.computed is not None else dataclasses.replace(self, computed={})

    def with_new_noise(self) -> Batch:
        """The same sentences with other dropout, as every optimiser step should have it."""
        return dataclasses.replace(self, noise=Noise.new())

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        return dataclasses.replace(
            self,
            source=function(self.source),
            target=function(self.target),
            source_mask=function(self.source_mask),
            target_mask=function(self.target_mask),
        )


@dataclass(frozen=True)
class Noise:
    """Random numbers that belong to a batch, so that dropout is the same whoever computes it.

    In training mode the states of a model are a function of its parameters, the batch and this
    noise. The model's own run, a guide that reads the model's states, a baseline and an exact
    posterior then speak of one and the same network, whether they share the computation or not.

    Attributes:
        seed: where the random numbers start from.
    """

    seed: int

    @classmethod
    def new(cls) -> Noise:
        """Noise of a seed drawn from torch's global generator."""
        return cls(int(torch.randint(2**62, ())))

    @contextmanager
    def drawn(self, device: torch.device, stream: str) -> Iterator[None]:
        """Within it, torch's generators of the CPU and of ``device`` draw from this noise.

        Afterwards they go on from where they were.

        Args:
            device: where random numbers are drawn.
            stream: name of independent numbers; under the same name they are the same numbers.
        """
        seed = self.seed ^ zlib.crc32(stream.encode())
        generators = [torch.default_generator]
        if device.type == "cuda":
            index = torch.cuda.current_device() if device.index is None else device.index
            generators.append(torch.cuda.default_generators[index])
        before = [generator.get_state() for generator in generators]
        try:
            for generator in generators:
                generator.manual_seed(seed)
            yield
        finally:
            for generator, state in zip(generators, before, strict=True):
                generator.set_state(state)


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
