"""A stack of Transformer layers."""

from __future__ import annotations

from itertools import zip_longest

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pyro_align.nn.positions import Positions, Rotation, rotation, sinusoids
from pyro_align.nn.transformer_layer import (
    KeysValues,
    TransformerLayer,
    causal_mask,
    check_heads,
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
        positions = torch.arange(embedded.shape[1], device=embedded.device)
        units, turned = self._units(embedded, positions), self._rotation(positions)
        for layer in self.layers:
            units, _ = layer(units, mask, rotation=turned)
        normed: Tensor = self.norm(units)
        return normed

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
        units, kept = self.below(past, embedded, memories, memory_mask)
        hidden, last = self.top(past[-1] if past else None, units)
        return hidden, (*kept, last)

    def below(
        self,
        past: tuple[KeysValues, ...],
        embedded: Float[Tensor, "batch position embedding"],
        memories: tuple[KeysValues, ...] = (),
        memory_mask: Bool[Tensor, "batch source"] | None = None,
    ) -> tuple[Float[Tensor, "batch position size"], tuple[KeysValues, ...]]:
        """Run all layers but the last; see :meth:`after`.

        Returns:
            The units that the last layer reads; and keys and values of all positions so far, for
            each layer but the last.
        """
        positions, mask = _following(past[0] if past else None, embedded)
        units, turned = self._units(embedded, positions), self._rotation(positions)
        if memory_mask is not None:
            memory_mask = memory_mask[:, None, None]
        kept = []
        lower = list(self.layers)[:-1]
        for layer, before, memory in zip_longest(lower, past[: len(lower)], memories):
            units, keys_values = layer(
                units, mask, rotation=turned, past=before, memory=memory, memory_mask=memory_mask
            )
            kept.append(keys_values)
        return units, tuple(kept)

    def top(
        self, past: KeysValues | None, units: Float[Tensor, "batch position size"]
    ) -> tuple[Float[Tensor, "batch position size"], KeysValues]:
        """Run the last layer, each position attending to itself and those before.

        Args:
            past: its keys and values of the positions so far; None at the start.
            units: from :meth:`below`.

        Returns:
            The normalised units; and keys and values of all positions so far.
        """
        positions, mask = _following(past, units)
        turned = self._rotation(positions)
        units, keys_values = self.layers[-1](units, mask, rotation=turned, past=past)
        return self.norm(units), keys_values

    def _units(self, embedded: Tensor, positions: Tensor) -> Tensor:
        """Compute what the first layer reads."""
        units: Tensor = self.read(embedded)
        if self.is_rotary:
            return units
        return units + sinusoids(positions, units.shape[-1]).to(units)

    def _rotation(self, positions: Tensor) -> Rotation | None:
        return rotation(positions, self.head_size) if self.is_rotary else None


def _following(past: KeysValues | None, units: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return numbers of the positions after ``past``, and the mask of what they attend to."""
    start, length = 0 if past is None else past.shape[-2], units.shape[1]
    positions = torch.arange(start, start + length, device=units.device)
    if length == 1:
        return positions, None
    return positions, causal_mask(length, start + length, units.device)
