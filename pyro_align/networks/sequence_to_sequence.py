"""Encoder-decoder networks: map a batch to decoder states and attention scores."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pyro_align.data.batch import BOS, PAD, UNK, TextBatch
from pyro_align.errors import ConfigError
from pyro_align.networks.config import NetworkConfig
from pyro_align.networks.network import AutoregressiveNetwork, States
from pyro_align.nn import EMISSIONS, SCORERS
from pyro_align.nn.decoder import (
    Decoder,
    DecoderState,
    InputFeedingDecoder,
    Memory,
    PlainDecoder,
)
from pyro_align.nn.encoder import Encoder


class SequenceToSequence(AutoregressiveNetwork):
    """Embeddings, encoder, decoder, scorer and emission.

    Args:
        config: architecture.
        source_vocabulary: size of the source vocabulary.
        target_vocabulary: size of the target vocabulary.

    Attributes:
        feature_sizes: sizes of a source and of a target feature, see :meth:`features`.
        hidden_size: size of a decoder state.
        annotation_size: size of a source annotation.
        cell: recurrent cell of encoder and decoder, which guides use too.
        dropout_rate: rate of dropout, the default of guides.

    Raises:
        ConfigError: if all embeddings are tied but the vocabularies differ in size.
    """

    def __init__(self, config: NetworkConfig, source_vocabulary: int, target_vocabulary: int):
        super().__init__()
        tie = config.tie_embeddings
        if tie == "all" and source_vocabulary != target_vocabulary:
            raise ConfigError(
                f"tie_embeddings = 'all' needs one joint vocabulary, but the source has "
                f"{source_vocabulary} tokens and the target {target_vocabulary}: set "
                f"vocabulary.joint = true, or network.tie_embeddings = 'output'"
            )
        decoder_class: type[Decoder] = InputFeedingDecoder if config.input_feeding else PlainDecoder
        self.config = config
        self.target_embedding = _embedding(target_vocabulary, config.embedding)
        self.source_embedding = (
            self.target_embedding
            if tie == "all"
            else _embedding(source_vocabulary, config.embedding)
        )
        self.feature_sizes = (config.embedding, config.embedding)
        self.hidden_size = config.decoder_hidden
        self.cell = config.cell
        self.dropout_rate = config.dropout
        self.encoder = Encoder(
            config.cell,
            config.embedding,
            config.encoder_hidden,
            config.encoder_layers,
            config.dropout,
        )
        self.annotation_size = annotation = self.encoder.annotation_size
        self.decoder = decoder_class(
            config.cell,
            config.embedding,
            config.decoder_hidden,
            config.decoder_layers,
            annotation,
            SCORERS[config.attention](config.decoder_hidden, annotation, config.attention_hidden),
            config.dropout,
        )
        output = (
            nn.Parameter(torch.randn(target_vocabulary, config.decoder_hidden) * 0.05)
            if tie == "none"
            else self.target_embedding.weight
        )
        read = annotation + config.embedding * config.lexical
        self.emission = EMISSIONS[config.emission](read, config.decoder_hidden, output)
        self.dropout = nn.Dropout(config.dropout)

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        mask: Bool[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
    ) -> Memory:
        """Encode source sentences; ``lengths`` must be on the CPU."""
        embedded = self.dropout(self.source_embedding(source))
        annotations = self.dropout(self.encoder(embedded, lengths))
        read = torch.cat([annotations, embedded], -1) if self.config.lexical else annotations
        return Memory(
            annotations=annotations,
            keys=self.decoder.scorer.keys(annotations),
            values=self.emission.values(read),
            mask=mask,
        )

    def initial(self, memory: Memory) -> DecoderState:
        """Compute the state of the decoder before the first token."""
        return self.decoder.initial(memory)

    def decode(
        self, tokens: Int[Tensor, "batch target"], state: DecoderState, memory: Memory
    ) -> tuple[States, DecoderState]:
        """Run the decoder over target tokens, starting from a state.

        Returns:
            The states, of which position ``t`` depends on ``tokens[:, : t + 1]`` and predicts the
            next token; and the decoder state after the last token.
        """
        embedded = self.dropout(self.target_embedding(tokens))
        hidden, scores, after = self.decoder(embedded, state, memory)
        positions = torch.arange(state.position, after.position, device=tokens.device)
        return States(memory, self.dropout(hidden), scores, positions.unsqueeze(0), tokens), after

    def features(
        self, batch: TextBatch
    ) -> tuple[Float[Tensor, "batch source f"], Float[Tensor, "batch target g"]]:
        """Return embeddings of the source and target tokens, for guides and baselines."""
        return self.source_embedding(batch.source), self.target_embedding(batch.target)

    def new_features(self) -> TokenFeatures:
        """Create a module that computes features of the same sizes with separate weights."""
        return TokenFeatures(self.source_embedding, self.target_embedding)

    def forward(self, batch: TextBatch) -> States:
        """Compute states and scores for every target position under teacher forcing.

        In training mode ``word_dropout`` replaces decoder inputs by the unknown token (Bowman et
        al. 2016), so that the decoder relies more on the source.
        """
        memory = self.encode(batch.source, batch.source_mask, batch.source_lengths)
        tokens = batch.target_input
        if self.training and self.config.word_dropout > 0:
            hidden = torch.rand(tokens.shape, device=tokens.device) < self.config.word_dropout
            tokens = tokens.masked_fill(hidden & (tokens != BOS), UNK)
        states, _ = self.decode(tokens, self.initial(memory), memory)
        return states


class TokenFeatures(nn.Module):
    """Embeddings of source and target tokens.

    Args:
        source: an embedding whose sizes the source embedding copies.
        target: an embedding whose sizes the target embedding copies.
    """

    def __init__(self, source: nn.Embedding, target: nn.Embedding):
        super().__init__()
        self.source, self.target = (
            nn.Embedding(side.num_embeddings, side.embedding_dim, PAD) for side in (source, target)
        )

    def forward(
        self, batch: TextBatch
    ) -> tuple[Float[Tensor, "batch source f"], Float[Tensor, "batch target g"]]:
        """Return features of the source and target tokens."""
        return self.source(batch.source), self.target(batch.target)


def _embedding(vocabulary: int, size: int) -> nn.Embedding:
    embedding = nn.Embedding(vocabulary, size, padding_idx=PAD)
    nn.init.normal_(embedding.weight, std=0.05)
    with torch.no_grad():
        embedding.weight[PAD].zero_()
    return embedding
