"""A self-attentive inference network."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

from pyro_align.batch import Batch
from pyro_align.constraints import Layers, Rate, Size
from pyro_align.distributions import at_least_fp32, mask_logits
from pyro_align.errors import ConfigError
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.inference.plates import alignment_plates
from pyro_align.inference.sharing import shared

NEIGHBOURS = 2
"""Tokens on either side that a token is read with."""


class TransformerGuide(AlignmentGuide):
    """``q(z_t | x, y) = softmax(u_t · W v)``, ``u`` and ``v`` outputs of one small Transformer.

    It reads source and target as one sequence (Vaswani et al. 2017, normalised first), so that
    both know of each other before they are compared. A token is read off its embedding and its
    neighbours' by a convolution for each side, plus sinusoids of its position in
    its sentence.

    The weights of the layers have an equalised learning rate, see :class:`Equalised`: at the rates
    that recurrent networks take, with no warm-up, they would otherwise be driven in a few steps to
    where nothing is learnt any more. Without neighbours the guide would have only words and
    absolute positions to go by until its layers have learnt to attend to what is near.

    Args:
        model: an :class:`~pyro_align.models.AlignmentModel`.
        size: units of a layer; a multiple of ``2 heads``.
        layers: number of layers.
        heads: attention heads.
        dropout: within layers and on their input; None for the model's own.
        share_embeddings: read the model's embeddings rather than own ones.
    """

    latent = "categorical"

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
        rate = networks.config.dropout if dropout is None else dropout
        self.size = size
        self.own_features = None if share_embeddings else networks.new_features()
        self.sides = nn.ModuleList(
            # Its bias tells the sides apart.
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
        """Logits of ``q``, masked where the source is padding."""
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

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``alignment``."""
        scores = self.scores(batch)
        with alignment_plates(batch):
            return pyro.sample("alignment", dist.Categorical(logits=scores))


class Equalised(nn.Module):
    """Keeps a weight ``√inputs`` times as large as it acts (Karras et al. 2018, section 4.1).

    A step of Adam has the same size whatever the weight's. Here it moves the weight by a
    ``√inputs``-th of that, so that the sums over its inputs move as much in a wide layer as in a
    narrow one.

    Args:
        inputs: numbers that each output sums over.
    """

    def __init__(self, inputs: int):
        super().__init__()
        self.scale = math.sqrt(inputs)

    def forward(self, kept: Tensor) -> Tensor:
        """The weight that acts."""
        return kept / self.scale

    def right_inverse(self, weight: Tensor) -> Tensor:
        """What is kept of a weight."""
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
    """Sines and cosines of the position (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(-math.log(10000.0) * torch.arange(0, size, 2) / size)
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
