"""Encoder-decoder networks: map a batch to decoder states and attention scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pyro_align.data.batch import BOS, PAD, UNK, TextBatch
from pyro_align.errors import ConfigError
from pyro_align.networks.config import NetworkConfig
from pyro_align.networks.network import AutoregressiveNetwork, States
from pyro_align.nn import EMISSIONS, SCORERS, CopyEmission, Emission, SparseProductEmission
from pyro_align.nn.decoder import Decoder, DecoderState, Memory
from pyro_align.nn.encoder import Encoder, RecurrentEncoder, TransformerEncoder
from pyro_align.nn.recurrence import Cell
from pyro_align.nn.recurrent_decoder import (
    InputFeedingDecoder,
    PlainDecoder,
    PosteriorFeedingDecoder,
    RecurrentDecoder,
)
from pyro_align.nn.transformer_decoder import (
    PosteriorFeedingTransformerDecoder,
    TransformerDecoder,
)


class SequenceToSequence(AutoregressiveNetwork):
    """Embeddings, encoder, decoder with attention scorer, and emission.

    The parts are passed in, and may share parameters; :meth:`from_config` creates those that a
    configuration describes.

    Args:
        source_embedding: maps source ids to vectors.
        target_embedding: maps target ids to vectors.
        encoder: maps source embeddings to annotations.
        decoder: maps target embeddings to decoder states and attention scores.
        emission: maps decoder states and contexts to token distributions.
        lexical: whether the emission reads the source embedding as well as the annotation, as a
            concatenation.
        dropout: rate on embeddings, annotations and decoder states; also the default of guides.
        word_dropout: probability that the decoder does not read a target word, in training.
        cell: recurrent cell of guides.
    """

    def __init__(
        self,
        source_embedding: nn.Embedding,
        target_embedding: nn.Embedding,
        encoder: Encoder,
        decoder: Decoder,
        emission: Emission,
        *,
        lexical: bool = False,
        dropout: float = 0.0,
        word_dropout: float = 0.0,
        cell: Cell = "lstm",
    ):
        super().__init__()
        self.target_embedding = target_embedding
        self.source_embedding = source_embedding
        self.encoder = encoder
        self.decoder = decoder
        self.emission = emission
        self.dropout = nn.Dropout(dropout)
        self.feature_sizes = source_embedding.embedding_dim, target_embedding.embedding_dim
        self.hidden_size = decoder.hidden
        self.annotation_size = encoder.annotation_size
        self.lexical = lexical
        self.dropout_rate = dropout
        self.word_dropout = word_dropout
        self.cell = cell

    @classmethod
    def from_config(
        cls,
        config: NetworkConfig,
        source_vocabulary: int,
        target_vocabulary: int,
        copies: Sequence[int] | None = None,
        candidates: Int[Tensor, "source_vocabulary number"] | None = None,
    ) -> SequenceToSequence:
        """Create the network that a configuration describes.

        Args:
            config: architecture.
            source_vocabulary: size of the source vocabulary.
            target_vocabulary: size of the target vocabulary.
            copies: for each source id the target id of the same token, negative if there is none;
                needed if the configuration has ``copying``.
            candidates: for each source id the target ids that may translate it, negative if there
                are fewer; needed for the emission ``sparse-product``.

        Raises:
            ConfigError: if all embeddings are tied but the vocabularies differ in size, or
                ``copies`` or ``candidates`` are missing.
        """
        tie = config.tie_embeddings
        if tie == "all" and source_vocabulary != target_vocabulary:
            raise ConfigError(
                f"tie_embeddings = 'all' needs one joint vocabulary, but the source has "
                f"{source_vocabulary} tokens and the target {target_vocabulary}: set "
                f"vocabulary.joint = true, or network.tie_embeddings = 'output'"
            )
        # The order of these lines is that of the random draws.
        target = token_embedding(target_vocabulary, config.embedding)
        source = target if tie == "all" else token_embedding(source_vocabulary, config.embedding)
        encoder = _encoder(config)
        annotation, hidden = encoder.annotation_size, config.decoder_hidden
        decoder = _decoder(config, annotation)
        output = (
            nn.Parameter(torch.randn(target_vocabulary, hidden) * 0.05)
            if tie == "none"
            else target.weight
        )
        read = annotation + config.embedding * config.lexical
        if config.emission != "sparse-product":
            emission: Emission = EMISSIONS[config.emission](read, hidden, output)
        elif candidates is None:
            raise ConfigError(
                "network.emission = 'sparse-product' needs candidates of every source token: pass "
                "candidates=translation_candidates(...), see pyro_align.data"
            )
        else:
            emission = SparseProductEmission(read, hidden, output, candidates, config.dropout)
        if config.copying:
            if copies is None:
                raise ConfigError(
                    "network.copying = true needs the target id of every source token: pass "
                    "copies=counterparts(source, target), see pyro_align.data.copies"
                )
            emission = CopyEmission(emission, read, hidden, torch.tensor(copies))
        return cls(
            source,
            target,
            encoder,
            decoder,
            emission,
            lexical=config.lexical,
            dropout=config.dropout,
            word_dropout=config.word_dropout,
            cell=config.cell,
        )

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        mask: Bool[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
    ) -> Memory:
        """Encode source sentences; ``lengths`` must be on the CPU."""
        embedded = self.dropout(self.source_embedding(source))
        annotations = self.dropout(self.encoder(embedded, lengths))
        read = torch.cat([annotations, embedded], -1) if self.lexical else annotations
        return Memory(
            annotations=annotations,
            keys=self.decoder.scorer.keys(annotations),
            values=self.emission.values(self.emission.annotate(read, source)),
            mask=mask,
            layers=self.decoder.layers_memory(annotations),
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
        if memory.added is not None:
            embedded = embedded + memory.added.unsqueeze(1)

        @cache  # for all positions; most decoders need none
        def factors() -> Any:
            return self.emission.factors(memory.values)

        def likelihood(hidden: Tensor, number: int) -> Tensor:
            token = tokens[:, number].unsqueeze(1)
            return self.emission.log_likelihoods(hidden, memory.values, token, factors())

        hidden, scores, after = self.decoder(embedded, state, memory, likelihood)
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

    def new_target_features(self) -> nn.Embedding:
        """Create an embedding of target tokens of the same size with separate weights."""
        return token_embedding(*self.target_embedding.weight.shape)

    def forward(self, batch: TextBatch) -> States:
        """Compute states and scores for every target position under teacher forcing."""
        memory = self.encode(batch.source, batch.source_mask, batch.source_lengths)
        return self.follow(batch, memory)

    def follow(self, batch: TextBatch, memory: Memory) -> States:
        """Compute states and scores, given the encoded sources.

        In training mode ``word_dropout`` replaces decoder inputs by the unknown token (Bowman et
        al. 2016), so that the decoder relies more on the source.
        """
        tokens = batch.target_input
        if self.training and self.word_dropout > 0:
            hidden = torch.rand(tokens.shape, device=tokens.device) < self.word_dropout
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


def token_embedding(vocabulary: int, size: int) -> nn.Embedding:
    """Create an embedding with small values, and zero for :data:`~pyro_align.data.batch.PAD`."""
    embedding = nn.Embedding(vocabulary, size, padding_idx=PAD)
    nn.init.normal_(embedding.weight, std=0.05)
    with torch.no_grad():
        embedding.weight[PAD].zero_()
    return embedding


_RECURRENT_DECODERS: dict[bool | str, type[RecurrentDecoder]] = {
    False: PlainDecoder,
    True: InputFeedingDecoder,
    "posterior": PosteriorFeedingDecoder,
}


def _encoder(config: NetworkConfig) -> Encoder:
    """Create the encoder of a configuration."""
    sizes = (config.embedding, config.encoder_hidden, config.encoder_layers)
    if config.encoder_kind == "recurrent":
        return RecurrentEncoder(config.cell, *sizes, config.dropout)
    return TransformerEncoder(
        *sizes,
        config.heads,
        config.dropout,
        feedforward=config.feedforward,
        positions=config.positions,
    )


def _decoder(config: NetworkConfig, annotation: int) -> Decoder:
    """Create the decoder of a configuration, for annotations of a size."""
    hidden = config.decoder_hidden
    scorer = SCORERS[config.scorer](hidden, annotation, config.attention_hidden)
    sizes = (config.embedding, hidden, config.decoder_layers, annotation, scorer, config.dropout)
    if config.decoder_kind == "recurrent":
        return _RECURRENT_DECODERS[config.input_feeding](config.cell, *sizes)
    kind = PosteriorFeedingTransformerDecoder if config.input_feeding else TransformerDecoder
    return kind(
        *sizes,
        heads=config.heads,
        feedforward=config.feedforward,
        positions=config.positions,
    )
