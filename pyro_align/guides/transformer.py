"""Transformer inference network."""

from __future__ import annotations

import math

import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor, nn

from pyro_align.constraints import Layers, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.data.sharing import shared
from pyro_align.distributions import at_least_fp32, mask_logits
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.nn.positions import sinusoids
from pyro_align.nn.transformer_layer import TransformerLayer, check_heads

NEIGHBOURS = 2
"""Number of neighbouring tokens on either side in the input convolution."""


class TransformerGuide(AlignmentGuide):
    """``q(z_t | x, y) = softmax(u_t · W v)`` with ``u`` and ``v`` from one small Transformer.

    The Transformer (Vaswani et al. 2017, pre-norm) encodes source and target as one sequence, so
    that each side attends to the other. Its input is a convolution over the embeddings of a token
    and its neighbours, one convolution per side, plus sinusoidal position embeddings.

    The weights of the layers have an equalised learning rate, see
    :class:`~pyro_align.nn.transformer_layer.Equalised`: without it
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
        check_heads(size, heads)
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
        self.layers = nn.ModuleList(TransformerLayer(size, heads, rate) for _ in range(layers))
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
            places = torch.arange(mask.shape[1], device=mask.device)
            read.append(here + sinusoids(places, self.size).to(embedded))
        units = self.dropout(torch.cat(read, dim=1))
        mask = torch.cat([batch.source_mask, batch.target_mask], dim=1)[:, None, None]
        for layer in self.layers:
            units, _ = layer(units, mask)
        sources, targets = self.norm(units).split([mask.shape[1] for mask in masks], 1)
        scores = targets @ self.bilinear(sources).transpose(1, 2) / math.sqrt(self.size)
        return mask_logits(at_least_fp32(scores), batch.source_mask.unsqueeze(1))

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, dist.Categorical]:
        """Return a Categorical with :meth:`scores` as logits."""
        return {"alignment": dist.Categorical(logits=self.scores(batch))}
