"""Base classes of networks and what they compute: queries, a memory and attention scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pyro_align.nn.decoder import DecoderState, Memory
from pyro_align.nn.emissions import Emission
from pyro_align.nn.recurrence import Cell


@dataclass(frozen=True)
class States:
    """Decoder states and attention scores, shared by model, guide and baseline.

    Several draws of a latent variable that the decoder reads are dimensions on the left.

    Attributes:
        memory: encoded sources.
        hidden: decoder states ``h_t``, the queries of the attention, which depend on ``y_<t``.
        scores: attention scores, masked on padding. A model's ``prior`` is computed from them.
        positions: 0-based target position of each state.
        inputs: tokens that the decoder read, ``y_{t-1}``.
        log_weights: ``log p(z_t | y_<t)`` where it depends on earlier alignments and has been
            computed, see ``AlignmentModel.predict``; otherwise None.
    """

    memory: Memory
    hidden: Float[Tensor, "*draws batch target hidden"]
    scores: Float[Tensor, "*draws batch target source"]
    positions: Int[Tensor, "#batch #target"]
    inputs: Int[Tensor, "*draws batch target"]
    log_weights: Float[Tensor, "batch target source"] | None = None

    def select(self, index: Int[Tensor, " row"]) -> States:
        """Return rows by index; indices may repeat. All rows must have the same positions."""
        return replace(
            self,
            memory=self.memory.select(index),
            hidden=self.hidden[index],
            scores=self.scores[index],
            inputs=self.inputs[index],
            log_weights=None if self.log_weights is None else self.log_weights[index],
        )


class Network(nn.Module, ABC):
    """Base class of networks, the only place that reads token ids or other inputs of a batch.

    Models, guides and objectives work with any subclass. Its constructor sets the attributes.

    Attributes:
        feature_sizes: sizes of a source and of a target feature, see :meth:`features`.
        hidden_size: size of a decoder state.
        annotation_size: size of a source annotation, a row of the memory.
        emission: maps decoder states and contexts to token distributions.
        cell: recurrent cell of guides that have a recurrent network.
        dropout_rate: rate of dropout of guides that are given none.
    """

    feature_sizes: tuple[int, int]
    hidden_size: int
    annotation_size: int
    emission: Emission
    cell: Cell = "lstm"
    dropout_rate: float = 0.0

    @abstractmethod
    def forward(self, batch: Any) -> States:
        """Compute states and scores of every target position of a batch.

        Args:
            batch: a :class:`~pyro_align.data.batch.Batch` of the kind that the network reads.
        """

    @abstractmethod
    def features(
        self, batch: Any
    ) -> tuple[Float[Tensor, "batch source f"], Float[Tensor, "batch target g"]]:
        """Return features of each source and target position, for guides and baselines.

        A target feature may depend on its own token, unlike a decoder state.
        """

    @abstractmethod
    def new_features(self) -> nn.Module:
        """Create a module that computes features of the same sizes with separate weights."""


class AutoregressiveNetwork(Network):
    """Base class of networks that can decode step by step, as beam search needs."""

    @abstractmethod
    def encode(
        self,
        source: Int[Tensor, "batch source"],
        mask: Bool[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
    ) -> Memory:
        """Encode source sentences; ``lengths`` must be on the CPU."""

    @abstractmethod
    def initial(self, memory: Memory) -> DecoderState:
        """Compute the state of the decoder before the first token."""

    @abstractmethod
    def decode(
        self, tokens: Int[Tensor, "batch target"], state: DecoderState, memory: Memory
    ) -> tuple[States, DecoderState]:
        """Run the decoder over target tokens, starting from a state.

        Returns:
            The states, of which position ``t`` depends on ``tokens[:, : t + 1]`` and predicts the
            next token; and the decoder state after the last token.
        """

    def follow(self, batch: Any, memory: Memory) -> States:
        """Compute states and scores of every target position under teacher forcing.

        Args:
            batch: the batch, of which only the targets are read.
            memory: its encoded sources.
        """
        states, _ = self.decode(batch.target_input, self.initial(memory), memory)
        return states
