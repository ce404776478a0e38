"""Decoders of language models, with or without a latent vector of the sentence.

Training runs a decoder over whole sentences, sampling over one token at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pyro_align.nn.recurrence import Cell, ForwardRecurrence, RecurrentState
from pyro_align.nn.transformer import Transformer
from pyro_align.nn.transformer_layer import KeysValues


@dataclass(frozen=True)
class LanguageState:
    """State of a decoder after a prefix.

    Attributes:
        latent: latent vector of each sentence; of size zero if there is none.
        recurrent: hidden states (and cells, for an LSTM) of every layer; empty if there are none.
        window: inputs of the last positions, for decoders that read them again.
        past: keys and values of earlier positions for each layer of a Transformer.
    """

    latent: Float[Tensor, "row latent"]
    recurrent: RecurrentState = ()
    window: Float[Tensor, "row length input"] | None = None
    past: tuple[KeysValues, ...] = ()


class LanguageDecoder(nn.Module, ABC):
    """Base class of decoders ``h_t = f(y_<t, s)`` of a sentence ``y`` with latent vector ``s``.

    Args:
        hidden: size of a decoder state.
        latent: size of the latent vector; 0 for a language model without one.
    """

    def __init__(self, hidden: int, latent: int):
        super().__init__()
        self.hidden = hidden
        self.latent = latent

    @abstractmethod
    def initial(self, latent: Float[Tensor, "row latent"]) -> LanguageState:
        """Return the state before the first token."""

    @abstractmethod
    def forward(
        self, embedded: Float[Tensor, "row target embedding"], state: LanguageState
    ) -> tuple[Float[Tensor, "row target hidden"], LanguageState]:
        """Run the decoder over input embeddings, starting from a state.

        Returns:
            The decoder states, of which position ``t`` depends on the inputs up to ``t``, and the
            state after the last input.
        """


def beside(
    embedded: Float[Tensor, "row target embedding"], latent: Float[Tensor, "row latent"]
) -> Float[Tensor, "row target input"]:
    """Concatenate the latent vector of a sentence to each of its input embeddings."""
    repeated = latent.unsqueeze(1).expand(-1, embedded.shape[1], -1)
    return torch.cat([embedded, repeated], dim=-1)


LATENT_SCALE = 0.05
"""Factor of the initial weights of latent vectors: a standard normal vector is at first as small as
an embedding. Larger noise at the start slows training."""


def start_small(layer: nn.Module, latent: int) -> None:
    """Scale the initial weights of the last ``latent`` inputs of a layer by :data:`LATENT_SCALE`.

    Args:
        layer: a linear layer or a recurrent one, whose first parameter has a column for each input.
        latent: number of inputs that are a latent vector.
    """
    with torch.no_grad():
        weight = next(layer.parameters())
        weight[:, weight.shape[1] - latent :] *= LATENT_SCALE


class RecurrentLanguageDecoder(LanguageDecoder):
    """An LSTM or GRU that reads the latent vector at its start, at each step, or both.

    Bowman et al. (2016), section 2.1, compute the initial state from it; feeding it at each step
    makes it harder for the decoder to ignore.

    Args:
        cell: ``lstm`` or ``gru``.
        embedding: size of a token embedding.
        hidden: number of units.
        layers: number of layers.
        dropout: rate between layers.
        latent: size of the latent vector; 0 for a language model without one.
        at_start: compute the initial state from the latent vector; otherwise it is zero.
        at_steps: append the latent vector to each input.
    """

    def __init__(
        self,
        cell: Cell,
        embedding: int,
        hidden: int,
        layers: int,
        dropout: float,
        *,
        latent: int = 0,
        at_start: bool = True,
        at_steps: bool = True,
    ):
        super().__init__(hidden, latent)
        self.layers = layers
        self.at_steps = at_steps
        read = latent if at_steps else 0
        self.bridge = nn.Linear(latent, layers * hidden) if at_start and latent else None
        self.recurrence = ForwardRecurrence(cell, embedding + read, hidden, layers, dropout)
        start_small(self.recurrence.layers[0], read)
        if self.bridge is not None:
            start_small(self.bridge, latent)

    def initial(self, latent: Tensor) -> LanguageState:
        """Return the state before the first token."""
        if self.bridge is None:
            hidden = latent.new_zeros(self.layers, len(latent), self.hidden)
        else:
            units = torch.tanh(self.bridge(latent)).unflatten(1, (self.layers, self.hidden))
            hidden = units.transpose(0, 1).contiguous()
        return LanguageState(latent, self.recurrence.initial(hidden))

    def forward(self, embedded: Tensor, state: LanguageState) -> tuple[Tensor, LanguageState]:
        """Run all positions at once."""
        inputs = beside(embedded, state.latent) if self.at_steps else embedded
        hidden, recurrent = self.recurrence(inputs, state.recurrent)
        return hidden, LanguageState(state.latent, recurrent)


class TransformerLanguageDecoder(LanguageDecoder):
    """A causal Transformer with sinusoidal position embeddings; it reads the latent vector at each
    step.

    Args:
        embedding: size of a token embedding.
        hidden: number of units, a multiple of ``2 * heads``.
        layers: number of layers.
        heads: number of attention heads.
        dropout: rate within layers.
        latent: size of the latent vector; 0 for a language model without one.

    Raises:
        ConfigError: if ``hidden`` is not a multiple of ``2 * heads``.
    """

    def __init__(
        self,
        embedding: int,
        hidden: int,
        layers: int,
        heads: int,
        dropout: float,
        *,
        latent: int = 0,
    ):
        super().__init__(hidden, latent)
        self.transformer = Transformer(embedding + latent, hidden, layers, heads, dropout)
        start_small(self.transformer.read, latent)

    def initial(self, latent: Tensor) -> LanguageState:
        """Return the state before the first token, without earlier positions."""
        return LanguageState(latent)

    def forward(self, embedded: Tensor, state: LanguageState) -> tuple[Tensor, LanguageState]:
        """Run all positions at once, each attending to itself and those before."""
        inputs = beside(embedded, state.latent)
        hidden, past = self.transformer.after(state.past, inputs)
        return hidden, LanguageState(state.latent, past=past)
