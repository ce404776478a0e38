"""A product of two experts over a large vocabulary, cheap to normalise for all pairs."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from pyro.distributions import TorchDistribution
from pyro.ops.provenance import detach_provenance, get_provenance, track_provenance
from torch import Tensor
from torch.distributions import constraints
from torch.nn.functional import pad

from pyro_align.distributions.log_partition import mixed_log_probs, pair_log_probs
from pyro_align.distributions.pairing import Pairing
from pyro_align.distributions.shapes import broadcast_shapes
from pyro_align.distributions.token_subset import TokenSubset
from pyro_align.distributions.vocabulary_categorical import VocabularyCategorical

_SINGLE = torch.Size()


class ProductCategorical(TorchDistribution):
    """``p(y) ∝ exp(w_y · l) exp(w_y · r) exp(b_y)``, from features ``l`` and ``r`` that broadcast.

    It equals ``VocabularyCategorical(l + r, weight, bias)``, with ``r`` padded with zeros if it has
    fewer features. It is cheaper if ``l`` has batch dimensions that ``r`` lacks and vice versa, as
    in enumeration, where ``l`` depends on the target position and ``r`` on the source position. The
    log normalisers of all pairs,

        ``log Σ_v exp(a_v(l)) exp(c_v(r))``,

    are one matrix product over the vocabulary: ``T·S·V`` multiplications and ``(T + S)·V``
    exponentials, instead of a matrix product and a softmax for each of the ``T·S`` pairs.

    Args:
        left: features of one expert, ``(*left, feature)``.
        right: features of the other, ``(*right, fewer)``, as many or fewer; fewer are cheaper.
        weight: output embedding, ``(vocabulary, feature)``.
        bias: one per token, ``(vocabulary,)``.
    """

    arg_constraints: ClassVar = {
        "left": constraints.independent(constraints.real, 1),
        "right": constraints.independent(constraints.real, 1),
        "weight": constraints.independent(constraints.real, 2),
        "bias": constraints.independent(constraints.real, 1),
    }
    has_enumerate_support = True

    def __init__(
        self,
        left: Float[Tensor, "*left feature"],
        right: Float[Tensor, "*right fewer"],
        weight: Float[Tensor, "vocabulary feature"],
        bias: Float[Tensor, " vocabulary"],
        *,
        validate_args: bool | None = None,
    ):
        dim = max(left.dim(), right.dim())
        self.left = left[(None,) * (dim - left.dim())]
        self.right = right[(None,) * (dim - right.dim())]
        self.weight = weight
        self.bias = bias
        shape = broadcast_shapes(left.shape[:-1], right.shape[:-1])
        super().__init__(shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        """Token ids from 0 to the size of the vocabulary − 1."""
        return constraints.integer_interval(0, len(self.bias) - 1)

    @property
    def joint(self) -> VocabularyCategorical:
        """The same distribution as a categorical over the summed features."""
        right = pad(self.right, (0, self.left.shape[-1] - self.right.shape[-1]))
        return VocabularyCategorical(self.left + right, self.weight, self.bias, validate_args=False)

    def among(self, subset: TokenSubset) -> ProductCategorical:
        """See :meth:`VocabularyCategorical.among`."""
        bias = self.bias[subset.tokens] + subset.log_weights.to(self.bias.dtype)
        weight = self.weight[subset.tokens]
        return ProductCategorical(self.left, self.right, weight, bias, validate_args=False)

    def expand(self, batch_shape: Any, _instance: object = None) -> ProductCategorical:
        """Return the distribution expanded to a batch shape."""
        batch_shape = torch.Size(batch_shape)
        own = (1,) * (len(batch_shape) - len(self.batch_shape)) + tuple(self.batch_shape)
        left = (1,) * (len(own) + 1 - self.left.dim()) + tuple(self.left.shape)
        # Expand only dimensions that neither factor has, so that the others stay separate.
        widened = [
            new if old == 1 else mine
            for new, old, mine in zip(batch_shape, own, left[:-1], strict=True)
        ]
        return ProductCategorical(
            self.left.expand(*widened, left[-1]),
            self.right,
            self.weight,
            self.bias,
            validate_args=False,
        )

    @property
    def logits(self) -> Float[Tensor, "*batch vocabulary"]:
        """Normalised log probabilities of the whole vocabulary, in fp32 or better."""
        return self.joint.logits

    @property
    def probs(self) -> Float[Tensor, "*batch vocabulary"]:
        """Probabilities of the whole vocabulary, in fp32 or better."""
        return self.joint.probs

    def log_prob(self, value: Int[Tensor, "*value"]) -> Float[Tensor, "*shape"]:
        """Compute the log probability of the tokens ``value``, broadcast to the batch shape."""
        if self._validate_args:
            self._validate_sample(value)
        pairing = Pairing(self.left.shape, self.right.shape, value.shape)
        if not pairing.pays:
            return self.joint.log_prob(value)
        inputs = (self.left, self.right, self.weight, self.bias, value)
        # As in VocabularyCategorical: a Function would lose the graph of Pyro's provenance tensors.
        left, right, weight, bias, value = detach_provenance(inputs)
        found = pair_log_probs(
            pairing.of_left(left), pairing.of_right(right), weight, bias, pairing.of_value(value)
        )
        return track_provenance(pairing.restored(found), get_provenance(inputs))

    def mixture(
        self,
        log_weights: Float[Tensor, "*batch"],
        factor: Float[Tensor, "*right vocabulary"] | None = None,
    ) -> Float[Tensor, "*mixed vocabulary"]:
        """Compute ``log Σ_k w_k p_k(y)`` over the last batch dimension, for the whole vocabulary.

        Args:
            log_weights: ``log w``, of the batch shape.
            factor: :func:`factor_of` the right features, if precomputed.
        """
        pairing = Pairing(self.left.shape, self.right.shape, ())
        if not pairing.last_is_right:
            return self.joint.mixture(log_weights)
        mixed = mixed_log_probs(
            pairing.of_left(self.left),
            pairing.of_right(self.right),
            pairing.of_pairs(log_weights),
            self.weight,
            self.bias,
            None if factor is None else pairing.of_right(factor),
        )
        return pairing.restored_left(mixed)

    def sample(self, sample_shape: Any = _SINGLE) -> Int[Tensor, "*shape"]:
        """Sample token ids of shape ``sample_shape + batch_shape``."""
        return self.joint.sample(sample_shape)

    def enumerate_support(self, expand: bool = True) -> Int[Tensor, "vocabulary *_"]:
        """Return all token ids along a new leftmost dimension."""
        return self.joint.enumerate_support(expand)
