"""Emissions: the distribution of a target token, given a decoder state and a context."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pyro_align.distributions import (
    ProductCategorical,
    TokenDistribution,
    VocabularyCategorical,
    factor_of,
)

GAIN = 6.0
"""The gain of an emission that has learnt nothing."""


class Emission(nn.Module, ABC):
    """``p(y | z, h)`` from a decoder state and the annotation that the alignment points to.

    What depends on an annotation alone is its *value*, of as many numbers as a feature or fewer;
    every context, picked or expected, is formed from values. Features are multiplied by a gain
    that is learnt: embeddings begin small, and without it all tokens would stay alike for long.

    Args:
        annotation: size of a source annotation.
        hidden: size of a decoder state.
        weight: output embedding ``(vocabulary, feature)``, a parameter, possibly tied to another.
    """

    def __init__(self, annotation: int, hidden: int, weight: Tensor):
        super().__init__()
        vocabulary, feature = weight.shape
        self.context = nn.Linear(annotation, self.value_size(feature), bias=False)
        self.query = nn.Linear(hidden, feature)
        self.gain = nn.Parameter(torch.tensor(GAIN))
        self.weight = weight
        self.bias = nn.Parameter(torch.zeros(vocabulary))

    def value_size(self, feature: int) -> int:
        """How many numbers a value has, given how many the output embedding of a token has."""
        return feature

    @abstractmethod
    def values(
        self, annotations: Float[Tensor, "batch source annotation"]
    ) -> Float[Tensor, "batch source value"]:
        """What the emission reads of every annotation."""

    @abstractmethod
    def forward(
        self,
        hidden: Float[Tensor, "*#shape hidden"],
        context: Float[Tensor, "*#shape value"],
    ) -> TokenDistribution:
        """Token distribution for decoder states and contexts (of values), broadcast together."""

    def factors(
        self, values: Float[Tensor, "batch source value"]
    ) -> Float[Tensor, "batch source vocabulary"] | None:
        """What of the token distributions depends on the source alone, if anything does."""
        return None


class TanhEmission(Emission):
    """``softmax(W_o g tanh(W_c m + W_h h))`` (Luong et al. 2015, equation 5; Deng et al. 2018)."""

    def values(self, annotations: Tensor) -> Tensor:
        """``W_c m``, linear, so that the value of an expected annotation is the expected value."""
        projected: Tensor = self.context(annotations)
        return projected

    def forward(self, hidden: Tensor, context: Tensor) -> VocabularyCategorical:
        """A softmax for every context."""
        features = self.gain * torch.tanh(self.query(hidden) + context)
        return VocabularyCategorical(features, self.weight, self.bias)


class ProductEmission(Emission):
    """``p(y | m, h) ∝ exp(w_y · g W_h h) exp(w_y · g tanh(W_c m))``: a product of two experts.

    The language model and the aligned source word each have their say of a token; what is lost
    against :class:`TanhEmission` is that one may change what the other says. In return a sum over
    alignments costs little more than soft attention, see :class:`ProductCategorical`.

    The source's expert reads a part of ``w_y``: a quarter costs a quarter, and learns as well.
    """

    def value_size(self, feature: int) -> int:
        """A quarter, but not so few that words cannot be told apart."""
        return min(feature, max(32, feature // 4))

    def values(self, annotations: Tensor) -> Tensor:
        """``g tanh(W_c m)``."""
        return self.gain * torch.tanh(self.context(annotations))

    def factors(self, values: Tensor) -> Tensor:
        """The aligned word's factor for every token."""
        return factor_of(values, self.weight)

    def forward(self, hidden: Tensor, context: Tensor) -> ProductCategorical:
        """One factor for every state, one for every context."""
        return ProductCategorical(self.gain * self.query(hidden), context, self.weight, self.bias)


EMISSIONS: dict[str, type[Emission]] = {"tanh": TanhEmission, "product": ProductEmission}
"""Emissions by the name they have in a configuration."""


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
