"""Transformer layers that train at the learning rates of recurrent networks."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.parametrize import register_parametrization

from pyro_align.errors import ConfigError
from pyro_align.nn.positions import Rotation, rotated

KeysValues = Float[Tensor, "batch 2 _ _ _"]
"""Keys and values of attention heads, ``(batch, 2, head, position, feature)``."""


class Equalised(nn.Module):
    """Equalised learning rate (Karras et al. 2018, section 4.1), as a torch parametrization.

    The stored parameter is ``√inputs`` times the effective weight. A step of Adam, whose size does
    not depend on the scale of the weight, then changes the effective weight by ``1 / √inputs`` of
    the step, so that the outputs change as much in a wide layer as in a narrow one.

    Args:
        inputs: number of inputs that each output sums over.
    """

    def __init__(self, inputs: int):
        super().__init__()
        self.scale = math.sqrt(inputs)

    def forward(self, kept: Tensor) -> Tensor:
        """Return the effective weight."""
        return kept / self.scale

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the stored parameter of a weight."""
        return weight * self.scale


def equalised_linear(inputs: int, outputs: int) -> nn.Linear:
    """Create a linear layer with :class:`Equalised` weights."""
    layer = nn.Linear(inputs, outputs)
    register_parametrization(layer, "weight", Equalised(inputs))
    return layer


class Attention(nn.Module):
    """Multi-head attention by scaled dot products (Vaswani et al. 2017, section 3.2).

    Args:
        size: number of units, a multiple of ``2 * heads``.
        heads: number of heads.
        memory: size of a row of what is attended to; by default that of a query.
    """

    def __init__(self, size: int, heads: int, memory: int | None = None):
        super().__init__()
        self.heads = heads
        self.query = equalised_linear(size, size)
        self.key = equalised_linear(memory or size, size)
        self.value = equalised_linear(memory or size, size)
        self.output = equalised_linear(size, size)

    def keys_values(
        self, memory: Float[Tensor, "batch source memory"], rotation: Rotation | None = None
    ) -> KeysValues:
        """Compute keys and values of each head, all that :meth:`forward` reads of a memory."""
        key, value = self._by_head(self.key(memory)), self._by_head(self.value(memory))
        return torch.stack([key if rotation is None else rotated(key, rotation), value], dim=1)

    def forward(
        self,
        queries: Float[Tensor, "batch target size"],
        keys_values: KeysValues,
        mask: Bool[Tensor, "#batch 1 #target source"] | None,
        rotation: Rotation | None = None,
    ) -> Float[Tensor, "batch target size"]:
        """Attend to the positions of a memory.

        Args:
            queries: a row for each target position.
            keys_values: from :meth:`keys_values`.
            mask: true where a target position may attend to a source position; None for all.
            rotation: rotation of the queries, if the keys are rotated.
        """
        query = self._by_head(self.query(queries))
        query = query if rotation is None else rotated(query, rotation)
        key, value = keys_values.unbind(1)
        found = scaled_dot_product_attention(query, key, value, attn_mask=mask)
        attended: Tensor = self.output(found.transpose(1, 2).flatten(2))
        return attended

    def _by_head(self, units: Tensor) -> Float[Tensor, "batch head position feature"]:
        return units.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class TransformerLayer(nn.Module):
    """A pre-norm layer (Vaswani et al. 2017; Xiong et al. 2020) with :class:`Equalised` weights.

    It consists of self-attention, attention to a memory if there is one, and two feed-forward
    layers.

    Args:
        size: number of units, a multiple of ``2 * heads``.
        heads: number of attention heads.
        dropout: rate on what is added to the units.
        feedforward: number of units between the feed-forward layers; by default ``4 * size``.
        memory: size of a row of the memory; None for a layer without one.
    """

    def __init__(
        self,
        size: int,
        heads: int,
        dropout: float,
        *,
        feedforward: int | None = None,
        memory: int | None = None,
    ):
        super().__init__()
        wide = feedforward or 4 * size
        self.norm = nn.LayerNorm(size)
        self.attention = Attention(size, heads)
        self.memory_norm = self.memory_attention = None
        if memory is not None:
            self.memory_norm = nn.LayerNorm(size)
            self.memory_attention = Attention(size, heads, memory)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(size),
            equalised_linear(size, wide),
            nn.ReLU(),
            equalised_linear(wide, size),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        units: Float[Tensor, "batch target size"],
        mask: Bool[Tensor, "#batch 1 #target position"] | None,
        *,
        rotation: Rotation | None = None,
        past: KeysValues | None = None,
        memory: KeysValues | None = None,
        memory_mask: Bool[Tensor, "batch 1 1 source"] | None = None,
    ) -> tuple[Float[Tensor, "batch target size"], KeysValues]:
        """Compute the units of the next layer.

        Args:
            units: units of this layer.
            mask: true where a position may attend to another; None for all.
            rotation: of the positions, see :func:`rotation`; None without rotary embeddings.
            past: keys and values of earlier positions.
            memory: keys and values of the memory, from ``memory_attention``; needed if the layer
                attends to one.
            memory_mask: true on real positions of the memory.

        Returns:
            The units, and keys and values of all positions including the earlier ones.
        """
        normed = self.norm(units)
        keys_values = self.attention.keys_values(normed, rotation)
        if past is not None:
            keys_values = torch.cat([past, keys_values], dim=-2)
        units = units + self.dropout(self.attention(normed, keys_values, mask, rotation))
        if self.memory_attention is not None and self.memory_norm is not None:
            assert memory is not None
            read = self.memory_attention(self.memory_norm(units), memory, memory_mask)
            units = units + self.dropout(read)
        return units + self.dropout(self.feedforward(units)), keys_values


def causal_mask(queries: int, keys: int, device: torch.device) -> Bool[Tensor, "1 1 query key"]:
    """Return which keys the last ``queries`` of as many positions as ``keys`` may attend to."""
    ones = torch.ones(queries, keys, dtype=torch.bool, device=device)
    return ones.tril(keys - queries)[None, None]


def check_heads(size: int, heads: int) -> None:
    """Check that a Transformer of a size can have so many heads.

    Raises:
        ConfigError: if the size is not a multiple of twice the heads.
    """
    if size % (2 * heads):
        raise ConfigError(
            f"size must be a multiple of twice the heads, got size {size} and {heads} heads"
        )
