"""Some tokens of a large vocabulary that stand for all of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

OTHERS = 256
"""Number of tokens that stand for those that are not required."""


@dataclass(frozen=True)
class TokenSubset:
    """Tokens of a vocabulary with weights, with which sums over the vocabulary are estimated.

    ``Σ_y f(y)`` is estimated by ``Σ_i w_i f(y_i)``: some tokens are required and have weight 1, and
    a few others, at equal distances in the vocabulary, have the weight of those they stand for. A
    softmax over the subset takes less time than one over a large vocabulary. Sampled softmax for
    training (Jean et al. 2015) also contains the targets of the batch.

    Attributes:
        tokens: token ids, ascending.
        log_weights: ``log w``.
        vocabulary: size of the vocabulary.
    """

    tokens: Int[Tensor, " token"]
    log_weights: Float[Tensor, " token"]
    vocabulary: int

    @classmethod
    def with_required(cls, required: Int[Tensor, "*shape"], vocabulary: int) -> TokenSubset | None:
        """Choose a subset with the required tokens.

        Args:
            required: token ids, may repeat.
            vocabulary: size of the vocabulary.

        Returns:
            The subset, the same for the same arguments; None if it would have more than half of the
            vocabulary, or on a GPU, which would have to be synchronised to count the tokens.
        """
        if required.is_cuda:
            return None
        weights = torch.zeros(vocabulary, device=required.device)
        weights[required.flatten()] = 1.0
        (rest,) = (weights == 0).nonzero(as_tuple=True)
        others = rest[:: max(1, len(rest) // OTHERS)]
        if 2 * (vocabulary - len(rest) + len(others)) > vocabulary:
            return None
        weights[others] = len(rest) / len(others)
        (tokens,) = weights.nonzero(as_tuple=True)
        return cls(tokens, weights[tokens].log(), vocabulary)

    def positions(self, tokens: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Return the position of each token in the subset; −1 if it is not in the subset."""
        found = self.tokens.new_full((self.vocabulary,), -1)
        found[self.tokens] = torch.arange(len(self.tokens), device=found.device)
        return found[tokens]
