"""Configuration of the networks of sentences."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pyro_align.constraints import Layers, Rate, Size, Table

WordDropout = Annotated[float, Field(ge=0, le=1)]
"""A rate of word dropout; at 1 a decoder reads no words."""


class LanguageNetworkConfig(Table):
    """Architecture of a :class:`LanguageNetwork`, except its vocabulary size."""

    decoder: Literal["recurrent", "convolutional", "transformer"] = Field(
        "recurrent",
        description="'convolutional': dilated convolutions, which read the last 1 + (kernel - 1) "
        "(2^layers - 1) words",
    )
    cell: Literal["lstm", "gru"] = Field("lstm", description="cell of a recurrent decoder")
    embedding: Size = Field(256, description="size of a token embedding")
    hidden: Size = Field(256, description="units of the decoder")
    layers: Layers = Field(1, description="layers of the decoder")
    kernel: Size = Field(3, description="width of the convolutions of a convolutional decoder")
    heads: Size = Field(4, description="attention heads of a Transformer")
    latent: Size = Field(32, description="size of the latent variable of a sentence")
    latent_input: Literal["start", "steps", "both"] = Field(
        "both",
        description="where a recurrent decoder reads the latent variable: in its initial state, at "
        "each step, or both; the others read it at each step",
    )
    skip: bool = Field(
        False, description="the output layer reads the latent variable too (skip connection)"
    )
    tie_embeddings: bool = Field(True, description="embedding and output layer are one matrix")
    dropout: Rate = Field(0.3, description="dropout on embeddings and decoder states")
    word_dropout: WordDropout = Field(
        0.0, description="probability that the decoder does not read a word"
    )
