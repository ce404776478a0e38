"""Networks of sentences: an autoregressive decoder that may read a latent vector."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pyro_align.data.batch import BOS, UNK, Batch, SentenceBatch
from pyro_align.distributions import VocabularyCategorical
from pyro_align.networks.language_config import LanguageNetworkConfig
from pyro_align.networks.sequence_to_sequence import token_embedding
from pyro_align.nn import (
    ConvolutionalLanguageDecoder,
    LanguageDecoder,
    LanguageState,
    RecurrentLanguageDecoder,
    TransformerLanguageDecoder,
)
from pyro_align.nn.language import start_small


class LanguageNetwork(nn.Module):
    """``p(y_t | y_<t, s)`` of sentences ``y``: embedding, decoder and output layer.

    Args:
        embedding: maps token ids to vectors.
        decoder: maps embeddings and a latent vector to decoder states.
        tied: use the embedding as output layer too.
        skip: add a linear map of the latent vector to what the output layer reads (Dieng et al.
            2019), so that it need not pass through the decoder.
        dropout: rate on embeddings and decoder states; also the default of guides.
        word_dropout: probability that the decoder does not read a word, in training (Bowman et al.
            2016, section 3.1); 1 for a decoder that reads no words.
    """

    def __init__(
        self,
        embedding: nn.Embedding,
        decoder: LanguageDecoder,
        *,
        tied: bool = True,
        skip: bool = False,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
    ):
        super().__init__()
        size = embedding.embedding_dim
        self.embedding = embedding
        self.decoder = decoder
        self.latent_size = decoder.latent
        self.project = nn.Linear(decoder.hidden, size) if decoder.hidden != size else nn.Identity()
        self.weight = (
            embedding.weight if tied else nn.Parameter(torch.randn_like(embedding.weight) * 0.05)
        )
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings))
        self.skip = nn.Linear(self.latent_size, size, bias=False) if skip else None
        if self.skip is not None:
            start_small(self.skip, self.latent_size)
        self.dropout = nn.Dropout(dropout)
        self.dropout_rate = dropout
        self.word_dropout = word_dropout

    @classmethod
    def from_config(
        cls, config: LanguageNetworkConfig, vocabulary: int, latent: int
    ) -> LanguageNetwork:
        """Create the network that a configuration describes.

        Args:
            config: architecture.
            vocabulary: number of tokens.
            latent: size of the latent vector; 0 for a language model without one.
        """
        return cls(
            token_embedding(vocabulary, config.embedding),
            _decoder(config, latent),
            tied=config.tie_embeddings,
            skip=config.skip and latent > 0,
            dropout=config.dropout,
            word_dropout=config.word_dropout,
        )

    @property
    def target_embedding(self) -> nn.Embedding:
        """The embedding of the tokens."""
        return self.embedding

    def features(self, batch: Batch) -> tuple[Float[Tensor, "batch target embedding"]]:
        """Return embeddings of the tokens, for guides."""
        return (self.embedding(batch.target),)

    def new_target_features(self) -> nn.Embedding:
        """Create an embedding of the same size with separate weights, for guides."""
        return token_embedding(self.embedding.num_embeddings, self.embedding.embedding_dim)

    def forward(
        self, batch: SentenceBatch, latent: Float[Tensor, "*draws batch 1 latent"] | None = None
    ) -> VocabularyCategorical:
        """Return the distribution of every token under teacher forcing.

        Args:
            batch: the sentences.
            latent: latent vector of each sentence, or several draws of it; None without one.

        Returns:
            A distribution of batch shape ``(*draws, sentences, positions)``.
        """
        tokens = batch.target_input
        if self.training and self.word_dropout > 0:
            unread = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
            tokens = tokens.masked_fill(unread & (tokens != BOS), UNK)
        if latent is None:
            latent = self.weight.new_zeros(len(tokens), 1, 0)
        draws, rows = latent.shape[:-3], latent.flatten(end_dim=-2)
        read = tokens.expand(*draws, *tokens.shape).reshape(len(rows), -1)
        features, _ = self.decode(read, self.decoder.initial(rows))
        return self.emission(features.unflatten(0, (*draws, len(tokens))))

    def initial(self, latent: Float[Tensor, "row latent"]) -> LanguageState:
        """Return the state of the decoder before the first token."""
        return self.decoder.initial(latent)

    def decode(
        self, tokens: Int[Tensor, "row target"], state: LanguageState
    ) -> tuple[Float[Tensor, "row target feature"], LanguageState]:
        """Run the decoder over input tokens, starting from a state.

        Returns:
            What :meth:`emission` reads, of which position ``t`` depends on ``tokens[:, : t + 1]``
            and predicts the next token; and the state after the last token.
        """
        hidden, after = self.decoder(self.dropout(self.embedding(tokens)), state)
        features = self.dropout(self.project(hidden))
        if self.skip is not None:
            features = features + self.skip(state.latent).unsqueeze(1)
        return features, after

    def emission(self, features: Float[Tensor, "*shape feature"]) -> VocabularyCategorical:
        """Return the distribution of the next token."""
        return VocabularyCategorical(features, self.weight, self.bias)


def _decoder(config: LanguageNetworkConfig, latent: int) -> LanguageDecoder:
    """Create the decoder of a configuration."""
    size, hidden, layers = config.embedding, config.hidden, config.layers
    if config.decoder == "convolutional":
        return ConvolutionalLanguageDecoder(
            size, hidden, layers, config.kernel, config.dropout, latent=latent
        )
    if config.decoder == "transformer":
        return TransformerLanguageDecoder(
            size, hidden, layers, config.heads, config.dropout, latent=latent
        )
    return RecurrentLanguageDecoder(
        config.cell,
        size,
        hidden,
        layers,
        config.dropout,
        latent=latent,
        at_start=config.latent_input != "steps",
        at_steps=config.latent_input != "start",
    )
