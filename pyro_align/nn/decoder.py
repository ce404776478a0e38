"""Decoders: map a target prefix to decoder states ``h_t`` and attention scores.

Training runs a decoder over whole target sentences, beam search over targets of length one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pyro_align.distributions import at_least_fp32, mask_logits
from pyro_align.nn import Scorer, expected
from pyro_align.nn.recurrence import Cell, ForwardRecurrence, RecurrentState


@dataclass(frozen=True)
class Memory:
    """Encoded source sentences.

    Attributes:
        annotations: encoder outputs, zero on padding.
        keys: keys of the attention scorer.
        values: values of the emission.
        mask: true on real positions.
        factors: factors of the emission, if precomputed for beam search.
    """

    annotations: Float[Tensor, "batch source annotation"]
    keys: Float[Tensor, "batch source key"]
    values: Float[Tensor, "batch source value"]
    mask: Bool[Tensor, "batch source"]
    factors: Float[Tensor, "batch source vocabulary"] | None = None

    def select(self, index: Int[Tensor, " row"]) -> Memory:
        """Return rows by index; indices may repeat."""
        return Memory(
            self.annotations[index],
            self.keys[index],
            self.values[index],
            self.mask[index],
            None if self.factors is None else self.factors[index],
        )


@dataclass(frozen=True)
class DecoderState:
    """State of a decoder after a prefix.

    Attributes:
        recurrent: hidden states (and cells, for an LSTM) of every layer.
        context: expected annotation of the last position; of size zero without input feeding.
        position: number of target positions processed so far.
    """

    recurrent: RecurrentState
    context: Float[Tensor, "batch context"]
    position: int = 0

    def select(self, index: Int[Tensor, " row"]) -> DecoderState:
        """Return rows by index; indices may repeat."""
        recurrent = tuple(part[:, index] for part in self.recurrent)
        return DecoderState(recurrent, self.context[index], self.position)


class Decoder(nn.Module, ABC):
    """Base class of recurrent decoders with attention scores.

    Args:
        cell: ``lstm`` or ``gru``.
        embedding: size of a target embedding.
        hidden: number of units.
        layers: number of layers.
        annotation: size of a source annotation.
        scorer: attention scorer.
        dropout: rate between layers.
    """

    def __init__(
        self,
        cell: Cell,
        embedding: int,
        hidden: int,
        layers: int,
        annotation: int,
        scorer: Scorer,
        dropout: float,
    ):
        super().__init__()
        self.hidden = hidden
        self.layers = layers
        self.context_size = self._context_size(annotation)
        self.bridge = nn.Linear(annotation, layers * hidden)
        self.recurrence = ForwardRecurrence(
            cell, embedding + self.context_size, hidden, layers, dropout
        )
        self.scorer = scorer

    @abstractmethod
    def _context_size(self, annotation: int) -> int:
        """Return the size of the context that is fed to the decoder."""

    def initial(self, memory: Memory) -> DecoderState:
        """Compute the state before the first token from the mean annotation."""
        count = memory.mask.sum(1, keepdim=True)
        mean = memory.annotations.sum(1) / count
        layers = torch.tanh(self.bridge(mean)).unflatten(1, (self.layers, self.hidden))
        return DecoderState(
            self.recurrence.initial(layers.transpose(0, 1).contiguous()),
            mean.new_zeros(len(mean), self.context_size),
        )

    def scores(
        self, hidden: Float[Tensor, "batch target hidden"], memory: Memory
    ) -> Float[Tensor, "batch target source"]:
        """Compute attention scores in fp32 or better, masked on source padding."""
        scores = at_least_fp32(self.scorer(hidden, memory.keys))
        return mask_logits(scores, memory.mask.unsqueeze(1))

    @abstractmethod
    def forward(
        self,
        embedded: Float[Tensor, "batch target embedding"],
        state: DecoderState,
        memory: Memory,
    ) -> tuple[
        Float[Tensor, "batch target hidden"], Float[Tensor, "batch target source"], DecoderState
    ]:
        """Return decoder states, masked attention scores and the state after the last position."""


class PlainDecoder(Decoder):
    """A decoder whose states depend on the target prefix only, all computed at once."""

    def _context_size(self, annotation: int) -> int:
        return 0

    def forward(
        self, embedded: Tensor, state: DecoderState, memory: Memory
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """Run all positions at once."""
        hidden, recurrent = self.recurrence(embedded, state.recurrent)
        scores = self.scores(hidden, memory)
        position = state.position + embedded.shape[1]
        return hidden, scores, DecoderState(recurrent, state.context, position)


class InputFeedingDecoder(Decoder):
    """A decoder that is also fed the previous *expected* context (Luong et al. 2015, section 3.3).

    The context is the expectation under the attention scores, not a sample, so that alignments
    stay independent given the target (Deng et al. 2018). A model that overrides the prior does not
    change this expectation.
    """

    def _context_size(self, annotation: int) -> int:
        return annotation

    def forward(
        self, embedded: Tensor, state: DecoderState, memory: Memory
    ) -> tuple[Tensor, Tensor, DecoderState]:
        """Run position by position, since each needs the context of the previous one."""
        hiddens, all_scores = [], []
        recurrent, context = state.recurrent, state.context
        for position in embedded.split(1, dim=1):
            step = torch.cat([position, context.unsqueeze(1)], dim=-1)
            hidden, recurrent = self.recurrence(step, recurrent)
            scores = self.scores(hidden, memory)
            context = expected(memory.annotations, scores.softmax(-1)).squeeze(1)
            hiddens.append(hidden)
            all_scores.append(scores)
        after = DecoderState(recurrent, context, state.position + embedded.shape[1])
        return torch.cat(hiddens, 1), torch.cat(all_scores, 1), after
