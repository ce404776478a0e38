"""`Aligner`: align a stream of sentence pairs in order and with bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol, final

from pyro_align.data import Link
from pyro_align.data.lengths import batches_by_length
from pyro_align.errors import DataError
from pyro_align.posterior import WordAlignment
from pyro_align.word_alignment.decoding import Argmax, Decoder
from pyro_align.word_alignment.pairs import Pair
from pyro_align.word_alignment.symmetrise import (
    SYMMETRISATIONS,
    SYMMETRISE,
    Symmetrisation,
    decoded,
)


@dataclass(frozen=True)
class AlignedPair:
    """A sentence pair with its links.

    Attributes:
        pair: the sentences.
        links: links (source, target) between words from 0, in order, with their probabilities.
        score: how well the sentences fit each other, see :func:`score_of`; None without tables that
            have a gain.
    """

    pair: Pair
    links: dict[Link, float]
    score: float | None = None


class Tables(Protocol):
    """Interface of models that compute word alignment probabilities, such as :class:`WordTables`.

    Attributes:
        unit: unit of sentence lengths in errors: ``tokens`` or ``words``.
        symmetrise: name of the default symmetrisation.
    """

    unit: str
    symmetrise: str

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[Any]:
        """Encode sentence pairs; each result has ids ``source`` and ``target``, and a ``width``."""

    def __call__(self, pairs: Sequence[Any]) -> list[WordAlignment]:
        """Compute the table of each pair in one batch."""


def too_long(
    side: str, length: int, unit: str, most: int, path: Path | None, line: int
) -> DataError:
    """Return the error for a sentence that is too long to be aligned."""
    return DataError(
        f"the {side} sentence has {length} {unit}, but at most {most} can be aligned: split it, "
        "empty it, or raise --max-length",
        path,
        line,
    )


def links_of(
    tables: Sequence[WordAlignment],
    decode: Decoder | None = None,
    symmetrise: Symmetrisation = SYMMETRISATIONS[SYMMETRISE],
) -> dict[Link, float]:
    """Return the links of a sentence pair and their probabilities.

    Args:
        tables: tables of the forward direction (target words to source words) and of the reverse
            direction, if any.
        decode: selects links from a table; by default that of ``symmetrise`` for two directions,
            and :class:`~.decoding.Argmax` for one.
        symmetrise: combines two directions.
    """
    if len(tables) == 2:
        return symmetrise(tables[0], tables[1], decode or symmetrise.decoder)
    return decoded(tables[0], decode or Argmax())


def score_of(tables: Sequence[WordAlignment]) -> float | None:
    """Return a score of a sentence pair, to filter parallel text; higher is better.

    It is the mean gain of the directions: by how much each sentence makes the words of the other
    more probable, in nats per word. It is below 0 for a pair that is worse than no translation.

    Args:
        tables: one table per direction.
    """
    gains = [each.gain for each in tables if each.gain is not None]
    return fmean(gains) if gains else None


@final
class Aligner:
    """Aligns a stream of sentence pairs, with one direction or two.

    Args:
        forward: tables of the model that reads source and predicts target sentences.
        reverse: tables of a model that reads target and predicts source sentences, if any.
        decode: selects links from a table; default as in :func:`links_of`.
        symmetrise: combines two directions; by default that of ``forward``.
        batch_tokens: maximum number of positions per batch: pairs times the longest side, in
            tokens; a longer pair is computed alone.
        max_length: maximum number of tokens per side, including ``EOS``; None for no limit.
        window: number of pairs that are read ahead and sorted by length. It bounds the memory and
            the delay of the first links.
    """

    def __init__(
        self,
        forward: Tables,
        reverse: Tables | None = None,
        *,
        decode: Decoder | None = None,
        symmetrise: Symmetrisation | None = None,
        batch_tokens: int = 2000,
        max_length: int | None = 1000,
        window: int = 4096,
    ):
        self.forward = forward
        self.reverse = reverse
        self.decode = decode
        self.symmetrise = symmetrise or SYMMETRISATIONS[forward.symmetrise]
        self.batch_tokens = batch_tokens
        self.max_length = max_length
        self.window = window

    def align(self, pairs: Iterable[Pair], path: Path | None = None) -> Iterator[AlignedPair]:
        """Align pairs in order, one :class:`AlignedPair` each, without links if a side is empty.

        Args:
            pairs: the sentence pairs.
            path: source of the pairs, named in errors.

        Raises:
            DataError: if a sentence is too long. Pairs of earlier windows are aligned before.
        """
        stream = iter(pairs)
        while window := list(islice(stream, self.window)):
            yield from self._align_window(window, path)

    def _align_window(self, pairs: list[Pair], path: Path | None) -> Iterator[AlignedPair]:
        places = [place for place, pair in enumerate(pairs) if not pair.is_empty]
        sentences = [(pairs[place].source, pairs[place].target) for place in places]
        encoded = self.forward.encode(sentences)
        for place, pieces in zip(places, encoded, strict=True):
            self._check(pieces, pairs[place], path)
        turned = [(target, source) for source, target in sentences]
        reverse = [] if self.reverse is None else self.reverse.encode(turned)
        found: dict[int, tuple[dict[Link, float], float | None]] = {}
        widths = [pieces.width for pieces in encoded]
        for batch in batches_by_length(widths, self.batch_tokens):
            links = self._align_batch(
                [encoded[i] for i in batch], [reverse[i] for i in batch] if reverse else []
            )
            found.update(zip((places[i] for i in batch), links, strict=True))
        for place, pair in enumerate(pairs):
            yield AlignedPair(pair, *found.get(place, ({}, None)))

    def _align_batch(
        self, encoded: list[Any], turned: list[Any]
    ) -> Iterator[tuple[dict[Link, float], float | None]]:
        directions = [self.forward(encoded)]
        if self.reverse is not None:
            directions.append(self.reverse(turned))
        for tables in zip(*directions, strict=True):
            yield links_of(tables, self.decode, self.symmetrise), score_of(tables)

    def _check(self, encoded: Any, pair: Pair, path: Path | None) -> None:
        if self.max_length is not None and encoded.width > self.max_length:
            side = "source" if len(encoded.source) > self.max_length else "target"
            raise too_long(side, encoded.width, self.forward.unit, self.max_length, path, pair.line)
