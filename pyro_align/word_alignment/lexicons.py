"""Lexicon files: link counts of words, written after a fit and read as a prior of another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from pyro_align.data import read_lines, split_words
from pyro_align.errors import DataError
from pyro_align.files import atomic_write
from pyro_align.word_alignment.hmm import FittedText

LEAST = 0.01
"""Minimum expected number of links of a pair of words that is written."""

MOST = 1e9
"""Maximum number of links of a pair of words that is read: sums remain accurate in fp32."""


def read_lexicon(path: Path) -> dict[tuple[str, str], float]:
    """Read numbers of links of source and target words, to use as a prior.

    Args:
        path: lines of tab-separated columns: source word, target word, and optionally more, of
            which the last is the number of links; without it, 1. Blank lines are skipped; numbers
            of the same words, regardless of case, are added up. May be compressed.

    Raises:
        DataError: if a line is invalid; the message names file and line.
    """
    counts: dict[tuple[str, str], float] = {}
    for line, text in enumerate(read_lines(path), start=1):
        if not split_words(text):
            continue
        source, *columns = text.split("\t")
        words = [split_words(column.lower()) for column in (source, *columns[:1])]
        if not 1 <= len(columns) <= 3 or any(len(each) != 1 for each in words):
            raise DataError(
                "expected source word, target word and number of links, separated by tabs, got "
                f"{text[:60]!r}",
                path,
                line,
            )
        (one,), (other,) = words
        counts[one, other] = counts.get((one, other), 0.0) + _number(columns[1:], path, line)
    if not counts:
        raise DataError("the lexicon has no words", path)
    return counts


def _number(columns: list[str], path: Path, line: int) -> float:
    if not columns:
        return 1.0
    number = _float(columns[-1])
    if len(columns) == 2 and not 0.0 <= _float(columns[0]) <= 1.0:
        raise DataError(
            f"expected a probability from 0 to 1 in the third column, got {columns[0]!r}",
            path,
            line,
        )
    if not 0.0 < number <= MOST:
        raise DataError(
            f"expected a number of links in the last column, above 0 and at most {MOST:,.0f}, got "
            f"{columns[-1]!r}",
            path,
            line,
        )
    return number


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def lexicon_lines(fitted: FittedText) -> Iterator[str]:
    """Yield a line for each pair of words with links, by source word, most frequent first.

    Its columns are the source word, the target word, the probability of the target word given the
    source word, and the expected number of links, including those of a prior.
    """
    lexicon = fitted.models[0].lexicon
    source, target = (["", *side.names] for side in fitted.types)
    linked = (lexicon.counts >= LEAST).nonzero().squeeze(1)
    sides = lexicon.pairs.index.sides(linked)
    numbers = lexicon.probabilities[linked], lexicon.counts[linked]
    rows = zip(*(column.tolist() for column in (*sides, *numbers)), strict=True)
    for one, other, p, number in sorted(rows, key=lambda row: (row[0], -row[3], row[1])):
        yield f"{source[one]}\t{target[other]}\t{p:.6g}\t{number:.6g}\n"


def write_lexicon(fitted: FittedText, path: Path) -> None:
    """Write the lexicon of a fitted text, see :func:`lexicon_lines`.

    Raises:
        OutputError: if the file cannot be written.
    """
    with atomic_write(path, "t") as file:
        file.writelines(lexicon_lines(fitted))
