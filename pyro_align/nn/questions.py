"""Encoders of questions: map the words of a question to one vector."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pyro_align.errors import ConfigError
from pyro_align.nn.recurrence import BidirectionalRecurrence, Cell

MAX_WORDS = 512
"""Largest number of words of a question that a Transformer reads."""


class QuestionEncoder(nn.Module, ABC):
    """Base class of encoders of questions.

    Args:
        hidden: size of an encoded question.
    """

    def __init__(self, hidden: int):
        super().__init__()
        self.hidden = hidden

    @abstractmethod
    def forward(
        self,
        embedded: Float[Tensor, "batch word embedding"],
        lengths: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch hidden"]:
        """Encode questions, independently of padding.

        Args:
            embedded: word embeddings.
            lengths: numbers of words, on the CPU.
        """


class RecurrentQuestionEncoder(QuestionEncoder):
    """The last states of a bidirectional LSTM or GRU, one of each direction.

    Args:
        cell: ``lstm`` or ``gru``.
        embedding: size of a word embedding.
        hidden: size of an encoded question, an even number.
        layers: number of layers.
        dropout: rate between layers.

    Raises:
        ConfigError: if ``hidden`` is odd.
    """

    def __init__(self, cell: Cell, embedding: int, hidden: int, layers: int, dropout: float):
        if hidden % 2:
            raise ConfigError(
                f"an encoded question has one half for each direction, so network.hidden must be "
                f"even, got {hidden}"
            )
        super().__init__(hidden)
        self.recurrence = BidirectionalRecurrence(cell, embedding, hidden // 2, layers, dropout)

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Encode questions; ``lengths`` must be on the CPU."""
        forward, backward = self.recurrence(embedded, lengths).chunk(2, -1)
        last = (lengths - 1).to(embedded.device, non_blocking=True).view(-1, 1, 1)
        ends = forward.gather(1, last.expand(-1, 1, forward.shape[-1])).squeeze(1)
        return torch.cat([ends, backward[:, 0]], -1)


class TransformerQuestionEncoder(QuestionEncoder):
    """The mean output of a pre-norm Transformer encoder (Vaswani et al. 2017).

    Args:
        embedding: size of a word embedding.
        hidden: size of an encoded question, a multiple of ``heads``.
        layers: number of layers.
        heads: number of attention heads.
        dropout: rate within layers.

    Raises:
        ConfigError: if ``hidden`` is not a multiple of ``heads``.
    """

    def __init__(self, embedding: int, hidden: int, layers: int, heads: int, dropout: float):
        if hidden % heads:
            raise ConfigError(
                f"network.hidden must be a multiple of network.heads, got {hidden} and {heads}"
            )
        super().__init__(hidden)
        self.words = nn.Linear(embedding, hidden)
        self.places = nn.Parameter(0.1 * torch.randn(MAX_WORDS, hidden))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                hidden, heads, 2 * hidden, dropout, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(hidden)

    def forward(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Encode questions of at most :data:`MAX_WORDS` words."""
        width = embedded.shape[1]
        mask = (torch.arange(width) < lengths.unsqueeze(1)).to(embedded.device, non_blocking=True)
        units = self.words(embedded) + self.places[:width]
        for layer in self.layers:
            units = layer(units, src_key_padding_mask=~mask)
        kept = self.norm(units) * mask.unsqueeze(-1)
        return kept.sum(1) / mask.sum(1, keepdim=True)
