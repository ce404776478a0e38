"""Sizes and kinds of the networks that a model is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class NetworkConfig(BaseModel):
    """Everything that decides the shape of a :class:`SequenceToSequence` but its vocabularies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cell: Literal["lstm", "gru"] = Field("lstm", description="recurrent cell of both sides")
    embedding: int = Field(256, gt=0, description="size of a token embedding")
    encoder_hidden: int = Field(128, gt=0, description="units of the encoder, each direction")
    encoder_layers: int = Field(1, gt=0)
    decoder_hidden: int = Field(256, gt=0, description="units of the decoder")
    decoder_layers: int = Field(1, gt=0)
    input_feeding: bool = Field(
        False, description="feed the expected context of the last position to the decoder"
    )
    attention: Literal["dot", "general", "mlp"] = Field("general", description="scorer")
    attention_hidden: int = Field(256, gt=0, description="units of the mlp scorer")
    emission: Literal["tanh", "product"] = Field(
        "product",
        description="'tanh': the paper's; 'product': two experts, cheap to sum over alignments",
    )
    lexical: bool = Field(
        True, description="the emission reads the source embedding beside the annotation"
    )
    tie_embeddings: Literal["none", "output", "all"] = Field(
        "output",
        description="'output': target embedding and output layer are one matrix; 'all': the "
        "source embedding too, which needs a joint vocabulary",
    )
    dropout: float = Field(0.3, ge=0.0, lt=1.0)
    word_dropout: float = Field(
        0.0, ge=0.0, lt=1.0, description="share of target words the decoder does not get to read"
    )
