"""Configuration of the networks of a model."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pyro_align.constraints import Layers, Rate, Size, Table


class NetworkConfig(Table):
    """Architecture of a :class:`SequenceToSequence`, except its vocabulary sizes."""

    cell: Literal["lstm", "gru"] = Field("lstm", description="recurrent cell of both sides")
    embedding: Size = Field(256, description="size of a token embedding")
    encoder_hidden: Size = Field(128, description="units of the encoder, each direction")
    encoder_layers: Layers = Field(1, description="layers of the encoder")
    decoder_hidden: Size = Field(256, description="units of the decoder")
    decoder_layers: Layers = Field(1, description="layers of the decoder")
    input_feeding: bool = Field(
        False, description="feed the expected context of the last position to the decoder"
    )
    attention: Literal["dot", "general", "mlp"] = Field("general", description="attention scorer")
    attention_hidden: Size = Field(256, description="units of the mlp scorer")
    emission: Literal["tanh", "product"] = Field(
        "product",
        description="'tanh': the paper's; 'product': two experts, cheap to sum over alignments",
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
