"""Label smoothing: a likelihood of tokens that are observed with uncertainty."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from pyro.distributions import TorchDistribution
from torch import Tensor

from pyro_align.distributions.product_categorical import ProductCategorical
from pyro_align.distributions.sparse_product import SparseProductCategorical
from pyro_align.distributions.vocabulary_categorical import VocabularyCategorical

_SINGLE = torch.Size()


class LabelSmoothing(TorchDistribution):
    """``(1 − ε) log p(y) + ε / V Σ_v log p(v)`` in place of ``log p(y)`` (Szegedy et al. 2016).

    It is the expected log probability of a token that is ``y`` with probability ``1 − ε``, and
    otherwise drawn uniformly from the ``V`` tokens of the vocabulary. It is not normalised over
    ``y``. Up to a constant it is the negative KL divergence of ``p`` from that distribution.

    Args:
        base: a distribution ``p`` over a vocabulary, with the attribute ``logits``.
        rate: the probability ``ε``.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, base: Any, rate: float, *, validate_args: bool | None = None):
        self.base = base
        self.rate = rate
        super().__init__(base.batch_shape, validate_args=validate_args)

    @property
    def support(self) -> Any:
        """Support of ``base``."""
        return self.base.support

    def expand(self, batch_shape: Any, _instance: object = None) -> LabelSmoothing:
        """Return the distribution expanded to a batch shape."""
        return LabelSmoothing(self.base.expand(batch_shape), self.rate, validate_args=False)

    def log_prob(self, value: Int[Tensor, "*value"]) -> Float[Tensor, "*shape"]:
        """Compute the expected log probability, broadcast to the batch shape."""
        log_prob: Tensor = self.base.log_prob(value)
        return log_prob + self.rate * self._mean_minus(value, log_prob)

    def sample(self, sample_shape: Any = _SINGLE) -> Tensor:
        """Sample from ``base``."""
        sampled: Tensor = self.base.sample(sample_shape)
        return sampled

    def _mean_minus(self, value: Tensor, log_prob: Tensor) -> Tensor:
        """Mean log probability of the vocabulary minus that of ``value``.

        Where logits are linear in the features, it is the logit of the mean output embedding minus
        that of ``value``, without logits of the vocabulary.
        """
        base = self.base
        if isinstance(base, VocabularyCategorical):
            weight, bias = _mean_difference(base, value)
            return (base.features * weight).sum(-1) + bias
        if isinstance(base, ProductCategorical):
            weight, bias = _mean_difference(base, value)
            right = base.right * weight[..., : base.right.shape[-1]]
            return (base.left * weight).sum(-1) + right.sum(-1) + bias
        if isinstance(base, SparseProductCategorical):
            weight, bias = _mean_difference(base.base, value)
            factor = base.factors.log_of_all(len(base.base.bias)).mean(-1)
            return (
                (base.base.features * weight).sum(-1) + bias + factor - base.factors.log_of(value)
            )
        mean: Tensor = base.logits.mean(-1)
        return mean - log_prob


def _mean_difference(
    base: VocabularyCategorical | ProductCategorical, value: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean output embedding and bias of the vocabulary minus those of ``value``."""
    return base.weight.mean(0) - base.weight[value], base.bias.mean() - base.bias[value]
