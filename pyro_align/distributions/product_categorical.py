"""A product of two experts over a large vocabulary, all pairs of which are cheap to normalise."""

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
from pyro_align.distributions.vocabulary_categorical import VocabularyCategorical

_SINGLE = torch.Size()

Shape = tuple[int, ...]


class ProductCategorical(TorchDistribution):
    """``p(y) ∝ exp(w_y · l) exp(w_y · r) exp(b_y)``, from features ``l`` and ``r`` that broadcast.

    It equals ``VocabularyCategorical(l + r, weight, bias)``; of a right expert with fewer features
    the rest are zero. The difference shows where ``l`` has
    batch dimensions that ``r`` has not and the other way round, as in enumeration, where ``l`` is
    of every target position and ``r`` of every source position. The normaliser of every pair is

        ``log Σ_v exp(a_v(l)) exp(c_v(r))``,

    one matrix product over the vocabulary: ``T·S·V`` multiplications and ``(T + S)·V``
    exponentials, rather than a matrix product and a softmax of its own for each of ``T·S`` pairs.

    Args:
        left: features of one expert, ``(*left, feature)``.
        right: features of the other, ``(*right, fewer)``, as many or fewer; the fewer, the cheaper.
        weight: output embedding, ``(vocabulary, feature)``.
        bias: one number for every token, ``(vocabulary,)``.
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
        shape = torch.broadcast_shapes(left.shape[:-1], right.shape[:-1])
        super().__init__(shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        """Token ids from 0 to the size of the vocabulary − 1."""
        return constraints.integer_interval(0, len(self.bias) - 1)

    @property
    def joint(self) -> VocabularyCategorical:
        """The same distribution, without regard to what its features are the sum of."""
        right = pad(self.right, (0, self.left.shape[-1] - self.right.shape[-1]))
        return VocabularyCategorical(self.left + right, self.weight, self.bias, validate_args=False)

    def expand(self, batch_shape: Any, _instance: object = None) -> ProductCategorical:
        """The same distribution on a broadcast batch shape."""
        batch_shape = torch.Size(batch_shape)
        own = (1,) * (len(batch_shape) - len(self.batch_shape)) + tuple(self.batch_shape)
        left = (1,) * (len(own) + 1 - self.left.dim()) + tuple(self.left.shape)
        # Only where neither has the dimension: elsewhere it would no longer be told who has it.
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
        """Log probability of the tokens ``value``, which broadcast against the batch shape."""
        if self._validate_args:
            self._validate_sample(value)
        pairing = _Pairing(self.left.shape, self.right.shape, value.shape)
        if not pairing.pays:
            return self.joint.log_prob(value)
        inputs = (self.left, self.right, self.weight, self.bias, value)
        # As in VocabularyCategorical: a Function and Pyro's marks do not go together.
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
        """``log Σ_k w_k p_k(y)`` over the last batch dimension, for the whole vocabulary.

        Args:
            log_weights: of the batch's shape.
            factor: :func:`factor_of` the right features, if it is known from before.
        """
        pairing = _Pairing(self.left.shape, self.right.shape, ())
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
        """Token ids of shape ``sample_shape + batch_shape``."""
        return self.joint.sample(sample_shape)

    def enumerate_support(self, expand: bool = True) -> Int[Tensor, "vocabulary *_"]:
        """All token ids along a new dimension at the left."""
        return self.joint.enumerate_support(expand)


TokenDistribution = VocabularyCategorical | ProductCategorical
"""What an emission returns: a distribution over the vocabulary with ``mixture``."""


class _Pairing:
    """Which batch dimensions two factors share, and which only one of them has.

    Args:
        left: shape of one, its last dimension the features'.
        right: shape of the other, of as many dimensions.
        value: shape of the tokens.
    """

    def __init__(self, left: Shape, right: Shape, value: Shape):
        dim = max(len(left) - 1, len(value))
        lefts, rights, values = (
            (1,) * (dim - len(shape)) + tuple(shape) for shape in (left[:-1], right[:-1], value)
        )
        self.shape = torch.broadcast_shapes(lefts, rights, values)
        each = range(dim)
        self._rights = [i for i in each if lefts[i] == values[i] == 1 < rights[i]]
        self._lefts = [i for i in each if rights[i] == 1 < max(lefts[i], values[i])]
        self._shared = [i for i in each if i not in self._lefts and i not in self._rights]
        self._order = [*self._shared, *self._lefts, *self._rights]
        # Where one side has a single row, or tokens differ along the other's dimensions, nothing
        # is gained by pairs.
        self.pays = min(self._size(self._lefts), self._size(self._rights)) > 1
        self.last_is_right = self._rights == [dim - 1]

    def of_left(self, features: Tensor) -> Float[Tensor, "shared left feature"]:
        """One factor's features."""
        return self._arranged(features, self._lefts)

    def of_right(self, features: Tensor) -> Float[Tensor, "shared right feature"]:
        """The other's."""
        return self._arranged(features, self._rights)

    def of_value(self, value: Tensor) -> Int[Tensor, "shared left"]:
        """Tokens, which do not depend on the right factor."""
        return self._arranged(value.unsqueeze(-1), self._lefts).squeeze(-1)

    def of_pairs(self, pairs: Tensor) -> Float[Tensor, "shared left right"]:
        """Values of the batch's shape."""
        sizes = [self._size(dims) for dims in (self._shared, self._lefts, self._rights)]
        return pairs.expand(self.shape).permute(self._order).reshape(sizes)

    def restored(self, pairs: Float[Tensor, "shared left right"]) -> Tensor:
        """Values of all pairs, in the batch's shape."""
        ordered = pairs.reshape([self.shape[i] for i in self._order])
        return ordered.permute([self._order.index(i) for i in range(len(self._order))])

    def restored_left(self, values: Float[Tensor, "shared left value"]) -> Tensor:
        """Vectors without the right's dimension, which is the last, in the batch's shape."""
        kept = [*self._shared, *self._lefts]
        ordered = values.reshape(*(self.shape[i] for i in kept), values.shape[-1])
        return ordered.permute(*(kept.index(i) for i in range(len(kept))), len(kept))

    def _arranged(self, features: Tensor, own: list[int]) -> Tensor:
        dim = len(self.shape)
        features = features[(None,) * (dim + 1 - features.dim())]
        wanted = [self.shape[i] if i in own or i in self._shared else 1 for i in range(dim)]
        features = features.expand(*wanted, features.shape[-1])
        features = features.permute(*self._order, dim)
        return features.reshape(self._size(self._shared), self._size(own), features.shape[-1])

    def _size(self, dims: list[int]) -> int:
        return torch.Size([self.shape[i] for i in dims]).numel()
