"""Emissions: distributions of a target token given a decoder state and a context."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pyro_align.distributions import (
    ProductCategorical,
    SharedTokenFactors,
    TokenDistribution,
    TokenFactors,
    VocabularyCategorical,
    factor_of,
)
from pyro_align.distributions.log_partition import log_probs_beside

Factors = Float[Tensor, "batch source vocabulary"] | SharedTokenFactors
"""Factors of the token distributions that depend on the source only."""

GAIN = 6.0
"""Initial gain of an emission."""


class Emission(nn.Module, ABC):
    """Base class of emissions ``p(y | z, h)``, given a decoder state and the aligned annotation.

    The part that depends on an annotation only is its *value*; contexts, selected or expected, are
    computed from values.

    Attributes:
        weight: output embedding ``(vocabulary, feature)``.
    """

    weight: Tensor

    def annotate(
        self,
        annotations: Float[Tensor, "batch source annotation"],
        source: Int[Tensor, "batch source"],
    ) -> Float[Tensor, "batch source more"]:
        """Return what :meth:`values` reads: the annotations, unless it reads source ids too."""
        return annotations

    @abstractmethod
    def values(
        self, annotations: Float[Tensor, "batch source annotation"]
    ) -> Float[Tensor, "batch source value"] | TokenFactors:
        """Compute the value of every annotation: a vector, or factors of a few tokens."""

    @abstractmethod
    def forward(
        self,
        hidden: Float[Tensor, "*#shape hidden"],
        context: Any,
    ) -> TokenDistribution:
        """Return the token distribution given decoder states and contexts, which broadcast.

        Args:
            hidden: decoder states.
            context: values, selected or expected, see :func:`pick` and :func:`expected`.
        """

    def factors(self, values: Any) -> Factors | None:
        """Compute the factors of the token distributions that depend on the source only, if any."""
        return None

    def log_likelihoods(
        self,
        hidden: Float[Tensor, "batch target hidden"],
        values: Any,
        tokens: Int[Tensor, "batch target"],
        factors: Any = None,
    ) -> Float[Tensor, "batch target source"]:
        """``log p(y_t | v_s, h_t)`` for every target and source position.

        Args:
            hidden: decoder states ``h_t``.
            values: values ``v_s`` of every source position.
            tokens: the target tokens ``y_t``.
            factors: :meth:`factors` of the values, if they have been computed.
        """
        emission: Any = self(hidden.unsqueeze(2), values.unsqueeze(1))
        found: Tensor = emission.log_prob(tokens.unsqueeze(2))
        return found

    def log_mixture(
        self,
        hidden: Float[Tensor, "batch target hidden"],
        values: Any,
        log_weights: Float[Tensor, "batch target source"],
        *,
        top_k: int | None = None,
        factors: Any = None,
    ) -> Float[Tensor, "batch target vocabulary"]:
        """``log Σ_s w_ts p(y | v_s, h_t)`` for the whole vocabulary.

        Args:
            hidden: decoder states ``h_t``.
            values: values ``v_s`` of every source position, see :meth:`values`.
            log_weights: normalised log probabilities of the source positions.
            top_k: sum over the K most probable positions only, their weights renormalised.
            factors: :meth:`factors` of the values, if they have been computed.
        """
        contexts = values.unsqueeze(1)
        if top_k is not None and top_k < log_weights.shape[-1]:
            best, positions = log_weights.topk(top_k, dim=-1)
            best = best.log_softmax(-1)
            if factors is None:
                log_weights, contexts = best, picked_of_each(values, positions)
            else:  # the factors of all positions are there already
                nothing = torch.full_like(log_weights, -torch.inf)
                log_weights = nothing.scatter(-1, positions, best)
        emission = self(hidden.unsqueeze(2), contexts)
        if isinstance(factors, SharedTokenFactors):
            return emission.mixture(log_weights, factors)
        if factors is not None and not isinstance(emission, VocabularyCategorical):
            return emission.mixture(log_weights, factors.unsqueeze(1))
        return emission.mixture(log_weights)


class SoftmaxEmission(Emission):
    """Base class of emissions with a softmax over features of the decoder state and the annotation.

    Features are multiplied by a learnt gain: the embeddings are small at initialisation, and
    without it all tokens would keep similar probabilities for a long time.

    Args:
        annotation: size of a source annotation.
        hidden: size of a decoder state.
        weight: output embedding ``(vocabulary, feature)``, a parameter that may be tied.
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
        """Return the size of a value, given the size of an output embedding."""
        return feature


class TanhEmission(SoftmaxEmission):
    """``softmax(W_o g tanh(W_c m + W_h h))`` (Luong et al. 2015, equation 5; Deng et al. 2018)."""

    def values(self, annotations: Tensor) -> Tensor:
        """Compute ``W_c m``; linear, so the value of a mean annotation is the mean value."""
        projected: Tensor = self.context(annotations)
        return projected

    def forward(self, hidden: Tensor, context: Tensor) -> VocabularyCategorical:
        """Return a softmax for every context."""
        features = self.gain * torch.tanh(self.query(hidden) + context)
        return VocabularyCategorical(features, self.weight, self.bias)


class ProductEmission(SoftmaxEmission):
    """``p(y | m, h) ∝ exp(w_y · g W_h h) exp(w_y · g tanh(W_c m))``: a product of two experts.

    One expert depends on the decoder state, the other on the aligned source word. Unlike in
    :class:`TanhEmission` they do not interact, but a sum over alignments costs little more than
    soft attention, see :class:`ProductCategorical`.

    The source expert uses a quarter of the features of ``w_y``, which costs a quarter and trains
    equally well.
    """

    def value_size(self, feature: int) -> int:
        """Return :func:`source_expert_size`."""
        return source_expert_size(feature)

    def values(self, annotations: Tensor) -> Tensor:
        """Compute ``g tanh(W_c m)``."""
        return self.gain * torch.tanh(self.context(annotations))

    def factors(self, values: Tensor) -> Tensor:
        """Compute the factor of the source expert for every token."""
        return factor_of(values, self.weight)

    def forward(self, hidden: Tensor, context: Tensor) -> ProductCategorical:
        """Return the product of a factor per state and a factor per context."""
        return ProductCategorical(self.gain * self.query(hidden), context, self.weight, self.bias)

    def log_likelihoods(
        self, hidden: Tensor, values: Tensor, tokens: Tensor, factors: Tensor | None = None
    ) -> Tensor:
        """``log p(y_t | v_s, h_t)``, from the factors if they are given."""
        if factors is not None:
            left = self.gain * self.query(hidden)
            found = log_probs_beside(factors, left, self.weight, self.bias, tokens)
            if found is not None:
                return found
        return super().log_likelihoods(hidden, values, tokens)


EMISSIONS: dict[str, type[SoftmaxEmission]] = {"tanh": TanhEmission, "product": ProductEmission}
"""Emissions by their name in a configuration."""


def source_expert_size(feature: int) -> int:
    """Return a quarter of the size of an output embedding, but at least 32 if there are as many."""
    return min(feature, max(32, feature // 4))


Values = TypeVar("Values", Tensor, TokenFactors, Tensor | TokenFactors)
"""Values ``(batch, source, …)``: vectors, or factors of a few tokens."""


def expected(values: Values, weights: Float[Tensor, "*shape source"]) -> Values:
    """Return the mean of the values under weights ``(…, batch, target, source)``."""
    if isinstance(values, TokenFactors):
        return values.mean(weights)
    return weights.to(values.dtype) @ values


def pick(values: Values, alignment: Int[Tensor, "*shape"]) -> Values:
    """Select the value at each alignment.

    Args:
        values: of every source position.
        alignment: source positions. The last two dimensions are ``(batch, target)``, or ``(1, 1)``
            if all sentences and positions have the same alignment, as in enumeration; dimensions
            to the left are particles or enumeration.

    Returns:
        ``(*alignment.shape[:-2], batch, target or 1, feature)``. The backward pass is
        deterministic, unlike that of indexing with two tensors.
    """
    if isinstance(values, TokenFactors):
        return values.map(lambda each: pick(each, alignment))
    if alignment.shape[-2:] == (1, 1):
        chosen = values.index_select(1, alignment.flatten()).transpose(0, 1)
        return chosen.reshape(*alignment.shape[:-2], *chosen.shape[1:]).unsqueeze(-2)
    batch, feature = len(values), values.shape[-1]
    alignment = alignment.expand(*alignment.shape[:-2], batch, alignment.shape[-1])
    rows = alignment.movedim(-2, 0)
    index = rows.reshape(batch, -1, 1).expand(-1, -1, feature)
    return values.gather(1, index).reshape(*rows.shape, feature).movedim(0, -3)


def picked_of_each(values: Values, positions: Int[Tensor, "batch target k"]) -> Values:
    """The values at ``k`` source positions of every target position, ``(batch, target, k, …)``."""
    if isinstance(values, TokenFactors):
        return values.map(lambda each: picked_of_each(each, positions))
    return pick(values, positions.movedim(-1, 0)).movedim(0, -2)
