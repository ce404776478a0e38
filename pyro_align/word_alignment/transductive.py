"""Alignment of a text with a word aligner that is fitted to it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pyro_align.data import split_words
from pyro_align.errors import RunError
from pyro_align.word_alignment import hmm
from pyro_align.word_alignment.aligner import AlignedPair, links_of, score_of, too_long
from pyro_align.word_alignment.decoding import Decoder
from pyro_align.word_alignment.pairs import PairText, Side
from pyro_align.word_alignment.symmetrise import Symmetrisation


def align_text(
    text: PairText,
    settings: hmm.Settings,
    decode: Decoder,
    symmetrise: Symmetrisation,
    *,
    max_length: int = 1000,
    save: Path | None = None,
    directions: int = 2,
    echo: Callable[[str], None] = print,
) -> Iterator[AlignedPair]:
    """Fit hidden Markov aligners to a text and yield its links.

    Args:
        text: the sentence pairs.
        settings: settings of the aligner.
        decode: selects links from probabilities.
        symmetrise: combines two directions.
        max_length: maximum number of words per side. Time grows with the third power of the number
            of words, memory with the second.
        save: a new folder to save the aligner to, or None.
        directions: 2, or 1 for source to target only.
        echo: called with one line per pass.

    Raises:
        RunError: if the folder exists.
        DataError: if the text is invalid or a side is too long.
    """
    if save is not None and save.exists():
        raise RunError(f"{save} exists: choose another --save")
    with tempfile.TemporaryDirectory(prefix="pyro-align-") as scratch:
        text = text.rereadable(Path(scratch))
        pairs = _checked(text, max_length)
        fitted = hmm.fit(
            pairs, settings, Path(scratch), directions=directions, echo=echo, path=text.path
        )
        if save is not None:
            hmm.save_aligner(save, fitted.models, fitted.types, settings)
        number = 0
        for pair in text:
            if pair.is_empty:
                yield AlignedPair(pair, {})
            else:
                tables = fitted[number]
                yield AlignedPair(pair, links_of(tables, decode, symmetrise), score_of(tables))
                number += 1


def _checked(text: PairText, max_length: int) -> Iterator[tuple[str, str]]:
    """Yield source and target of the pairs that have words on both sides."""
    for pair in text:
        if pair.is_empty:
            continue
        sides: tuple[tuple[Side, str], ...] = (("source", pair.source), ("target", pair.target))
        for side, sentence in sides:
            if (words := len(split_words(sentence))) > max_length:
                raise too_long(side, words, "words", max_length, text.path_of(side), pair.line)
        yield pair.source, pair.target
