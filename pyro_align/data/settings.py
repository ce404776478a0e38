"""Settings of parallel text and of vocabularies."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pyro_align.constraints import ExpandedPath, Rate, Table
from pyro_align.data.splitting import Unit


class DataConfig(Table):
    """Sentence pairs to train, validate and evaluate on."""

    train: list[ExpandedPath] | None = Field(
        None,
        description="training text: source and target file, or one .tsv or .jsonl; plain or "
        "compressed; default: the built-in corpus",
    )
    valid: list[ExpandedPath] | None = Field(None, description="validation text, given as train")
    test: list[ExpandedPath] | None = Field(
        None, description="text to evaluate at the end of a fit, given as train; default: valid"
    )
    gold: ExpandedPath | None = Field(
        None, description="gold links of the test text; the file extension gives the format"
    )
    links: ExpandedPath | None = Field(
        None,
        description="word links of the training text, which guide its alignments: a line per "
        "sentence pair, such as 0-0 1-2 (Pharaoh format); another file extension gives another "
        "format",
    )
    max_length: int = Field(
        256, gt=1, le=2**20, description="maximum length of a side, in tokens with EOS"
    )
    skip_long: bool = Field(False, description="skip longer pairs instead of raising an error")

    @model_validator(mode="after")
    def _both_or_none(self) -> DataConfig:
        if (self.train is None) != (self.valid is None):
            missing = "valid" if self.valid is None else "train"
            raise ValueError(f"training and validation text go together: give --{missing} too")
        return self


class PairVocabularies(Table):
    """Vocabularies of source and target side."""

    joint: bool = Field(False, description="use one vocabulary for both sides")
    source: ExpandedPath | None = Field(
        None,
        description="an existing vocabulary: a sentencepiece model, or the source.symbols.json of "
        "another run; default: made of the training text",
    )
    target: ExpandedPath | None = Field(None, description="an existing vocabulary, likewise")

    @model_validator(mode="after")
    def _given_together(self) -> PairVocabularies:
        if (self.source is None) != (self.target is None):
            raise ValueError("give both vocabulary.source and vocabulary.target, or neither")
        return self


class VocabularyConfig(PairVocabularies):
    """Subword vocabularies."""

    kind: Literal["bpe", "unigram"] = Field("bpe", description="type of sentencepiece model")
    size: int = Field(
        4000,
        gt=4,
        le=1_000_000,
        description="maximum size of each vocabulary; smaller if the text yields fewer pieces",
    )
    dropout: Rate = Field(
        0.0,
        description="probability that a merge of BPE is skipped whenever a word of the training "
        "text is read, so that the model sees different pieces (Provilkov et al. 2020)",
    )

    @model_validator(mode="after")
    def _dropout_skips_merges(self) -> VocabularyConfig:
        if self.dropout > 0 and self.source is None and self.kind != "bpe":
            raise ValueError(
                "vocabulary.dropout skips merges of BPE: set vocabulary.kind = bpe, or remove it"
            )
        return self


class SymbolsConfig(PairVocabularies):
    """Vocabularies of symbols, unless existing ones are given."""

    unit: Unit = Field(
        "nfd",
        description="what a symbol is: 'nfd', letters and accents apart, composed again in "
        "predictions; 'codepoints'; 'graphemes', what readers see as one character",
    )
    source_separated: bool | Literal["auto"] = Field(
        "auto",
        description="whether the symbols of the source are separated by spaces, such as phonemes; "
        "'auto' finds out",
    )
    target_separated: bool | Literal["auto"] = Field(
        "auto", description="whether the symbols of the target are separated by spaces"
    )
