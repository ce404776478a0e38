"""Settings of the task ``sentences``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pyro_align.config.config import Component, Config
from pyro_align.constraints import Count, ExpandedPath, Table
from pyro_align.networks import LanguageNetworkConfig


class SentencesData(Table):
    """Sentences to train, validate and evaluate on."""

    train: list[ExpandedPath] | None = Field(
        None,
        description="training sentences: a file with one sentence per line, plain or compressed; "
        "default: the built-in sentences",
    )
    valid: list[ExpandedPath] | None = Field(
        None, description="validation sentences, given as train"
    )
    test: list[ExpandedPath] | None = Field(
        None,
        description="sentences to evaluate at the end of a fit, given as train; default: valid",
    )
    max_length: int = Field(
        256, gt=1, le=2**20, description="maximum length of a sentence, in tokens with EOS"
    )
    skip_long: bool = Field(False, description="skip longer sentences instead of raising an error")

    @model_validator(mode="after")
    def _check(self) -> SentencesData:
        if (self.train is None) != (self.valid is None):
            missing = "valid" if self.valid is None else "train"
            raise ValueError(f"training and validation sentences go together: give --{missing} too")
        for name in ("train", "valid", "test"):
            if (paths := getattr(self, name)) is not None and len(paths) != 1:
                raise ValueError(
                    f"{name} has {len(paths)} files, but sentences without a source are in one "
                    f"file: join them, for example with cat"
                )
        return self


class TokensConfig(Table):
    """The vocabulary of sentences."""

    unit: Literal["words", "pieces"] = Field(
        "words",
        description="what a token is: 'words', separated by white space, rare ones and <unk> "
        "being unknown; 'pieces' of words, as sentencepiece finds them",
    )
    size: int = Field(
        10_000, gt=4, le=1_000_000, description="maximum size of the vocabulary, with 4 special ids"
    )
    min_count: Count = Field(1, description="minimum number of occurrences of a word")
    kind: Literal["bpe", "unigram"] = Field("bpe", description="type of sentencepiece model")


class SentencesConfig(Config):
    """The configuration of a fit on sentences without a source."""

    model: Component = Component(name="sentence-vae")
    data: SentencesData = SentencesData()
    vocabulary: TokensConfig = TokensConfig()
    network: LanguageNetworkConfig = LanguageNetworkConfig()
