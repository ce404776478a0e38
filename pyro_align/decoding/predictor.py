"""Next-token distributions of unfinished hypotheses: what a beam search needs of a model."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from pyro_align.errors import IncompatibleError
from pyro_align.models import AlignmentModel
from pyro_align.networks import AutoregressiveNetwork, States
from pyro_align.nn import DecoderState, Memory


@dataclass(frozen=True)
class Rows:
    """Unfinished hypotheses, one per row, grouped by sentence and sorted best first.

    Attributes:
        sentence: sentence index of each row.
        rank: rank of each row within its sentence.
        present: sentences that have rows.
    """

    sentence: Int[Tensor, " row"]
    rank: Int[Tensor, " row"]
    present: Int[Tensor, " present"]

    def grouped(self, values: Num[Tensor, "row 1 *shape"]) -> Num[Tensor, "present rank *shape"]:
        """Arrange values of the rows by sentence, with zeros where a sentence has fewer rows."""
        shape = self._shape
        if self._is_full:
            return values.reshape(*shape, *values.shape[2:])
        grid = values.new_zeros(*shape, *values.shape[2:])
        grid[self._slot, self.rank] = values[:, 0]
        return grid

    def ungrouped(
        self, values: Float[Tensor, "present rank *shape"]
    ) -> Float[Tensor, "row *shape"]:
        """Return the values of each row; the inverse of :meth:`grouped`."""
        return values.flatten(0, 1) if self._is_full else values[self._slot, self.rank]

    @cached_property
    def _shape(self) -> tuple[int, int]:
        return len(self.present), int(self.rank.max()) + 1

    @cached_property
    def _is_full(self) -> bool:
        """Whether all sentences have equally many rows."""
        return len(self.rank) == math.prod(self._shape)

    @cached_property
    def _slot(self) -> Int[Tensor, " row"]:
        return torch.searchsorted(self.present, self.sentence)


State = TypeVar("State")
"""What a predictor has computed of the hypotheses of all rows."""


class Predictor(ABC, Generic[State]):
    """Predicts the next token of hypotheses, one token after the other."""

    @property
    @abstractmethod
    def models(self) -> list[Any]:
        """The models that it computes with."""

    @abstractmethod
    def start(
        self,
        source: Int[Tensor, "sentence source"],
        mask: Bool[Tensor, "sentence source"],
        lengths: Int[Tensor, " sentence"],
    ) -> State:
        """Encode sources, one hypothesis per sentence; ``lengths`` must be on the CPU."""

    @abstractmethod
    def step(
        self, state: State, rows: Rows, tokens: Int[Tensor, "row 1"], top_k: int | None
    ) -> tuple[Float[Tensor, "row vocabulary"], State]:
        """Read the last token of each row and predict the next one.

        Args:
            state: state before the last tokens.
            rows: the rows.
            tokens: the last token of each row.
            top_k: see :meth:`~pyro_align.models.AlignmentModel.next_token`.

        Returns:
            Log probabilities of the next token, and the state for :meth:`extend`.
        """

    @abstractmethod
    def extend(
        self, state: State, old: Rows, new: Rows, parent: Int[Tensor, " new"], tokens: Tensor
    ) -> State:
        """Keep the rows that are continued.

        Args:
            state: from :meth:`step`.
            old: its rows.
            new: the new rows.
            parent: old row of each new row.
            tokens: the token that each new row was continued with, ``(new, 1)``.
        """


@dataclass(frozen=True)
class Prefixes:
    """What one model has computed of the hypotheses.

    Attributes:
        decoder: decoder state of each row.
        memory: encoded source of each row.
        sources: encoded sources of the sentences that have rows, for the emission; hypotheses of a
            sentence share one.
        past: for each row what its tokens say about the last alignment, if the next one depends on
            it: see :meth:`AlignmentModel.update`.
        states: decoder states of the last step.
    """

    decoder: DecoderState
    memory: Memory
    sources: Memory
    past: Float[Tensor, "row source"] | None = None
    states: States | None = None


class ModelPredictor(Predictor[Prefixes]):
    """Predicts with one model.

    Args:
        model: the model.

    Raises:
        IncompatibleError: if the model's networks cannot decode step by step.
    """

    def __init__(self, model: AlignmentModel):
        if not isinstance(model.networks, AutoregressiveNetwork):
            raise IncompatibleError(
                f"beam search decodes token by token, which {type(model.networks).__name__} "
                f"cannot: use networks that inherit from AutoregressiveNetwork"
            )
        self.model = model
        self.networks: AutoregressiveNetwork = model.networks

    @property
    def models(self) -> list[Any]:
        """The model."""
        return [self.model]

    def encode(self, source: Tensor, mask: Tensor, lengths: Tensor) -> Memory:
        """Encode the sources, as the model does."""
        return self.model.encode(source, mask, lengths)

    def start(self, source: Tensor, mask: Tensor, lengths: Tensor) -> Prefixes:
        """Encode the sources."""
        memory = self.encode(source, mask, lengths)
        factors = self.networks.emission.factors(memory.values)
        read_by_emission = replace(memory, factors=factors, layers=())
        return Prefixes(self.networks.initial(memory), memory, read_by_emission)

    def step(
        self, state: Prefixes, rows: Rows, tokens: Tensor, top_k: int | None
    ) -> tuple[Tensor, Prefixes]:
        """Run the decoder for one token.

        The hypotheses of a sentence are passed to the model as target positions, so that everything
        that depends on the source only is computed once for all of them.
        """
        states, decoder = self.networks.decode(tokens, state.decoder, state.memory)
        states = self.model.predict(states, state.past)
        weights = states.log_weights
        grid = replace(
            states,
            memory=state.sources,
            hidden=rows.grouped(states.hidden),
            scores=rows.grouped(states.scores),
            inputs=rows.grouped(states.inputs),
            log_weights=None if weights is None else rows.grouped(weights),
        )
        log_probs: Tensor = self.model.next_token(grid, top_k)
        return rows.ungrouped(log_probs), replace(state, decoder=decoder, states=states)

    def extend(
        self, state: Prefixes, old: Rows, new: Rows, parent: Tensor, tokens: Tensor
    ) -> Prefixes:
        """Select the rows, and update what is known about their last alignments."""
        assert state.states is not None
        # Rows of a sentence share the source, so that often nothing needs to be copied.
        same = torch.equal(new.sentence, old.sentence)
        stays = len(new.present) == len(old.present)
        return Prefixes(
            decoder=state.decoder.select(parent),
            memory=state.memory if same else state.memory.select(parent),
            sources=state.sources
            if stays
            else state.sources.select(torch.searchsorted(old.present, new.present)),
            past=None
            if state.states.log_weights is None
            else self.model.update(state.states.select(parent), tokens),
        )
