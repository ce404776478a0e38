"""Encoders: map source embeddings to annotations."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pyro_align.nn.positions import Positions
from pyro_align.nn.recurrence import BidirectionalRecurrence, Cell
from pyro_align.nn.transformer import Transformer


class Encoder(nn.Module, ABC):
    """Base class of encoders.

    Args:
        annotation_size: size of a source annotation.
    """

    def __init__(self, annotation_size: int):
        super().__init__()
        self.annotation_size = annotation_size

    @abstractmethod
    def forward(
        self,
        embedded: Float[Tensor, "batch source embedding"],
        lengths: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch source annotation"]:
        """Compute annotations, zero on padding and independent of it.

        Args:
            embedded: source embeddings.
            lengths: numbers of real source positions, on the CPU.
        """


class RecurrentEncoder(Encoder):
    """A bidirectional LSTM or GRU (Bahdanau et al. 2015, section 3.2).

    Args:
        cell: ``lstm`` or ``gru``.
        embedding: size of a source embedding.
        hidden: number of units per direction.
        layers: number of layers.
        dropout: rate between layers.
    """

    def __init__(self, cell: Cell, embedding: int, hidden: int, layers: int, dropout: float):
        super().__init__(2 * hidden)
        self.recurrence = BidirectionalRecurrence(cell, embedding, hidden, layers, dropout)

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Compute annotations, zero on padding; ``lengths`` must be on the CPU."""
        outputs: Tensor = self.recurrence(embedded, lengths)
        return outputs


class TransformerEncoder(Encoder):
    """A Transformer encoder (Vaswani et al. 2017, pre-norm).

    Args:
        embedding: size of an embedding.
        size: number of units, a multiple of ``2 * heads``.
        layers: number of layers.
        heads: number of attention heads.
        dropout: rate within layers.
        feedforward: number of units between feed-forward layers; by default ``4 * size``.
        positions: kind of position embeddings, see :class:`~pyro_align.nn.Transformer`.

    Raises:
        ConfigError: if ``size`` is not a multiple of ``2 * heads``.
    """

    def __init__(
        self,
        embedding: int,
        size: int,
        layers: int,
        heads: int,
        dropout: float,
        *,
        feedforward: int | None = None,
        positions: Positions = "sinusoidal",
    ):
        super().__init__(size)
        self.transformer = Transformer(
            embedding,
            size,
            layers,
            heads,
            dropout,
            feedforward=feedforward,
            positions=positions,
        )

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Compute annotations, zero on padding; ``lengths`` must be on the CPU."""
        mask = torch.arange(embedded.shape[1]) < lengths.unsqueeze(1)
        mask = mask.to(embedded.device, non_blocking=True)
        units = self.transformer(embedded, mask[:, None, None])
        annotations: Tensor = units * mask.unsqueeze(-1)
        return annotations
