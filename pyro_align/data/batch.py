"""`Batch`: what models, guides and objectives read of a batch; and batches of sentence pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pyro_align.data.noise import Noise

PAD, UNK, BOS, EOS = 0, 1, 2, 3
"""Ids of the special tokens, the same in every vocabulary of this package."""

Kind = TypeVar("Kind", bound="Batch")
"""A class of batches."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Base class of batches: all that code outside a network reads of one.

    A subclass adds the source, such as token ids or the features of image regions, as a tensor
    field that its network reads. Rows are called sentences and may be anything with a source of
    several positions and a target of one or more, such as an image with a question and its answer.

    Attributes:
        target: target ids, the tokens to predict.
        source_mask: True where the source is not padding; without columns if there is no source.
        target_mask: True where ``target`` is not padding.
        source_lengths: numbers of source positions; always on the CPU, so that reading them does
            not synchronise with a device.
        target_lengths: numbers of target positions, on the CPU.
        indices: 0-based position of each row in its corpus; always on the CPU.
        noise: seed of the dropout applied to this batch, see :class:`Noise`.
        links: True where a source position is linked to a target position, in training with
            :func:`~pyro_align.inference.guided_alignment`; None without links.
        computed: cache of results shared by model and guide; None if nothing is shared. See
            :meth:`sharing`.
    """

    on_cpu: ClassVar[frozenset[str]] = frozenset({"source_lengths", "target_lengths", "indices"})
    """Names of the tensors that :meth:`to` does not move."""

    target: Int[Tensor, "batch target"]
    source_mask: Bool[Tensor, "batch source"]
    target_mask: Bool[Tensor, "batch target"]
    source_lengths: Int[Tensor, " batch"]
    target_lengths: Int[Tensor, " batch"]
    indices: Int[Tensor, " batch"]
    noise: Noise = field(default_factory=Noise.new, repr=False, compare=False)
    links: Bool[Tensor, "batch target source"] | None = None
    computed: dict[Any, Any] | None = field(default=None, repr=False, compare=False)

    def __len__(self) -> int:
        return self.target.shape[0]

    @property
    def num_targets(self) -> int:
        """Number of target tokens, excluding padding."""
        return int(self.target_lengths.sum())

    def to(self: Kind, device: torch.device | str, non_blocking: bool = False) -> Kind:
        """Return the batch with its tensors on ``device``, except those of :attr:`on_cpu`."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self: Kind) -> Kind:
        """Return the batch in pinned memory, for asynchronous copies to a GPU."""
        return self._map(torch.Tensor.pin_memory)

    def sharing(self: Kind) -> Kind:
        """Return the batch with a cache, so that model and guide compute shared results only once.

        Use it for one evaluation of an objective, since cached results depend on the current
        parameters. A batch that already has a cache is returned unchanged.
        """
        return self if self.computed is not None else dataclasses.replace(self, computed={})

    def with_new_noise(self: Kind) -> Kind:
        """Return the batch with new dropout noise, as needed for every optimiser step."""
        return dataclasses.replace(self, noise=Noise.new())

    def repeated(self: Kind, times: int) -> Kind:
        """Repeat every row ``times`` times in succession, for independent samples in one call."""
        rows: dict[str, Any] = {
            each.name: value.repeat_interleave(times, dim=0)
            for each in dataclasses.fields(self)
            if isinstance(value := getattr(self, each.name), Tensor)
        }
        return dataclasses.replace(self, computed=None, **rows)

    def _map(self: Kind, function: Callable[[Tensor], Tensor]) -> Kind:
        moved: dict[str, Any] = {
            each.name: function(value)
            for each in dataclasses.fields(self)
            if each.name not in self.on_cpu
            and isinstance(value := getattr(self, each.name), Tensor)
        }
        return dataclasses.replace(self, **moved)


@dataclass(frozen=True, kw_only=True)
class TextBatch(Batch):
    """A batch of sentence pairs, padded with :data:`PAD` to the longest sentence.

    Both sides end in :data:`EOS`, which is an ordinary position: the target ``EOS`` is predicted
    and aligned, and a target token without a counterpart in the source aligns to the source
    ``EOS``. Lengths include it.

    Attributes:
        source: source ids.
    """

    source: Int[Tensor, "batch source"]

    @classmethod
    def from_ids(
        cls,
        sources: Sequence[Sequence[int]],
        targets: Sequence[Sequence[int]],
        indices: Sequence[int] | None = None,
        noise: Noise | None = None,
    ) -> TextBatch:
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
        source, source_lengths = padded_ids(sources)
        target, target_lengths = padded_ids(targets)
        return cls(
            source=source,
            target=target,
            source_mask=length_mask(source_lengths),
            target_mask=length_mask(target_lengths),
            source_lengths=source_lengths,
            target_lengths=target_lengths,
            indices=torch.as_tensor(range(len(sources)) if indices is None else indices),
            noise=Noise.new() if noise is None else noise,
        )

    @property
    def target_input(self) -> Int[Tensor, "batch target"]:
        """Input of the decoder: ``target`` shifted right, starting with :data:`BOS`."""
        return shifted_right(self.target)


@dataclass(frozen=True, kw_only=True)
class SentenceBatch(Batch):
    """A batch of sentences without a source, padded with :data:`PAD` to the longest sentence.

    Each sentence ends in :data:`EOS`, which is predicted like a word.
    """

    @classmethod
    def from_ids(
        cls,
        sentences: Sequence[Sequence[int]],
        indices: Sequence[int] | None = None,
        noise: Noise | None = None,
    ) -> SentenceBatch:
        """Create a batch by padding lists of ids; each sentence must already end in ``EOS``.

        Args:
            sentences: ids of each sentence.
            indices: positions in the corpus; None for 0, 1, ….
            noise: dropout noise; None for a seed drawn from torch's global generator.

        Raises:
            ValueError: if there are no sentences, or one is empty.
        """
        if not sentences:
            raise ValueError("a batch needs at least one sentence")
        target, lengths = padded_ids(sentences)
        return cls(
            target=target,
            source_mask=torch.zeros(len(sentences), 0, dtype=torch.bool),
            target_mask=length_mask(lengths),
            source_lengths=torch.zeros_like(lengths),
            target_lengths=lengths,
            indices=torch.as_tensor(range(len(sentences)) if indices is None else indices),
            noise=Noise.new() if noise is None else noise,
        )

    @property
    def target_input(self) -> Int[Tensor, "batch target"]:
        """Input of the decoder: ``target`` shifted right, starting with :data:`BOS`."""
        return shifted_right(self.target)


def shifted_right(target: Int[Tensor, "batch target"]) -> Int[Tensor, "batch target"]:
    """Return the inputs of a decoder that predicts ``target``, starting with :data:`BOS`."""
    start = target.new_full((len(target), 1), BOS)
    return torch.cat([start, target[:, :-1]], dim=1)


def padded_ids(
    sentences: Sequence[Sequence[int]],
) -> tuple[Int[Tensor, "batch length"], Int[Tensor, " batch"]]:
    """Pad lists of ids with :data:`PAD` to the longest; return the ids and the lengths.

    Raises:
        ValueError: if a list is empty.
    """
    lengths = torch.tensor([len(sentence) for sentence in sentences])
    if not bool((lengths > 0).all()):
        raise ValueError("a sentence has no ids: each needs at least EOS")
    padded = torch.full((len(sentences), int(lengths.max())), PAD)
    for row, sentence in zip(padded, sentences, strict=True):
        row[: len(sentence)] = torch.as_tensor(sentence)
    return padded, lengths


def length_mask(lengths: Int[Tensor, " batch"]) -> Bool[Tensor, "batch length"]:
    """Return a mask that is true at the first ``lengths[i]`` positions of row ``i``."""
    return torch.arange(int(lengths.max())) < lengths.unsqueeze(1)
