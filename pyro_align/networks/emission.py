"""Emissions: the distribution of a target token, given a decoder state and a context."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pyro_align.distributions import VocabularyCategorical


class TanhEmission(nn.Module):
    """``softmax(W_o tanh(W_c c + W_h h))`` (Luong et al. 2015, equation 5; Deng et al. 2018).

    ``W_c c`` is linear in the context, hence :meth:`values` applies it to the annotations once
    and every context, expected or picked, is formed from these values.

    Args:
        annotation: size of a source annotation.
        hidden: size of a decoder state.
        weight: output embedding ``(vocabulary, feature)``, a parameter, possibly tied to another.
    """

    def __init__(self, annotation: int, hidden: int, weight: Tensor):
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


def expected(
    values: Float[Tensor, "batch source feature"], weights: Float[Tensor, "*shape source"]
) -> Float[Tensor, "*picked feature"]:
    """The mean of the values under weights ``(…, batch, target, source)``."""
    return weights.to(values.dtype) @ values


def pick(
    values: Float[Tensor, "batch source feature"], alignment: Int[Tensor, "*shape"]
) -> Float[Tensor, "*picked feature"]:
    """The value that each alignment points to.

    Args:
        values: of every source position.
        alignment: source positions. Its last two dimensions are ``(batch, target)``, or ``(1, 1)``
            where all sentences and positions are aligned alike, as in enumeration; those to the
            left are particles or enumerated.

    Returns:
        ``(*alignment.shape[:-2], batch, target or 1, feature)``. The backward pass adds up in an
        order that does not depend on threads, which indexing with two tensors would not promise.
    """
    if alignment.shape[-2:] == (1, 1):
        chosen = values.index_select(1, alignment.flatten()).transpose(0, 1)
        return chosen.reshape(*alignment.shape[:-2], *chosen.shape[1:]).unsqueeze(-2)
    batch, feature = len(values), values.shape[-1]
    alignment = alignment.expand(*alignment.shape[:-2], batch, alignment.shape[-1])
    rows = alignment.movedim(-2, 0)
    index = rows.reshape(batch, -1, 1).expand(-1, -1, feature)
    return values.gather(1, index).reshape(*rows.shape, feature).movedim(0, -3)
