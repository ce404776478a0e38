"""Base class of decoders: map a target prefix to decoder states ``h_t`` and attention scores.

Training runs a decoder over whole target sentences, beam search over targets of length one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pyro_align.distributions import TokenFactors, at_least_fp32, mask_logits
from pyro_align.nn.emissions import Factors
from pyro_align.nn.scorers import Scorer
from pyro_align.nn.transformer_layer import KeysValues


@dataclass(frozen=True)
class Memory:
    """Encoded source sentences.

    Attributes:
        annotations: encoder outputs, zero on padding.
        keys: keys of the attention scorer.
        values: values of the emission.
        mask: true on real positions.
        factors: factors of the emission, if precomputed for beam search.
        layers: keys and values for each layer of a decoder with soft attention.
        added: a vector that the decoder adds to each of its inputs, such as a latent variable of
            the sentence in the size of an embedding; None for none.
    """

    annotations: Float[Tensor, "batch source annotation"]
    keys: Float[Tensor, "batch source key"]
    values: Float[Tensor, "batch source value"] | TokenFactors
    mask: Bool[Tensor, "batch source"]
    factors: Factors | None = None
    layers: tuple[KeysValues, ...] = ()
    added: Float[Tensor, "batch embedding"] | None = None

    def mean(self) -> Float[Tensor, "batch annotation"]:
        """Return the mean annotation of each sentence, without padding."""
        return self.annotations.sum(1) / self.mask.sum(1, keepdim=True)

    def select(self, index: Int[Tensor, " row"]) -> Memory:
        """Return rows by index; indices may repeat."""
        return Memory(
            self.annotations[index],
            self.keys[index],
            self.values[index],
            self.mask[index],
            None if self.factors is None else self.factors[index],
            tuple(each[index] for each in self.layers),
            None if self.added is None else self.added[index],
        )


@dataclass(frozen=True)
class DecoderState(ABC):
    """Base class of states of a decoder after a prefix.

    Attributes:
        position: number of target positions processed so far.
    """

    position: int

    @abstractmethod
    def select(self, index: Int[Tensor, " row"]) -> DecoderState:
        """Return rows by index; indices may repeat."""


Likelihood = Callable[[Float[Tensor, "batch 1 hidden"], int], Float[Tensor, "batch 1 source"]]
"""Maps a decoder state and an index ``i`` to ``log p(y_i | z = s)`` of the ``i``-th token read."""


class Decoder(nn.Module, ABC):
    """Base class of decoders with attention scores.

    Args:
        hidden: size of a decoder state.

    Attributes:
        scorer: attention scorer, set by the constructor of a subclass.
    """

    scorer: Scorer

    def __init__(self, hidden: int):
        super().__init__()
        self.hidden = hidden

    def layers_memory(
        self, annotations: Float[Tensor, "batch source annotation"]
    ) -> tuple[KeysValues, ...]:
        """Compute what layers with soft attention read of the annotations, ``Memory.layers``."""
        return ()

    @abstractmethod
    def initial(self, memory: Memory) -> DecoderState:
        """Compute the state before the first token."""

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
        state: Any,
        memory: Memory,
        likelihood: Likelihood,
    ) -> tuple[
        Float[Tensor, "batch target hidden"], Float[Tensor, "batch target source"], DecoderState
    ]:
        """Return decoder states, masked attention scores and the state after the last position.

        Args:
            embedded: embeddings of the tokens to read.
            state: state before them.
            memory: encoded sources.
            likelihood: probability of each token to read if it is aligned with each source
                position, given the decoder state before it.
        """
