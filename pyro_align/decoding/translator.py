"""`Translator`: translate a stream of lines in order and with bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from pyro_align.data.lengths import batches_by_length
from pyro_align.decoding.beam_search import BeamSearch
from pyro_align.errors import ConfigError, DataError, reject_string


@dataclass(frozen=True)
class ScoredText:
    """One translation of a line.

    Attributes:
        text: detokenised text.
        score: the score that translations are ranked by, see :class:`BeamSearch`.
        log_probability: in nats, including ``EOS``.
    """

    text: str
    score: float
    log_probability: float


@dataclass(frozen=True)
class Translation:
    """The translations of one line.

    Attributes:
        line: 1-based line number.
        hypotheses: translations, best first; none for an empty line.
        unknown: whether all tokens of the line are unknown, so that the translation is a guess.
    """

    line: int
    hypotheses: tuple[ScoredText, ...]
    unknown: bool

    @property
    def text(self) -> str:
        """The best translation; empty for an empty line."""
        return self.hypotheses[0].text if self.hypotheses else ""


Line = TypeVar("Line")
Line_contra = TypeVar("Line_contra", contravariant=True)


@runtime_checkable
class SourceVocabulary(Protocol[Line_contra]):
    """What a translator needs of the source side."""

    def encode_all(self, lines: Sequence[Line_contra], /) -> list[list[int]]:
        """Return the ids of each line, ending in ``EOS``; only ``EOS`` for an empty line."""

    def is_unknown(self, ids: Iterable[int], /) -> bool:
        """Whether all tokens of a line are unknown."""


@runtime_checkable
class TargetVocabulary(Protocol):
    """What a translator needs of the target side."""

    def decode(self, ids: Iterable[int], /) -> str:
        """Return the text of ids."""


class Translator(Generic[Line]):
    """Translates a stream of lines.

    A line is what the source vocabulary encodes: a string, or another object with the text.

    Args:
        search: the beam search, with the model.
        source_vocabulary: vocabulary of the lines.
        target_vocabulary: vocabulary of the translations.
        max_source: maximum number of tokens per line, including ``EOS``.
        batch_tokens: maximum number of source tokens per batch, including padding; a longer line
            is translated alone.
        window: number of lines that are read ahead and sorted by length. It bounds the memory and
            the delay of the first translation.

    Raises:
        ConfigError: if a number is below 1.
    """

    def __init__(
        self,
        search: BeamSearch,
        source_vocabulary: SourceVocabulary[Line],
        target_vocabulary: TargetVocabulary,
        *,
        max_source: int = 1000,
        batch_tokens: int = 1024,
        window: int = 4096,
    ):
        limits = {"max_source": max_source, "batch_tokens": batch_tokens, "window": window}
        for name, value in limits.items():
            if value < 1:
                raise ConfigError(f"{name} must be at least 1, got {value}")
        self.search = search
        self.source_vocabulary = source_vocabulary
        self.target_vocabulary = target_vocabulary
        self.max_source = max_source
        self.batch_tokens = batch_tokens
        self.window = window

    def translate(self, lines: Iterable[Line], path: Path | None = None) -> Iterator[Translation]:
        """Translate lines in order, one :class:`Translation` each.

        A line without words stays empty. A line of unknown tokens only is translated and marked.

        Args:
            lines: the text, without line ends.
            path: source of the text, named in errors.

        Raises:
            UserError: if ``lines`` is one string.
            DataError: if a line is too long; the message has its number. Lines of earlier windows
                are translated before.
        """
        reject_string("lines", lines)
        return self._translate_stream(iter(lines), path)

    def _translate_stream(self, stream: Iterator[Line], path: Path | None) -> Iterator[Translation]:
        first = 1
        while window := list(islice(stream, self.window)):
            yield from self._translate_window(window, first, path)
            first += len(window)

    def _translate_window(
        self, lines: list[Line], first: int, path: Path | None
    ) -> Iterator[Translation]:
        encoded = self.source_vocabulary.encode_all(lines)
        for number, ids in enumerate(encoded, start=first):
            if len(ids) > self.max_source:
                raise DataError(
                    f"the line has {len(ids)} tokens, but at most {self.max_source} can be "
                    "translated: split it into sentences, or raise --max-length (max_source in "
                    "Python)",
                    path,
                    number,
                )
        found: dict[int, tuple[ScoredText, ...]] = {}
        filled = [index for index, ids in enumerate(encoded) if len(ids) > 1]
        lengths = [len(encoded[index]) for index in filled]
        for batch in batches_by_length(lengths, self.batch_tokens):
            results = self.search.search([encoded[filled[place]] for place in batch])
            for place, hypotheses in zip(batch, results, strict=True):
                found[filled[place]] = tuple(
                    ScoredText(self.target_vocabulary.decode(h.tokens), h.score, h.log_probability)
                    for h in hypotheses
                )
        for index, ids in enumerate(encoded):
            yield Translation(
                line=first + index,
                hypotheses=found.get(index, ()),
                unknown=index in found and self.source_vocabulary.is_unknown(ids),
            )
