"""`Batch`: padded token ids, lengths and masks of sentence pairs."""

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
"""Ids of the special tokens, the same in every vocabulary of this package."""


@dataclass(frozen=True)
class Noise:
    """The random seed of a batch, which makes dropout the same in every computation of the batch.

    In training mode the states of a model are a function of its parameters, the batch and this
    noise. The model, a guide that reads the model's states, a baseline and the exact posterior
    then refer to the same network, whether or not they share the computation.

    Attributes:
        seed: seed of the random numbers.
    """

    seed: int

    @classmethod
    def new(cls) -> Noise:
        """Return noise with a seed drawn from torch's global generator."""
        return cls(int(torch.randint(2**62, ())))

    @contextmanager
    def drawn(self, device: torch.device, stream: str) -> Iterator[None]:
        """Seed torch's generators of the CPU and of ``device`` from this noise.

        On exit, the previous states of the generators are restored.

        Args:
            device: device on which random numbers are drawn.
            stream: name of a stream; the same name gives the same numbers, different names give
                independent ones.
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


@dataclass(frozen=True)
class Batch:
    """A batch of sentence pairs, padded with :data:`PAD` to the longest sentence.

    Both sides end in :data:`EOS`, which is an ordinary position: the target ``EOS`` is predicted
    and aligned, and a target token without a counterpart in the source aligns to the source
    ``EOS``.

    Attributes:
        source: source ids.
        target: target ids, the tokens to predict.
        source_mask: True where ``source`` is not padding.
        target_mask: True where ``target`` is not padding.
        source_lengths: lengths with ``EOS``; always on the CPU, so that reading them does not
            synchronise with a device.
        target_lengths: target lengths with ``EOS``, on the CPU.
        indices: 0-based position of each pair in its corpus; always on the CPU.
        noise: seed of the dropout applied to this batch, see :class:`Noise`.
        computed: cache of results shared by model and guide; None if nothing is shared. See
            :meth:`sharing`.
    """

    source: Int[Tensor, "batch source"]
    target: Int[Tensor, "batch target"]
    source_mask: Bool[Tensor, "batch source"]
    target_mask: Bool[Tensor, "batch target"]
    source_lengths: Int[Tensor, " batch"]
    target_lengths: Int[Tensor, " batch"]
    indices: Int[Tensor, " batch"]
    noise: Noise = field(default_factory=Noise.new, repr=False, compare=False)
    computed: dict[Any, Any] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def from_ids(
        cls,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        indices: Sequence[int] | None = None,
        noise: Noise | None = None,
    ) -> Batch:
        """Create a batch by padding lists of ids; each sentence must already end in ``EOS``.

        Args:
            sources: ids of each source sentence.
            targets: ids of each target sentence.
            indices: positions in the corpus; None for 0, 1, ….
            noise: dropout noise; None for a seed drawn from torch's global generator.

        Raises:
            ValueError: if the number of sources and targets differs, or a sentence is empty.
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
        """Input of the decoder: ``target`` shifted right, starting with :data:`BOS`."""
        start = self.target.new_full((len(self), 1), BOS)
        return torch.cat([start, self.target[:, :-1]], dim=1)

    @property
    def num_targets(self) -> int:
        """Number of target tokens, including ``EOS`` and excluding padding."""
        return int(self.target_lengths.sum())

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """Return the batch with ids and masks on ``device``; the rest stays on the CPU."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """Return the batch in pinned memory, for asynchronous copies to a GPU."""
        return self._map(torch.Tensor.pin_memory)

    def sharing(self) -> Batch:
        """Return the batch with a cache, so that model and guide compute shared results only once.

        Use it for one evaluation of an objective, since cached results depend on the current
        parameters. A batch that already has a cache is returned unchanged.
        """
        return self if self.computed is not None else dataclasses.replace(self, computed={})

    def with_new_noise(self) -> Batch:
        """Return the batch with new dropout noise, as needed for every optimiser step."""
        return dataclasses.replace(self, noise=Noise.new())

    def _map(self, function: Callable[[Tensor], Tensor]) -> Batch:
        return dataclasses.replace(
            self,
            source=function(self.source),
            target=function(self.target),
            source_mask=function(self.source_mask),
            target_mask=function(self.target_mask),
        )


def _pad(
    sentences: Sequence[Sequence[int]],
) -> tuple[Int[Tensor, "batch length"], Int[Tensor, " batch"]]:
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    if not bool((lengths > 0).all()):
        raise ValueError("a sentence has no ids: each needs at least EOS")
    padded = torch.full((len(sentences), int(lengths.max())), PAD)
    for row, sentence in zip(padded, sentences, strict=True):
        row[: len(sentence)] = torch.as_tensor(sentence)
    return padded, lengths


def _mask(lengths: Int[Tensor, " batch"], width: int) -> Bool[Tensor, "batch length"]:
    return torch.arange(width) < lengths.unsqueeze(1)
