"""Encoders: map source embeddings to annotations."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor, nn

from pyro_align.nn.recurrence import BidirectionalRecurrence, Cell


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
