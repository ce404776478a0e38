"""Settings of the task ``transduction``."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from pyro_align.config.config import Config
from pyro_align.constraints import ExpandedPath, Table
from pyro_align.data.forms import FormLayout
from pyro_align.data.settings import SymbolsConfig
from pyro_align.errors import ConfigError
from pyro_align.networks import NetworkConfig


def _names(value: Any) -> Any:
    """Split names that are separated by commas or spaces, as on the command line."""
    return re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value


Names = Annotated[list[str], BeforeValidator(_names)]
"""A list of names, or a string with names separated by commas or spaces."""


class FormsConfig(Table):
    """Pairs of word forms to train, validate and evaluate on."""

    train: list[ExpandedPath] | None = Field(
        None,
        description="training forms: TSV files, plain or compressed; default: the built-in words",
    )
    valid: list[ExpandedPath] | None = Field(None, description="validation forms, given as train")
    test: list[ExpandedPath] | None = Field(
        None, description="forms to evaluate at the end of a fit, given as train; default: valid"
    )
    columns: Names = Field(
        ["source", "target"],
        description="columns of the files in order: source, target, features, links (gold links "
        "between the symbols, as 0-0 1-1), - (ignored)",
    )
    separator: str = Field(";", description="separator between two features")
    languages: Names | None = Field(
        None, description="language of each file, which the model is told; default: one language"
    )
    max_length: int = Field(
        256, gt=1, le=2**20, description="maximum length of a side, in symbols with EOS"
    )

    @property
    def layout(self) -> FormLayout:
        """The columns as an object."""
        return FormLayout(tuple(self.columns), self.separator)

    @model_validator(mode="after")
    def _check(self) -> FormsConfig:
        if (self.train is None) != (self.valid is None):
            missing = "valid" if self.valid is None else "train"
            raise ValueError(f"training and validation forms go together: give --{missing} too")
        try:
            layout = self.layout
        except ConfigError as error:
            raise ValueError(f"columns: {error}") from None
        del layout
        for name in ("train", "valid", "test"):
            paths = getattr(self, name)
            if None not in (self.languages, paths) and len(paths) != len(self.languages or ()):
                raise ValueError(
                    f"{len(paths)} files in {name}, but {len(self.languages or ())} languages: "
                    f"give the language of each file"
                )
        return self


class TransductionConfig(Config):
    """The configuration of a fit on pairs of word forms."""

    data: FormsConfig = FormsConfig()
    vocabulary: SymbolsConfig = SymbolsConfig()
    network: NetworkConfig = NetworkConfig()

    @model_validator(mode="after")
    def _one_vocabulary(self) -> TransductionConfig:
        vocabulary = self.vocabulary
        if vocabulary.joint and vocabulary.source_separated != vocabulary.target_separated:
            raise ValueError(
                "vocabulary.joint = true splits both sides alike: set vocabulary.source_separated "
                "and vocabulary.target_separated to the same value"
            )
        if self.network.tie_embeddings == "all" and not vocabulary.joint:
            raise ValueError(
                "network.tie_embeddings = 'all' needs one vocabulary for both sides: set "
                "vocabulary.joint = true"
            )
        return self
