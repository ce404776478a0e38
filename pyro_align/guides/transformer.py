"""A self-attentive inference network."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor, nn

from pyro_align.batch import Batch
from pyro_align.distributions import at_least_fp32, mask_logits
from pyro_align.errors import ConfigError
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.inference.plates import alignment_plates
from pyro_align.inference.sharing import shared


class TransformerGuide(AlignmentGuide):
    """``q(z_t | x, y) = softmax(u_t · W v)``, ``u`` and ``v`` outputs of one small Transformer.

    It reads source and target as one sequence (Vaswani et al. 2017, normalised first), so that
    both know of each other before they are compared. A token is its embedding, the model's own,
    plus sinusoids of its position in its sentence, plus a vector for its side.

    Args:
        model: a model with ``networks`` that hold source and target embeddings.
        size: units of a layer; a multiple of ``2 heads``.
        layers: number of layers.
        heads: attention heads.
        dropout: within layers and on their input; None for the model's own.
    """

    latent = "categorical"

    def __init__(
        self,
        model: object,
        *,
        size: int = 128,
        layers: int = 2,
        heads: int = 4,
        dropout: float | None = None,
    ):
        if size % (2 * heads):
            raise ConfigError(
                f"size must be a multiple of twice the heads, got size {size} and {heads} heads"
            )
        super().__init__(model)
        networks = self.model.networks
        rate = networks.config.dropout if dropout is None else dropout
        self.size = size
        self.sides = nn.ModuleList(
            nn.Linear(embedding.embedding_dim, size)  # its bias tells the sides apart
            for embedding in (networks.source_embedding, networks.target_embedding)
        )
        self.dropout = nn.Dropout(rate)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                size, heads, 4 * size, rate, batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(size)
        self.bilinear = nn.Linear(size, size, bias=False)

    @shared
    @pyro_method
    def scores(self, batch: Batch) -> Float[Tensor, "batch target source"]:
        """Logits of ``q``, masked where the source is padding."""
        networks = self.model.networks
        embedded = networks.source_embedding(batch.source), networks.target_embedding(batch.target)
        units = torch.cat(
            [
                side(tokens) + _sinusoids(tokens.shape[1], self.size).to(tokens)
                for side, tokens in zip(self.sides, embedded, strict=True)
            ],
            dim=1,
        )
        units = self.dropout(units)
        padding = ~torch.cat([batch.source_mask, batch.target_mask], dim=1)
        for layer in self.layers:
            units = layer(units, src_key_padding_mask=padding)
        sources, targets = self.norm(units).split([batch.source.shape[1], batch.target.shape[1]], 1)
        scores = targets @ self.bilinear(sources).transpose(1, 2) / math.sqrt(self.size)
        return mask_logits(at_least_fp32(scores), batch.source_mask.unsqueeze(1))

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``alignment``."""
        scores = self.scores(batch)
        with alignment_plates(batch):
            return pyro.sample("alignment", dist.Categorical(logits=scores))


def _sinusoids(length: int, size: int) -> Float[Tensor, "position {size}"]:
    """Sines and cosines of the position (Vaswani et al. 2017, section 3.5)."""
    rates = torch.exp(-math.log(10000.0) * torch.arange(0, size, 2) / size)
    angles = torch.arange(length).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)
