"""Decoders of language models that read a window of the last inputs again at each step."""

from __future__ import annotations

from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pyro_align.nn.convolution import DilatedConvolutions
from pyro_align.nn.language import LanguageDecoder, LanguageState, beside, start_small


class WindowDecoder(LanguageDecoder):
    """Base class of decoders without a recurrent state; the latent vector is part of each input.

    Args:
        embedding: size of a token embedding.
        hidden: number of units.
        latent: size of the latent vector; 0 for a language model without one.
        reach: number of inputs that a decoder state depends on; None for all.
    """

    def __init__(self, embedding: int, hidden: int, latent: int, reach: int | None):
        super().__init__(hidden, latent)
        self.reach = reach
        self.read = nn.Linear(embedding + latent, hidden)
        start_small(self.read, latent)

    def initial(self, latent: Tensor) -> LanguageState:
        """Return the state before the first token, with an empty window."""
        return LanguageState(latent, window=latent.new_zeros(len(latent), 0, self.hidden))

    def forward(self, embedded: Tensor, state: LanguageState) -> tuple[Tensor, LanguageState]:
        """Run all positions at once, after the window."""
        assert state.window is not None
        inputs = torch.cat([state.window, self.read(beside(embedded, state.latent))], 1)
        hidden = self.decoded(inputs)[:, -embedded.shape[1] :]
        first = 0 if self.reach is None else max(0, inputs.shape[1] - self.reach + 1)
        return hidden, LanguageState(state.latent, window=inputs[:, first:])

    @abstractmethod
    def decoded(
        self, inputs: Float[Tensor, "row length hidden"]
    ) -> Float[Tensor, "row length hidden"]:
        """Compute decoder states, each from the inputs up to its position."""


class ConvolutionalLanguageDecoder(WindowDecoder):
    """Causal dilated convolutions, whose states depend on the last few inputs only.

    The shorter their reach, ``1 + (kernel − 1) (2^layers − 1)`` inputs, the more has to come from
    the latent vector (Yang et al. 2017).

    Args:
        embedding: size of a token embedding.
        hidden: number of units.
        layers: number of layers.
        kernel: width of a convolution.
        dropout: rate within layers.
        latent: size of the latent vector; 0 for a language model without one.
    """

    def __init__(
        self,
        embedding: int,
        hidden: int,
        layers: int,
        kernel: int,
        dropout: float,
        *,
        latent: int = 0,
    ):
        convolutions = DilatedConvolutions(hidden, layers, kernel, dropout, is_causal=True)
        super().__init__(embedding, hidden, latent, convolutions.reach)
        self.convolutions = convolutions

    def decoded(self, inputs: Tensor) -> Tensor:
        """Run the convolutions."""
        states: Tensor = self.convolutions(inputs)
        return states
