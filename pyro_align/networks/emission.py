"""Emissions: the distribution of a target token, given a decoder state and a context."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pyro_align.distributions import VocabularyCategorical


class TanhEmission(nn.Module):
    """``softmax(W_o tanh(W_c c + W_h h))`` (Luong et al. 2015, equation 5; Deng et al. 2018).

    ``W_c c`` is linear in the context, hence :meth:`values` applies it to the annotations once
    and every context, expected or picked, is formed from these values.

    Args:
        annotation: size of a source annotation.
        hidden: size of a decoder state.
        weight: output embedding ``(vocabulary, feature)``, possibly tied to another matrix.
    """

    def __init__(self, annotation: int, hidden: int, weight: nn.Parameter):
        super().__init__()
        vocabulary, feature = weight.shape
        self.context = nn.Linear(annotation, feature, bias=False)
        self.query = nn.Linear(hidden, feature)
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def values(
        self, annotations: Float[Tensor, "batch source annotation"]
    ) -> Float[Tensor, "batch source feature"]:
        """``W_c m`` for every annotation ``m``."""
        projected: Tensor = self.context(annotations)
        return projected

    def forward(
        self,
        hidden: Float[Tensor, "*#shape hidden"],
        context: Float[Tensor, "*#shape feature"],
    ) -> VocabularyCategorical:
        """Token distribution for decoder states and contexts (of values), broadcast together."""
        features = torch.tanh(self.query(hidden) + context)
        return VocabularyCategorical(features, self.weight, self.bias)
