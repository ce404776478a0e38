"""Recurrent decoders, with or without input feeding."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pyro_align.nn.decoder import Decoder, DecoderState, Likelihood, Memory
from pyro_align.nn.emissions import expected
from pyro_align.nn.last_position import LastPosition
from pyro_align.nn.recurrence import Cell, ForwardRecurrence, RecurrentState
from pyro_align.nn.scorers import Scorer


@dataclass(frozen=True)
class RecurrentDecoderState(DecoderState):
    """State of a recurrent decoder after a prefix.

    Attributes:
        recurrent: hidden states (and cells, for an LSTM) of every layer.
        context: expected annotation of the last position; of size zero without input feeding.
    """

    recurrent: RecurrentState
    context: Float[Tensor, "batch context"]

    def select(self, index: Int[Tensor, " row"]) -> RecurrentDecoderState:
        """Return rows by index; indices may repeat."""
        recurrent = tuple(part[:, index] for part in self.recurrent)
        return RecurrentDecoderState(self.position, recurrent, self.context[index])


@dataclass(frozen=True)
class PosteriorFeedingState(RecurrentDecoderState):
    """State of a decoder that is fed the context under the posterior.

    Attributes:
        last: the last position; None before the first token.
    """

    last: LastPosition | None = None

    def select(self, index: Int[Tensor, " row"]) -> PosteriorFeedingState:
        """Return rows by index; indices may repeat."""
        last = None if self.last is None else self.last.select(index)
        return PosteriorFeedingState(**vars(super().select(index)), last=last)


class RecurrentDecoder(Decoder):
    """Base class of recurrent decoders.

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
        super().__init__(hidden)
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

    def initial(self, memory: Memory) -> RecurrentDecoderState:
        """Compute the state before the first token from the mean annotation."""
        mean = memory.mean()
        layers = torch.tanh(self.bridge(mean)).unflatten(1, (self.layers, self.hidden))
        return RecurrentDecoderState(
            0,
            self.recurrence.initial(layers.transpose(0, 1).contiguous()),
            mean.new_zeros(len(mean), self.context_size),
        )


class PlainDecoder(RecurrentDecoder):
    """A decoder whose states depend on the target prefix only, all computed at once."""

    def _context_size(self, annotation: int) -> int:
        return 0

    def forward(
        self, embedded: Tensor, state: RecurrentDecoderState, memory: Memory, likelihood: Likelihood
    ) -> tuple[Tensor, Tensor, RecurrentDecoderState]:
        """Run all positions at once."""
        hidden, recurrent = self.recurrence(embedded, state.recurrent)
        scores = self.scores(hidden, memory)
        position = state.position + embedded.shape[1]
        return hidden, scores, RecurrentDecoderState(position, recurrent, state.context)


class InputFeedingDecoder(RecurrentDecoder):
    """A decoder that is also fed the previous *expected* context (Luong et al. 2015, section 3.3).

    The context is the expectation under the attention scores, not a sample, so that alignments
    stay independent given the target (Deng et al. 2018). A model that overrides the prior does not
    change this expectation.
    """

    def _context_size(self, annotation: int) -> int:
        return annotation

    def forward(
        self, embedded: Tensor, state: RecurrentDecoderState, memory: Memory, likelihood: Likelihood
    ) -> tuple[Tensor, Tensor, RecurrentDecoderState]:
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
        after = RecurrentDecoderState(state.position + embedded.shape[1], recurrent, context)
        return torch.cat(hiddens, 1), torch.cat(all_scores, 1), after


class PosteriorFeedingDecoder(RecurrentDecoder):
    """A decoder that is fed the previous context given the token just read.

    Posterior attention (Shankar & Sarawagi 2019): the context is the expectation under
    ``p(z_{t-1} | y_{t-1}, y_<t-1) ∝ softmax(scores) p(y_{t-1} | z_{t-1})``, so that the decoder
    reads where the last token came from. It depends on tokens alone, so that alignments stay
    independent given the target and sums over the alignment of each position exact.
    """

    def _context_size(self, annotation: int) -> int:
        return annotation

    def initial(self, memory: Memory) -> PosteriorFeedingState:
        """Compute the state before the first token; its context is zero."""
        return PosteriorFeedingState(**vars(super().initial(memory)))

    def forward(
        self, embedded: Tensor, state: PosteriorFeedingState, memory: Memory, likelihood: Likelihood
    ) -> tuple[Tensor, Tensor, PosteriorFeedingState]:
        """Run position by position, since each needs the context of the previous one."""
        hiddens, all_scores = [], []
        recurrent, context, last = state.recurrent, state.context, state.last
        for number, position in enumerate(embedded.split(1, dim=1)):
            if last is not None:
                context = last.context(memory, likelihood, number).squeeze(1)
            step = torch.cat([position, context.unsqueeze(1)], dim=-1)
            hidden, recurrent = self.recurrence(step, recurrent)
            scores = self.scores(hidden, memory)
            last = LastPosition(hidden, scores)
            hiddens.append(hidden)
            all_scores.append(scores)
        after = PosteriorFeedingState(state.position + embedded.shape[1], recurrent, context, last)
        return torch.cat(hiddens, 1), torch.cat(all_scores, 1), after
