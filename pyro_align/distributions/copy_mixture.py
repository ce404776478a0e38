"""A token is generated from the vocabulary, or copied from the source."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from pyro.distributions import Categorical, TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from pyro_align.distributions.precision import at_least_fp32
from pyro_align.distributions.product_categorical import ProductCategorical
from pyro_align.distributions.shapes import broadcast_shapes
from pyro_align.distributions.sparse_product import SparseProductCategorical
from pyro_align.distributions.vocabulary_categorical import VocabularyCategorical

_SINGLE = torch.Size()


class CopyMixture(TorchDistribution):
    """``p(y) = g p_gen(y) + (1 − g) c(y)``: generate a token, or copy one.

    If there is nothing to copy, ``c`` is zero everywhere and the token is generated. In general
    ``c`` sums to the probability that there is something to copy, and what it lacks to one goes to
    ``p_gen``.

    Args:
        generated: distribution ``p_gen`` over the vocabulary.
        gate: logit of the probability ``g`` to generate.
        copied: probability ``c`` of every token to be the copied one, ``(*batch, vocabulary)``.
    """

    arg_constraints: ClassVar = {
        "gate": constraints.real,
        "copied": constraints.independent(constraints.unit_interval, 1),
    }
    has_enumerate_support = True

    def __init__(
        self,
        generated: VocabularyCategorical | ProductCategorical,
        gate: Float[Tensor, "*gate"],
        copied: Float[Tensor, "*copied vocabulary"],
        *,
        validate_args: bool | None = None,
    ):
        self.generated = generated
        self.gate = at_least_fp32(gate)
        self.copied = at_least_fp32(copied)
        shape = broadcast_shapes(generated.batch_shape, gate.shape, copied.shape[:-1])
        super().__init__(shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        """Token ids from 0 to the size of the vocabulary − 1."""
        return constraints.integer_interval(0, self.copied.shape[-1] - 1)

    def expand(self, batch_shape: Any, _instance: object = None) -> CopyMixture:
        """Return the distribution expanded to a batch shape."""
        return CopyMixture(
            self.generated.expand(batch_shape),
            self.gate.expand(batch_shape),
            self.copied,
            validate_args=False,
        )

    @property
    def logits(self) -> Float[Tensor, "*batch vocabulary"]:
        """Normalised log probabilities of the whole vocabulary, in fp32 or better."""
        return torch.logaddexp(
            self._log_generate.unsqueeze(-1) + self.generated.logits,
            logsigmoid(-self.gate).unsqueeze(-1) + _log(self.copied),
        )

    @property
    def probs(self) -> Float[Tensor, "*batch vocabulary"]:
        """Probabilities of the whole vocabulary, in fp32 or better."""
        return self.logits.exp()

    def log_prob(self, value: Int[Tensor, "*value"]) -> Float[Tensor, "*shape"]:
        """Compute the log probability of the tokens ``value``, broadcast to the batch shape."""
        if self._validate_args:
            self._validate_sample(value)
        shape = broadcast_shapes(value.shape, self.copied.shape[:-1])
        copied = self.copied.expand(*shape, -1)
        copied = copied.gather(-1, value.expand(shape).unsqueeze(-1)).squeeze(-1)
        return torch.logaddexp(
            self._log_generate + self.generated.log_prob(value),
            logsigmoid(-self.gate) + _log(copied),
        )

    def mixture(
        self,
        log_weights: Float[Tensor, "*batch"],
        factor: Float[Tensor, "*right vocabulary"] | None = None,
    ) -> Float[Tensor, "*mixed vocabulary"]:
        """Compute ``log Σ_k w_k p_k(y)`` over the last batch dimension, for the whole vocabulary.

        It costs a matrix product more than that of ``generated``.

        Args:
            log_weights: ``log w``, of the batch shape.
            factor: the right factor of ``generated``, if it has one and it is precomputed.
        """
        weights = self._log_generate + log_weights
        if isinstance(self.generated, ProductCategorical):
            generated = self.generated.mixture(weights, factor)
        else:
            generated = self.generated.mixture(weights)
        copying = (logsigmoid(-self.gate) + log_weights).exp()
        copied = self.copied
        with torch.autocast(copied.device.type, enabled=False):
            if copied.dim() > 2 and copied.shape[-3] == 1:  # shared by the rows: one product
                mixed = copying @ copied.squeeze(-3)
            else:
                mixed = (copying.unsqueeze(-2) @ copied).squeeze(-2)
        return torch.logaddexp(generated, _log(mixed))

    def sample(self, sample_shape: Any = _SINGLE) -> Int[Tensor, "*shape"]:
        """Sample token ids of shape ``sample_shape + batch_shape``."""
        return Categorical(logits=self.logits).sample(sample_shape)

    def enumerate_support(self, expand: bool = True) -> Int[Tensor, "vocabulary *_"]:
        """Return all token ids along a new leftmost dimension."""
        return self.generated.enumerate_support(expand)

    @property
    def _log_generate(self) -> Float[Tensor, "*batch"]:
        """Log probability to generate, which takes over what cannot be copied."""
        missing = (1.0 - self.copied.sum(-1)).clamp_min(0.0)
        generate = self.gate.sigmoid() + (-self.gate).sigmoid() * missing
        return generate.clamp_min(torch.finfo(generate.dtype).tiny).log()


TokenDistribution = (
    VocabularyCategorical | ProductCategorical | SparseProductCategorical | CopyMixture
)
"""Return type of an emission: a distribution over the vocabulary with a method ``mixture``."""


def _log(probs: Tensor) -> Tensor:
    """Return logarithms; of zero −inf, without the gradient NaN that ``log`` has there."""
    positive = probs > 0
    return probs.where(positive, 1.0).log().where(positive, -torch.inf)
