"""`Translator`: translate a stream of lines in order and with bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar, runtime_checkable

from pyro_align.data.batch import EOS, UNK
from pyro_align.data.lengths import batches_by_length
from pyro_align.decoding.copied import copied_unknown, copies, unknown_symbols
from pyro_align.decoding.hypotheses import Hypothesis
from pyro_align.decoding.search import Search
from pyro_align.decoding.translation import Linker, ScoredText, Translation
from pyro_align.errors import ConfigError, DataError, reject_string

Line = TypeVar("Line")
Line_contra = TypeVar("Line_contra", contravariant=True)


@runtime_checkable
class SourceVocabulary(Protocol[Line_contra]):
    """What a translator needs of the source side."""

    def encode_all(self, lines: Sequence[Line_contra], /) -> list[list[int]]:
        """Return the ids of each line, ending in ``EOS``; only ``EOS`` for an empty line."""

    def is_unknown(self, ids: Iterable[int], /) -> bool:
        """Whether all tokens of a line are unknown."""

    def symbols(self, line: Line_contra, /) -> list[str | None]:
        """Return the text of each id of a line; None if it stands for no text."""


@runtime_checkable
class TargetVocabulary(Protocol):
    """What a translator needs of the target side."""

    def decode(self, ids: Iterable[int], /, unknown: Sequence[str] = ()) -> str:
        """Return the text of ids.

        Args:
            ids: the ids.
            unknown: what the unknown ids stand for, in order; empty if it is not known.
        """

    def pieces(self, ids: Iterable[int], /) -> list[str]:
        """Return the token of each id as a string."""


class Translator(Generic[Line]):
    """Translates a stream of lines.

    A line is what the source vocabulary encodes: a string, or another object with the text. If a
    model copies source tokens, an unknown token of a translation is replaced by the unknown token
    of the line that it is aligned to.

    Args:
        search: the search, with the model.
        source_vocabulary: vocabulary of the lines.
        target_vocabulary: vocabulary of the translations.
        max_source: maximum number of tokens per line, including ``EOS``.
        batch_tokens: maximum number of source tokens per batch, including padding; a longer line
            is translated alone.
        window: number of lines that are read ahead and sorted by length. It bounds the memory and
            the delay of the first translation.
        ready: says whether another line can be read without waiting for it; a window ends where
            none can, so that its lines are translated at once. None to wait for all lines.
        choose: ranks the translations of a line, see :class:`MinimumBayesRisk`; None for all as
            they were found.
        link: links the words of lines and translations; None for translations without links.

    Raises:
        ConfigError: if a number is below 1.

    Attributes:
        copied: number of unknown tokens that were copied to the best translations.
    """

    def __init__(
        self,
        search: Search,
        source_vocabulary: SourceVocabulary[Line],
        target_vocabulary: TargetVocabulary,
        *,
        max_source: int = 1000,
        batch_tokens: int = 1024,
        window: int = 4096,
        ready: Callable[[], bool] | None = None,
        choose: Callable[[Sequence[ScoredText]], Sequence[ScoredText]] | None = None,
        link: Linker | None = None,
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
        self.ready = ready
        self.choose = choose
        self.link = link
        self.copied = 0
        self._copying = [model for model in search.predictor.models if copies(model)]

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
        while window := list(self._next_window(stream)):
            yield from self._translate_window(window, first, path)
            first += len(window)

    def _next_window(self, stream: Iterator[Line]) -> Iterator[Line]:
        for line in islice(stream, self.window):
            yield line
            if self.ready is not None and not self.ready():
                return

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
            indices = [filled[place] for place in batch]
            results = self.search.search([encoded[index] for index in indices])
            texts = self._texts(
                [lines[index] for index in indices], [encoded[index] for index in indices], results
            )
            found.update(zip(indices, texts, strict=True))
        for index, ids in enumerate(encoded):
            yield Translation(
                line=first + index,
                hypotheses=found.get(index, ()),
                unknown=index in found and self.source_vocabulary.is_unknown(ids),
            )

    def _texts(
        self, lines: list[Line], sources: list[list[int]], results: list[list[Hypothesis]]
    ) -> list[tuple[ScoredText, ...]]:
        """Decode the hypotheses of each line, and link their words."""
        copied = self._copied(lines, sources, results)
        texts = [
            [
                ScoredText(
                    self.target_vocabulary.decode(found.tokens, copied.get((row, rank), ())),
                    found.score,
                    found.log_probability,
                    tuple(self.target_vocabulary.pieces(i for i in found.tokens if i != EOS)),
                )
                for rank, found in enumerate(hypotheses)
            ]
            for row, hypotheses in enumerate(results)
        ]
        if self.choose is not None:
            texts = [[*self.choose(each)] for each in texts]
        if self.link is None:
            return [tuple(each) for each in texts]
        pairs = zip(lines, texts, strict=True)
        linked = iter(self.link([(line, one.text) for line, each in pairs for one in each]))
        return [tuple(replace(one, alignment=next(linked)) for one in each) for each in texts]

    def _copied(
        self, lines: list[Line], sources: list[list[int]], results: list[list[Hypothesis]]
    ) -> dict[tuple[int, int], list[str]]:
        """Return what unknown tokens are copied from, by line and rank of the hypothesis."""
        rows = [row for row, source in enumerate(sources) if self._copying and UNK in source]
        symbols = {row: self.source_vocabulary.symbols(lines[row]) for row in rows}
        places = [
            (row, rank)
            for row in rows
            for rank, found in enumerate(results[row])
            if UNK in found.tokens and unknown_symbols(sources[row], symbols[row])
        ]
        if not places:
            return {}
        texts = copied_unknown(
            self._copying,
            [sources[row] for row, _ in places],
            [results[row][rank].tokens for row, rank in places],
            [symbols[row] for row, _ in places],
        )
        self.copied += sum(
            len(found) for (_, rank), found in zip(places, texts, strict=True) if rank == 0
        )
        return dict(zip(places, texts, strict=True))
