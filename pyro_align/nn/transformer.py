"""Transformer layers that train at the learning rates of recurrent networks."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from pyro_align.errors import ConfigError
from pyro_align.nn.encoder import Encoder


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


def transformer_layer(size: int, heads: int, dropout: float) -> nn.TransformerEncoderLayer:
    """Create a pre-norm layer (Vaswani et al. 2017) with :class:`Equalised` weights.

    Args:
        size: number of units.
        heads: number of attention heads.
        dropout: rate within the layer.
    """
    layer = nn.TransformerEncoderLayer(
        size, heads, 4 * size, dropout, batch_first=True, norm_first=True
    )
    for module, name in (
        (layer.self_attn, "in_proj_weight"),
        (layer.self_attn.out_proj, "weight"),
        (layer.linear1, "weight"),
        (layer.linear2, "weight"),
    ):
        register_parametrization(module, name, Equalised(getattr(module, name).shape[1]))
    return layer


def sinusoids(length: int, size: int) -> Float[Tensor, "position {size}"]:
    """Return sinusoidal position embeddings (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(-math.log(10000.0) * torch.arange(0, size, 2) / size)
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def check_heads(size: int, heads: int) -> None:
    """Check that a Transformer of a size can have so many heads.

    Raises:
        ConfigError: if the size is not a multiple of twice the heads.
    """
    if size % (2 * heads):
        raise ConfigError(
            f"size must be a multiple of twice the heads, got size {size} and {heads} heads"
        )


class TransformerEncoder(Encoder):
    """A Transformer encoder with sinusoidal position embeddings.

    Args:
        embedding: size of an embedding.
        size: number of units, a multiple of ``2 * heads``.
        layers: number of layers.
        heads: number of attention heads.
        dropout: rate within layers.

    Raises:
        ConfigError: if ``size`` is not a multiple of ``2 * heads``.
    """

    def __init__(self, embedding: int, size: int, layers: int, heads: int, dropout: float):
        check_heads(size, heads)
        super().__init__(size)
        self.read = nn.Linear(embedding, size)
        self.layers = nn.ModuleList(transformer_layer(size, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(size)

    def forward(
        self, embedded: Float[Tensor, "batch source embedding"], lengths: Int[Tensor, " batch"]
    ) -> Tensor:
        """Compute annotations, zero on padding; ``lengths`` must be on the CPU."""
        width = embedded.shape[1]
        mask = (torch.arange(width) < lengths.unsqueeze(1)).to(embedded.device)
        units = self.read(embedded)
        units = units + sinusoids(width, units.shape[-1]).to(units)
        for layer in self.layers:
            units = layer(units, src_key_padding_mask=~mask)
        annotations: Tensor = self.norm(units) * mask.unsqueeze(-1)
        return annotations
