"""Settings of the task ``vqa``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from pyro_align.config.config import Config
from pyro_align.config.training import TrainingConfig
from pyro_align.constraints import Count, ExpandedPath, Table
from pyro_align.networks import AnsweringNetworkConfig


class QuestionsConfig(Table):
    """Questions about images to train, validate and evaluate on."""

    train: list[ExpandedPath] | None = Field(
        None,
        description="training questions: TSV or JSON lines, or the files of questions and "
        "annotations of VQA 2.0; default: built_in",
    )
    valid: list[ExpandedPath] | None = Field(
        None, description="validation questions, given as train"
    )
    test: list[ExpandedPath] | None = Field(
        None,
        description="questions to evaluate after a fit, given as train; default: valid",
    )
    images: list[ExpandedPath] | None = Field(
        None,
        description="files of region features (.h5, .tsv, .npz), or for pixels one folder of "
        "images; default for pixels: the folder of the questions",
    )
    built_in: Literal["scenes", "easy-vqa"] = Field(
        "scenes",
        description="questions to use without train: 'scenes', made-up scenes with features of "
        "objects; 'easy-vqa', images of the package easy-vqa, as pixels",
    )
    min_answers: Count = Field(
        1, description="how often an answer must be given in training to be predicted"
    )
    min_words: Count = Field(
        1, description="how often a word must occur in training questions; rarer ones are unknown"
    )

    @model_validator(mode="before")
    @classmethod
    def _gold_regions_are_in_the_files(cls, values: Any) -> Any:
        """Reject ``gold``, a file of links in other tasks."""
        if isinstance(values, Mapping) and "gold" in values:
            raise ValueError(
                "gold links are of words; a gold region is given with its question, as 'region': "
                "remove --gold"
            )
        return values

    @model_validator(mode="after")
    def _check(self) -> QuestionsConfig:
        if (self.train is None) != (self.valid is None):
            missing = "valid" if self.valid is None else "train"
            raise ValueError(f"training and validation questions go together: give --{missing} too")
        return self


class AnsweringTrainingConfig(TrainingConfig):
    """As for other tasks, but a batch is counted in questions."""

    batch_tokens: Count = Field(64, description="number of questions in a batch")


class AnsweringConfig(Config):
    """The configuration of a fit on questions about images."""

    data: QuestionsConfig = QuestionsConfig()
    network: AnsweringNetworkConfig = AnsweringNetworkConfig()
    training: AnsweringTrainingConfig = AnsweringTrainingConfig()

    @model_validator(mode="after")
    def _images_match_the_network(self) -> AnsweringConfig:
        reads, data = self.network.regions, self.data
        if data.train is None:
            needed = "pixels" if data.built_in == "easy-vqa" else "features"
            if reads != needed:
                raise ValueError(
                    f"data.built_in = {data.built_in!r} needs network.regions = {needed!r}"
                )
        elif reads == "features" and not data.images:
            raise ValueError(
                "network.regions = 'features' needs files of region features: set data.images, or "
                "network.regions = 'pixels' for a folder of images"
            )
        elif reads == "pixels" and data.images and len(data.images) > 1:
            raise ValueError("network.regions = 'pixels' needs one folder of images in data.images")
        return self
