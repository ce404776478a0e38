"""Links of a text by the word aligner that is fitted to it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from pyro_align import hmm
from pyro_align.alignment.aligner import AlignedPair, links_of
from pyro_align.alignment.decoding import Decoder
from pyro_align.alignment.pairs import PairText
from pyro_align.alignment.symmetrise import Symmetrisation
from pyro_align.errors import RunError


def align_text(
    text: PairText,
    settings: hmm.Settings,
    decode: Decoder,
    symmetrise: Symmetrisation,
    *,
    save: Path | None = None,
    directions: int = 2,
    echo: Callable[[str], None] = print,
) -> Iterator[AlignedPair]:
    """Fit hidden Markov aligners to a text, and give its links.

    Args:
        text: the sentence pairs; read several times, so no stream.
        settings: of the aligner.
        decode: what chooses links from probabilities.
        symmetrise: how two directions are made one.
        save: a folder to keep the aligner in, to be made.
        directions: 2, or 1 for source to target alone.
        echo: told in a line how each pass went.

    Raises:
        RunError: if the folder is in the way.
        DataError: for text that cannot be used.
    """
    if save is not None and save.exists():
        raise RunError(f"{save} exists: choose another --save")
    with tempfile.TemporaryDirectory(prefix="pyro-align-") as scratch:
        pairs = ((pair.source, pair.target) for pair in text if not pair.is_empty)
        fitted = hmm.fit(
            pairs, settings, Path(scratch), directions=directions, echo=echo, path=text.path
        )
        if save is not None:
            hmm.save_aligner(save, fitted.models, fitted.classes, settings)
        number = 0
        for pair in text:
            if pair.is_empty:
                yield AlignedPair(pair, {})
            else:
                yield AlignedPair(pair, links_of(fitted[number], decode, symmetrise))
                number += 1
