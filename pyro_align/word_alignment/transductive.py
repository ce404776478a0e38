"""Alignment of a text with a word aligner that is fitted to it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice
from pathlib import Path

from pyro_align.data import Link, split_words
from pyro_align.errors import RunError
from pyro_align.word_alignment import hmm
from pyro_align.word_alignment.aligner import (
    AlignedPair,
    links_of,
    score_of,
    too_long,
)
from pyro_align.word_alignment.decoding import Decoder
from pyro_align.word_alignment.lexicons import write_lexicon
from pyro_align.word_alignment.pairs import PairText, Side
from pyro_align.word_alignment.symmetrise import SYMMETRISATIONS, SYMMETRISE, Symmetrisation

WINDOW = 4096
"""Number of pairs whose links are read from probabilities at once."""


def align_text(
    text: PairText,
    settings: hmm.Settings,
    decode: Decoder | None = None,
    symmetrise: Symmetrisation | None = None,
    *,
    max_length: int = 1000,
    save: Path | None = None,
    prior: Mapping[tuple[str, str], float] | None = None,
    lexicon: Path | None = None,
    directions: int = 2,
    processes: int | None = None,
    echo: Callable[[str], None] = print,
) -> Iterator[AlignedPair]:
    """Fit hidden Markov aligners to a text and yield its links.

    Args:
        text: the sentence pairs.
        settings: settings of the aligner.
        decode: selects links from probabilities; default as in :func:`links_of`.
        symmetrise: combines two directions; by default :data:`SYMMETRISE`.
        max_length: maximum number of words per side. Time grows with the third power of the number
            of words, memory with the second.
        save: a new folder to save the aligner to, or None.
        prior: numbers of links of source and target words, for example from a dictionary or from
            another text, see :func:`read_lexicon`; they are added to those of the text.
        lexicon: a file for the lexicon, see :func:`write_lexicon`, or None.
        directions: 2, or 1 for source to target only.
        processes: 1 or 2; by default 2 if there are two cores and PyTorch may use two threads. The
            links are the same.
        echo: called with one line per pass.

    Raises:
        RunError: if the folder exists.
        DataError: if the text is invalid or a side is too long.
    """
    if save is not None and save.exists():
        raise RunError(f"{save} exists: choose another --save")
    processes = hmm.available_processes() if processes is None else processes
    symmetrise = symmetrise or SYMMETRISATIONS[SYMMETRISE]
    with tempfile.TemporaryDirectory(prefix="pyro-align-") as scratch:
        text = text.rereadable(Path(scratch))
        pairs = _checked(text, max_length)
        fitted = hmm.fit(
            pairs,
            settings,
            Path(scratch),
            directions=directions,
            prior=prior,
            processes=processes,
            echo=echo,
            path=text.path,
        )
        if save is not None:
            hmm.save_aligner(save, fitted.models, fitted.types, settings)
        if lexicon is not None:
            write_lexicon(fitted, lexicon)
        stream, numbers = iter(text), count()
        while window := list(islice(stream, WINDOW)):
            places = [None if pair.is_empty else next(numbers) for pair in window]
            found = _links(fitted, places, decode, symmetrise, processes)
            for pair, links in zip(window, found, strict=True):
                yield AlignedPair(pair, *links)


def _links(
    fitted: hmm.FittedText,
    places: Sequence[int | None],
    decode: Decoder | None,
    symmetrise: Symmetrisation,
    processes: int,
) -> list[tuple[dict[Link, float], float | None]]:
    """Return links and score of pairs by their numbers in the text; None is an empty pair."""
    middle = len(places) // 2
    halves = places[:middle], places[middle:]

    def align(half: int) -> list[tuple[dict[Link, float], float | None]]:
        found: list[tuple[dict[Link, float], float | None]] = []
        for place in halves[half]:
            if place is None:
                found.append(({}, None))
            else:
                tables = fitted[place]
                found.append((links_of(tables, decode, symmetrise), score_of(tables)))
        return found

    first, second = hmm.in_halves(align, processes if len(places) > 1 else 1)
    return first + second


def _checked(text: PairText, max_length: int) -> Iterator[tuple[str, str]]:
    """Yield source and target of the pairs that have words on both sides."""
    for pair in text:
        if pair.is_empty:
            continue
        sides: tuple[tuple[Side, str], ...] = (("source", pair.source), ("target", pair.target))
        for side, sentence in sides:
            if len(sentence) <= 2 * max_length:
                continue  # too few characters for more words
            if (words := len(split_words(sentence))) > max_length:
                raise too_long(side, words, "words", max_length, text.path_of(side), pair.line)
        yield pair.source, pair.target
