"""Configuration of networks for questions about images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pyro_align.constraints import Layers, Rate, Size, Table


class AnsweringNetworkConfig(Table):
    """Architecture of a :class:`QuestionAnswering`, except sizes that depend on the data."""

    question: Literal["lstm", "gru", "transformer"] = Field(
        "gru", description="encoder of the question"
    )
    embedding: Size = Field(128, description="size of a word embedding")
    hidden: Size = Field(256, description="size of an encoded question")
    question_layers: Layers = Field(1, description="layers of the encoder of the question")
    heads: Size = Field(4, description="attention heads of a transformer")
    regions: Literal["features", "pixels"] = Field(
        "features",
        description="what an image is: 'features' of regions in files; 'pixels', read by a "
        "convolutional network whose grid cells are the regions",
    )
    grid_layers: Layers = Field(
        3, description="layers of the convolutional network, each of which halves the image"
    )
    grid_channels: Size = Field(64, description="features of a grid cell")
    image_size: Size = Field(
        64, description="width and height to which images are resized, in pixels"
    )
    region_size: Size = Field(128, description="size of an encoded region")
    glimpses: int = Field(
        2,
        ge=0,
        le=64,
        description="number of soft sets of regions that the question names and that each region "
        "is compared with, for relations between regions",
    )
    attention: Literal["dot", "general", "mlp"] = Field("general", description="attention scorer")
    attention_hidden: Size = Field(128, description="units of the mlp scorer")
    emission: Literal["tanh", "product"] = Field(
        "tanh",
        description="'tanh': the paper's; 'product': two experts, cheap to sum over regions",
    )
    answer: Size = Field(128, description="size of the embedding of an answer")
    dropout: Rate = Field(0.1, description="dropout on questions, regions and their annotations")

    @property
    def cells(self) -> int:
        """Number of grid cells of an image."""
        side = self.image_size
        for _ in range(self.grid_layers):
            side = -(-side // 2)
        return side**2
