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
from pyro_align.distributions.shapes import broadcast_shapes
from pyro_align.distributions.vocabulary_categorical import VocabularyCategorical

_SINGLE = torch.Size()

Shape = tuple[int, ...]


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
        pairing = _Pairing(self.left.shape, self.right.shape, value.shape)
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
        """Sample token ids of shape ``sample_shape + batch_shape``."""
        return self.joint.sample(sample_shape)

    def enumerate_support(self, expand: bool = True) -> Int[Tensor, "vocabulary *_"]:
        """Return all token ids along a new leftmost dimension."""
        return self.joint.enumerate_support(expand)


class _Pairing:
    """Splits batch dimensions into those that both factors share and those that only one has.

    Args:
        left: shape of the left features, ``(*left, feature)``.
        right: shape of the right features, with as many dimensions.
        value: shape of the tokens.
    """

    def __init__(self, left: Shape, right: Shape, value: Shape):
        dim = max(len(left) - 1, len(value))
        lefts, rights, values = (
            (1,) * (dim - len(shape)) + tuple(shape) for shape in (left[:-1], right[:-1], value)
        )
        self.shape = broadcast_shapes(lefts, rights, values)
        each = range(dim)
        self._rights = [i for i in each if lefts[i] == values[i] == 1 < rights[i]]
        self._lefts = [i for i in each if rights[i] == 1 < max(lefts[i], values[i])]
        self._shared = [i for i in each if i not in self._lefts and i not in self._rights]
        self._order = [*self._shared, *self._lefts, *self._rights]
        # Pairs are not cheaper if one side has a single row, or if the tokens differ along the
        # dimensions of the right factor.
        self.pays = min(self._size(self._lefts), self._size(self._rights)) > 1
        self.last_is_right = self._rights == [dim - 1]

    def of_left(self, features: Tensor) -> Float[Tensor, "shared left feature"]:
        """Arrange the left features."""
        return self._arranged(features, self._lefts)

    def of_right(self, features: Tensor) -> Float[Tensor, "shared right feature"]:
        """Arrange the right features."""
        return self._arranged(features, self._rights)

    def of_value(self, value: Tensor) -> Int[Tensor, "shared left"]:
        """Arrange the tokens, which do not depend on the right factor."""
        return self._arranged(value.unsqueeze(-1), self._lefts).squeeze(-1)

    def of_pairs(self, pairs: Tensor) -> Float[Tensor, "shared left right"]:
        """Arrange values of the batch shape."""
        sizes = [self._size(dims) for dims in (self._shared, self._lefts, self._rights)]
        return pairs.expand(self.shape).permute(self._order).reshape(sizes)

    def restored(self, pairs: Float[Tensor, "shared left right"]) -> Tensor:
        """Return values of all pairs in the batch shape."""
        ordered = pairs.reshape([self.shape[i] for i in self._order])
        return ordered.permute([self._order.index(i) for i in range(len(self._order))])

    def restored_left(self, values: Float[Tensor, "shared left value"]) -> Tensor:
        """Return vectors in the batch shape without its last dimension, the right factor's."""
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
