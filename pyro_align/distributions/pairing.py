"""Pairs of rows of two factors of a distribution."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from pyro_align.distributions.shapes import broadcast_shapes

Shape = tuple[int, ...]


class Pairing:
    """Splits batch dimensions into those that both factors share and those that only one has.

    Args:
        left: shape of the left features, ``(*left, feature)``.
        right: shape of the right features, ``(*right, feature)``.
        value: shape of the tokens.
    """

    def __init__(self, left: Shape, right: Shape, value: Shape):
        dim = max(len(left) - 1, len(right) - 1, len(value))
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

    def of_right(self, features: Tensor) -> Shaped[Tensor, "shared right feature"]:
        """Arrange the right features, or other values of the right factor."""
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
