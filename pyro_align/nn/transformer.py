"""Transformer layers that train at the learning rates of recurrent networks."""

from __future__ import annotations

import math
from itertools import zip_longest
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.parametrize import register_parametrization

from pyro_align.errors import ConfigError

KeysValues = Float[Tensor, "batch 2 _ _ _"]
"""Keys and values of attention heads, ``(batch, 2, head, position, feature)``."""

Rotation = tuple[Float[Tensor, "_ _"], Float[Tensor, "_ _"]]
"""Cosines and sines of the angles of each position, ``(position, feature / 2)``."""

Positions = Literal["sinusoidal", "rotary"]
"""Kinds of position embeddings."""


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


def _linear(inputs: int, outputs: int) -> nn.Linear:
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
        self.query = _linear(size, size)
        self.key = _linear(memory or size, size)
        self.value = _linear(memory or size, size)
        self.output = _linear(size, size)

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
            nn.LayerNorm(size), _linear(size, wide), nn.ReLU(), _linear(wide, size)
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


def sinusoids(positions: Int[Tensor, " position"], size: int) -> Float[Tensor, "position {size}"]:
    """Return sinusoidal position embeddings (Vaswani et al. 2017, section 3.5)."""
    angles = _angles(positions, size)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def rotation(positions: Int[Tensor, " position"], size: int) -> Rotation:
    """Return cosines and sines of rotary position embeddings (Su et al. 2021, section 3.2).

    Args:
        positions: the positions.
        size: features of a head.
    """
    angles = _angles(positions, size)
    return angles.cos(), angles.sin()


def rotated(
    vectors: Float[Tensor, "batch head position feature"], rotation: Rotation
) -> Float[Tensor, "batch head position feature"]:
    """Rotate queries or keys, so that their products depend on the distance of the positions."""
    first, second = vectors.chunk(2, dim=-1)
    cos, sin = (each.to(vectors) for each in rotation)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def _angles(positions: Int[Tensor, " position"], size: int) -> Float[Tensor, "position half"]:
    evens = torch.arange(0, size, 2, device=positions.device)
    return positions.unsqueeze(1) * torch.exp(-math.log(10000.0) * evens / size)


def check_heads(size: int, heads: int) -> None:
    """Check that a Transformer of a size can have so many heads.

    Raises:
        ConfigError: if the size is not a multiple of twice the heads.
    """
    if size % (2 * heads):
        raise ConfigError(
            f"size must be a multiple of twice the heads, got size {size} and {heads} heads"
        )


class Transformer(nn.Module):
    """Layers of a Transformer, with an input layer, position embeddings and a last norm.

    Args:
        embedding: size of an embedding.
        size: number of units, a multiple of ``2 * heads``.
        layers: number of layers.
        heads: number of attention heads.
        dropout: rate within layers.
        feedforward: number of units between feed-forward layers; by default ``4 * size``.
        positions: ``sinusoidal``: embeddings added to the input; ``rotary``: rotations of queries
            and keys, so that attention depends on distances.
        memory: size of a row of the memory that all layers but the last attend to; None for none.

    Raises:
        ConfigError: if ``size`` is not a multiple of ``2 * heads``.
    """

    def __init__(
        self,
        embedding: int,
        size: int,
        layers: int,
        heads: int,
        dropout: float,
        *,
        feedforward: int | None = None,
        positions: Positions = "sinusoidal",
        memory: int | None = None,
    ):
        check_heads(size, heads)
        super().__init__()
        self.is_rotary = positions == "rotary"
        # Normalised, so that position embeddings do not outweigh small embeddings.
        self.read = nn.Sequential(nn.Linear(embedding, size), nn.LayerNorm(size))
        self.layers = nn.ModuleList(
            TransformerLayer(
                size,
                heads,
                dropout,
                feedforward=feedforward,
                memory=memory if number < layers - 1 else None,
            )
            for number in range(layers)
        )
        self.norm = nn.LayerNorm(size)
        self.head_size = size // heads

    def memories(self, memory: Float[Tensor, "batch source memory"]) -> tuple[KeysValues, ...]:
        """Compute keys and values of a memory for each layer that attends to it."""
        return tuple(
            layer.memory_attention.keys_values(memory)
            for layer in self.layers
            if isinstance(layer, TransformerLayer) and layer.memory_attention is not None
        )

    def forward(
        self,
        embedded: Float[Tensor, "batch position embedding"],
        mask: Bool[Tensor, "#batch 1 #position position"] | None,
    ) -> Float[Tensor, "batch position size"]:
        """Return the normalised units of the last layer.

        Args:
            embedded: embeddings.
            mask: true where a position may attend to another; None for all.
        """
        return self._run(embedded, mask)[0]

    def after(
        self,
        past: tuple[KeysValues, ...],
        embedded: Float[Tensor, "batch position embedding"],
        memories: tuple[KeysValues, ...] = (),
        memory_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> tuple[Float[Tensor, "batch position size"], tuple[KeysValues, ...]]:
        """Continue a sequence, each position attending to itself and those before.

        Args:
            past: keys and values of the positions so far, for each layer; empty at the start.
            embedded: embeddings of the positions that follow.
            memories: from :meth:`memories`.
            memory_mask: true on real positions of the memory.

        Returns:
            The normalised units of the last layer at these positions; and keys and values of all
            positions so far.
        """
        start, length = past[0].shape[-2] if past else 0, embedded.shape[1]
        mask = None if length == 1 else causal_mask(length, start + length, embedded.device)
        if memory_mask is not None:
            memory_mask = memory_mask[:, None, None]
        return self._run(embedded, mask, start, past, memories, memory_mask)

    def _run(
        self,
        embedded: Tensor,
        mask: Tensor | None,
        start: int = 0,
        past: tuple[KeysValues, ...] = (),
        memories: tuple[KeysValues, ...] = (),
        memory_mask: Tensor | None = None,
    ) -> tuple[Tensor, tuple[KeysValues, ...]]:
        positions = torch.arange(start, start + embedded.shape[1], device=embedded.device)
        units, turned = self.read(embedded), None
        if self.is_rotary:
            turned = rotation(positions, self.head_size)
        else:
            units = units + sinusoids(positions, units.shape[-1]).to(units)
        kept = []
        for layer, before, memory in zip_longest(self.layers, past, memories):
            units, keys_values = layer(
                units, mask, rotation=turned, past=before, memory=memory, memory_mask=memory_mask
            )
            kept.append(keys_values)
        return self.norm(units), tuple(kept)
