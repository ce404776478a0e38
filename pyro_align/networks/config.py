"""Configuration of the networks of a model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pyro_align.constraints import Layers, Rate, Size, Table

Kind = Literal["recurrent", "transformer"]
"""Kind of an encoder or decoder."""


class NetworkConfig(Table):
    """Architecture of a :class:`SequenceToSequence`, except its vocabulary sizes."""

    kind: Kind = Field("recurrent", description="encoder and decoder")
    encoder: Kind | None = Field(None, description="encoder, if it differs from network.kind")
    decoder: Kind | None = Field(None, description="decoder, if it differs from network.kind")
    cell: Literal["lstm", "gru"] = Field("lstm", description="cell of recurrent networks")
    embedding: Size = Field(256, description="size of a token embedding")
    encoder_hidden: Size = Field(
        128, description="units of the encoder, of each direction if it is recurrent"
    )
    encoder_layers: Layers = Field(1, description="layers of the encoder")
    decoder_hidden: Size = Field(256, description="units of the decoder")
    decoder_layers: Layers = Field(1, description="layers of the decoder")
    heads: Size = Field(4, description="attention heads of a Transformer")
    feedforward: Size = Field(
        1024, description="units between the feed-forward layers of a Transformer"
    )
    positions: Literal["sinusoidal", "rotary"] = Field(
        "rotary", description="position embeddings of a Transformer"
    )
    input_feeding: bool | Literal["posterior"] = Field(
        False,
        description="feed the decoder the expected context of the last position, if it is "
        "recurrent; 'posterior': given the token just read, any decoder",
    )
    attention: Literal["dot", "general", "scaled", "mlp"] | None = Field(
        None, description="attention scorer; default: general, of a Transformer decoder scaled"
    )
    attention_hidden: Size = Field(256, description="units of the scaled and mlp scorers")
    emission: Literal["tanh", "product", "sparse-product"] = Field(
        "product",
        description="'tanh': the paper's; 'product': two experts, cheap to sum over alignments; "
        "'sparse-product': the source word raises the probability of its candidates only, cheapest",
    )
    candidates: Size = Field(
        32,
        description="target tokens of each source token that the sparse-product emission may raise",
    )
    copying: bool = Field(
        False,
        description="the emission may copy the aligned source token; for small vocabularies, such "
        "as characters",
    )
    lexical: bool = Field(
        True, description="the emission reads the source embedding as well as the annotation"
    )
    tie_embeddings: Literal["none", "output", "all"] = Field(
        "output",
        description="'output': target embedding and output layer are one matrix; 'all': the "
        "source embedding too, which needs a joint vocabulary",
    )
    dropout: Rate = Field(0.3, description="dropout on embeddings and between layers")
    word_dropout: Rate = Field(
        0.0, description="probability that the decoder does not read a target word"
    )

    @property
    def encoder_kind(self) -> Kind:
        """Kind of the encoder."""
        return self.encoder or self.kind

    @property
    def decoder_kind(self) -> Kind:
        """Kind of the decoder."""
        return self.decoder or self.kind

    @property
    def scorer(self) -> str:
        """Name of the attention scorer."""
        return self.attention or ("general" if self.decoder_kind == "recurrent" else "scaled")

    @model_validator(mode="after")
    def _check(self) -> NetworkConfig:
        sizes = {"encoder_hidden": self.encoder_kind, "decoder_hidden": self.decoder_kind}
        for name, kind in sizes.items():
            size = getattr(self, name)
            if kind == "transformer" and size % (2 * self.heads):
                raise ValueError(
                    f"network.{name} of a Transformer must be a multiple of twice network.heads, "
                    f"got {size} and {self.heads} heads"
                )
        if self.copying and self.emission == "sparse-product":
            raise ValueError(
                "network.copying = true is for small vocabularies, where a sparse product saves no "
                "time: set network.emission to 'product' or 'tanh'"
            )
        if self.input_feeding is True and self.decoder_kind == "transformer":
            raise ValueError(
                "network.input_feeding = true needs a recurrent decoder: set it to 'posterior' or "
                "false, or network.decoder = 'recurrent'"
            )
        return self
