"""An emission that generates a token or copies the aligned source symbol."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from pyro_align.distributions import CopyMixture
from pyro_align.nn.emissions import Emission


class CopyEmission(Emission):
    """``p(y | z, h) = g p_gen(y | m_z, h) + (1 − g) [y = x_z]``, ``g = sigmoid(w·h + u·m_z + b)``.

    For transduction between related alphabets, such as inflection, where most target characters
    are those of the source (the mixture of See et al. 2017, with one aligned position in place of
    attention weights). A source symbol without a counterpart in the target vocabulary is never
    copied; one that is not in the source vocabulary is copied as the unknown target symbol. It is a
    mixture given any alignment: sums over alignments and expectations under attention weights are
    those of its parts, and with a :class:`ProductEmission` a sum over all alignments costs one more
    matrix product.

    The value of a source position has a column for each token of the vocabulary, so that the
    vocabulary should be small, as one of characters is.

    Args:
        generator: the emission ``p_gen``, whose values are vectors.
        annotation: size of a source annotation, as of the generator.
        hidden: size of a decoder state, as of the generator.
        copies: for each source id the target id of the same symbol; negative if there is none.
    """

    def __init__(
        self,
        generator: Emission,
        annotation: int,
        hidden: int,
        copies: Int[Tensor, " source_vocabulary"],
    ):
        super().__init__()
        self.generator = generator
        self.weight = generator.weight
        self.annotation = annotation
        self.from_hidden = nn.Linear(hidden, 1)
        self.from_annotation = nn.Linear(annotation, 1, bias=False)
        self.copies: Tensor
        self.register_buffer("copies", copies)

    def annotate(
        self,
        annotations: Float[Tensor, "batch source annotation"],
        source: Int[Tensor, "batch source"],
    ) -> Float[Tensor, "batch source more"]:
        """Append the token that each position would copy, as a one-hot vector."""
        tokens = one_hot(self.copies[source] + 1, len(self.weight) + 1)[..., 1:]
        return torch.cat([annotations, tokens.to(annotations.dtype)], dim=-1)

    def values(
        self, annotations: Float[Tensor, "batch source more"]
    ) -> Float[Tensor, "batch source value"]:
        """Compute the generator's values, the logits of the gate, and the tokens to copy.

        Args:
            annotations: from :meth:`annotate`.
        """
        read, tokens = annotations[..., : self.annotation], annotations[..., self.annotation :]
        value: Any = self.generator.values(read)  # a vector
        return torch.cat([value, self.from_annotation(read), tokens], dim=-1)

    def factors(self, values: Tensor) -> Any:
        """Compute the generator's factors."""
        return self.generator.factors(self._split(values)[0])

    def forward(self, hidden: Tensor, context: Tensor) -> CopyMixture:
        """Return the mixture for every context."""
        value, gate, tokens = self._split(context)
        generated = self.generator(hidden, value)
        return CopyMixture(generated, (self.from_hidden(hidden) + gate).squeeze(-1), tokens)

    def _split(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        vocabulary = len(self.weight)
        sizes = (values.shape[-1] - 1 - vocabulary, 1, vocabulary)
        value, gate, tokens = values.split(sizes, dim=-1)
        return value, gate, tokens
