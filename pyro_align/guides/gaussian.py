"""A Gaussian for each sentence, from an encoder of the sentence."""

from __future__ import annotations

from typing import Any, Literal

import pyro.distributions as dist
import torch
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor, nn

from pyro_align.constraints import Layers, Rate, Size
from pyro_align.data.batch import SentenceBatch
from pyro_align.distributions import at_least_fp32
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.nn.convolution import ConvolutionalEncoder
from pyro_align.nn.encoder import Encoder, RecurrentEncoder
from pyro_align.nn.pooling import pooled
from pyro_align.nn.recurrence import Cell
from pyro_align.nn.transformer import TransformerEncoder


class GaussianGuide(AlignmentGuide):
    """``q(s | y) = N(μ(y), diag σ(y)²)``: the inference network of Kingma & Welling (2014).

    An encoder reads the sentence, and ``μ`` and ``log σ`` are linear in the maximum over its
    positions. The maximum keeps sentences further apart than the last state of a recurrent network,
    which makes a collapse less likely (Long et al. 2019).

    Args:
        model: a :class:`~pyro_align.models.SentenceModel` with a Gaussian ``sentence``.
        encoder: ``recurrent``, ``convolutional`` or ``transformer``.
        cell: cell of a recurrent encoder.
        hidden: number of units of each direction of a recurrent encoder, half the number of others.
        layers: number of layers of the encoder.
        kernel: width of the convolutions of a convolutional encoder.
        heads: number of attention heads of a Transformer.
        dropout: rate on embeddings and between layers; None to use the model's.
        share_embeddings: use the model's embeddings instead of separate ones.
    """

    latents = {"sentence": "gaussian"}

    def __init__(
        self,
        model: object,
        *,
        encoder: Literal["recurrent", "convolutional", "transformer"] = "recurrent",
        cell: Cell = "lstm",
        hidden: Size = 128,
        layers: Layers = 1,
        kernel: Size = 3,
        heads: Size = 4,
        dropout: Rate | None = None,
        share_embeddings: bool = False,
    ):
        super().__init__(model)
        networks = self.model.networks
        rate = networks.dropout_rate if dropout is None else dropout
        self.own_features = None if share_embeddings else networks.new_features()
        self.dropout = nn.Dropout(rate)
        embedding = networks.embedding.embedding_dim
        self.encoder: Encoder
        if encoder == "convolutional":
            self.encoder = ConvolutionalEncoder(embedding, 2 * hidden, layers, kernel, rate)
        elif encoder == "transformer":
            self.encoder = TransformerEncoder(embedding, 2 * hidden, layers, heads, rate)
        else:
            self.encoder = RecurrentEncoder(cell, embedding, hidden, layers, rate)
        self.parameters_of = nn.Linear(self.encoder.annotation_size, 2 * networks.latent_size)

    @pyro_method
    def moments(
        self, batch: SentenceBatch
    ) -> tuple[Float[Tensor, "batch latent"], Float[Tensor, "batch latent"]]:
        """Return mean and standard deviation of each sentence."""
        if self.own_features is None:
            embedded = self.model.features(batch)
        else:
            embedded = self.own_features(batch.target)
        annotations = self.encoder(self.dropout(embedded), batch.target_lengths)
        read = pooled(annotations, batch.target_mask)
        mean, log_scale = at_least_fp32(self.parameters_of(read)).chunk(2, -1)
        return mean, torch.exp(log_scale)

    @pyro_method
    def posterior(self, batch: SentenceBatch) -> dict[str, Any]:
        """Return a Normal for each sentence."""
        mean, scale = (each.unsqueeze(1) for each in self.moments(batch))
        return {"sentence": dist.Normal(mean, scale).to_event(1)}
