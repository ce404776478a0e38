"""Transformer inference network."""

from __future__ import annotations

import math

import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from pyro_align.constraints import Layers, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.data.sharing import shared
from pyro_align.distributions import at_least_fp32, mask_logits
from pyro_align.errors import ConfigError
from pyro_align.guides.alignment_guide import AlignmentGuide

NEIGHBOURS = 2
"""Number of neighbouring tokens on either side in the input convolution."""


class TransformerGuide(AlignmentGuide):
    """``q(z_t | x, y) = softmax(u_t · W v)`` with ``u`` and ``v`` from one small Transformer.

    The Transformer (Vaswani et al. 2017, pre-norm) encodes source and target as one sequence, so
    that each side attends to the other. Its input is a convolution over the embeddings of a token
    and its neighbours, one convolution per side, plus sinusoidal position embeddings.

    The weights of the layers have an equalised learning rate, see :class:`Equalised`: without it
    and without a learning-rate warm-up, the learning rates of recurrent networks make training
    diverge within a few steps. Without the convolution the guide would depend on words and absolute
    positions only, until its layers have learnt to attend to nearby tokens.

    Args:
        model: an :class:`~pyro_align.models.AlignmentModel`.
        size: number of units per layer; a multiple of ``2 * heads``.
        layers: number of layers.
        heads: number of attention heads.
        dropout: rate within layers and on their input; None to use the model's.
        share_embeddings: use the model's embeddings instead of separate ones.
    """

    latents = {"alignment": "categorical"}

    def __init__(
        self,
        model: object,
        *,
        size: Size = 128,
        layers: Layers = 2,
        heads: Size = 4,
        dropout: Rate | None = None,
        share_embeddings: bool = True,
    ):
        if size % (2 * heads):
            raise ConfigError(
                f"size must be a multiple of twice the heads, got size {size} and {heads} heads"
            )
        super().__init__(model)
        networks = self.model.networks
        rate = networks.dropout_rate if dropout is None else dropout
        self.size = size
        self.own_features = None if share_embeddings else networks.new_features()
        self.sides = nn.ModuleList(
            # The biases distinguish the two sides.
            nn.Conv1d(feature, size, 2 * NEIGHBOURS + 1, padding=NEIGHBOURS)
            for feature in networks.feature_sizes
        )
        self.dropout = nn.Dropout(rate)
        self.layers = nn.ModuleList(_layer(size, heads, rate) for _ in range(layers))
        self.norm = nn.LayerNorm(size)
        self.bilinear = nn.Linear(size, size, bias=False)

    @shared
    @pyro_method
    def scores(self, batch: Batch) -> Float[Tensor, "batch target source"]:
        """Compute the logits of ``q``, masked on source padding."""
        features = (self.own_features or self.model.features)(batch)
        masks = (batch.source_mask, batch.target_mask)
        read = []
        for side, feature, mask in zip(self.sides, features, masks, strict=True):
            embedded = feature * mask.unsqueeze(-1)
            here = side(embedded.transpose(1, 2)).transpose(1, 2)
            read.append(here + _sinusoids(mask.shape[1], self.size).to(embedded))
        units = self.dropout(torch.cat(read, dim=1))
        padding = ~torch.cat([batch.source_mask, batch.target_mask], dim=1)
        for layer in self.layers:
            units = layer(units, src_key_padding_mask=padding)
        sources, targets = self.norm(units).split([mask.shape[1] for mask in masks], 1)
        scores = targets @ self.bilinear(sources).transpose(1, 2) / math.sqrt(self.size)
        return mask_logits(at_least_fp32(scores), batch.source_mask.unsqueeze(1))

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, dist.Categorical]:
        """Return a Categorical with :meth:`scores` as logits."""
        return {"alignment": dist.Categorical(logits=self.scores(batch))}


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


def _layer(size: int, heads: int, dropout: float) -> nn.TransformerEncoderLayer:
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


def _sinusoids(length: int, size: int) -> Float[Tensor, "position {size}"]:
    """Return sinusoidal position embeddings (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(-math.log(10000.0) * torch.arange(0, size, 2) / size)
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
