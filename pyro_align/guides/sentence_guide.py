"""Base class of guides that read a sentence with an encoder."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor, nn

from pyro_align.constraints import Layers, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.nn.convolution import ConvolutionalEncoder
from pyro_align.nn.encoder import Encoder, RecurrentEncoder, TransformerEncoder
from pyro_align.nn.pooling import pooled
from pyro_align.nn.recurrence import Cell


class SentenceGuide(AlignmentGuide):
    """Base class of approximate posteriors ``q(s | y)`` of a latent variable of the sentence.

    An encoder reads the target sentence, and the parameters of ``q`` are computed from the maximum
    over its positions. The maximum keeps sentences further apart than the last state of a recurrent
    network, which makes a collapse less likely (Long et al. 2019). If there is a source, ``q(s | x,
    y)`` also reads what the model's prior does, the mean annotation (Zhang et al. 2016).

    Args:
        model: a model with a site ``sentence``, such as
            :class:`~pyro_align.models.SentenceModel`.
        encoder: ``recurrent``, ``convolutional`` or ``transformer``.
        cell: cell of a recurrent encoder.
        hidden: number of units of each direction of a recurrent encoder, half the number of others.
        layers: number of layers of the encoder.
        kernel: width of the convolutions of a convolutional encoder.
        heads: number of attention heads of a Transformer.
        dropout: rate on embeddings and between layers; None to use the model's.
        share_embeddings: use the model's embeddings instead of separate ones.
    """

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
        self.own_features = None if share_embeddings else networks.new_target_features()
        self.dropout = nn.Dropout(rate)
        embedding = networks.target_embedding.embedding_dim
        self.encoder: Encoder
        if encoder == "convolutional":
            self.encoder = ConvolutionalEncoder(embedding, 2 * hidden, layers, kernel, rate)
        elif encoder == "transformer":
            self.encoder = TransformerEncoder(embedding, 2 * hidden, layers, heads, rate)
        else:
            self.encoder = RecurrentEncoder(cell, embedding, hidden, layers, rate)

        self.encoded_size = self.encoder.annotation_size + self.model.context_size

    @pyro_method
    def encoded(self, batch: Batch) -> Float[Tensor, "batch encoded"]:
        """Return a vector of each sentence, or of each pair."""
        if self.own_features is None:
            *_, embedded = self.model.features(batch)
        else:
            embedded = self.own_features(batch.target)
        annotations = self.encoder(self.dropout(embedded), batch.target_lengths)
        return torch.cat([pooled(annotations, batch.target_mask), self.model.context(batch)], 1)
