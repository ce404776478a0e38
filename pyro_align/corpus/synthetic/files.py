"""A generated corpus as files: training, validation and test text with gold links."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from pyro_align.corpus.links import format_links
from pyro_align.corpus.synthetic.generate import SyntheticPair, draw
from pyro_align.errors import UserError

HELD_OUT: Final = 500
"""Pairs for validation, and as many for testing, unless said otherwise."""


@dataclass
class Written:
    """How much a part of the corpus holds."""

    pairs: int = 0
    source_words: int = 0
    target_words: int = 0
    links: int = 0

    def add(self, pair: SyntheticPair) -> None:
        """Count a pair."""
        self.pairs += 1
        self.source_words += pair.source.count(" ") + 1
        self.target_words += pair.target.count(" ") + 1
        self.links += len(pair.links)


def write(
    pairs: int, seed: int, directory: Path, *, held_out: int = HELD_OUT
) -> dict[str, Written]:
    """Write ``train``, ``val`` and ``test``, each as ``.de``, ``.en`` and ``.links`` (Pharaoh).

    The held-out pairs depend on the seed alone, not on how many are trained on: none of their
    German sentences is in the training text, nor twice among themselves.

    Args:
        pairs: number of training pairs.
        seed: any integer; other seeds, other sentences.
        directory: the folder to make; it may exist if it is empty.
        held_out: number of pairs for validation, and again for testing.

    Returns:
        How much each part holds.

    Raises:
        UserError: if a number is not positive or the folder holds something.
    """
    for name, number in (("training", pairs), ("held-out", held_out)):
        if number < 1:
            raise UserError(f"expected at least 1 {name} pair, not {number}")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(
            f"{directory} exists and is not an empty folder: choose another one, or remove it"
        )
    directory = directory.absolute()
    apart = list(islice(_distinct(draw(f"held-out {seed}")), 2 * held_out))
    sources = {pair.source for pair in apart}
    train = (pair for pair in draw(f"training {seed}") if pair.source not in sources)
    directory.parent.mkdir(parents=True, exist_ok=True)
    temporary = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        written = {
            "train": _write_part(islice(train, pairs), temporary / "train"),
            "val": _write_part(apart[:held_out], temporary / "val"),
            "test": _write_part(apart[held_out:], temporary / "test"),
        }
        if directory.exists():
            directory.rmdir()
        temporary.replace(directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return written


def _distinct(pairs: Iterable[SyntheticPair]) -> Iterator[SyntheticPair]:
    seen: set[str] = set()
    for pair in pairs:
        if pair.source not in seen:
            seen.add(pair.source)
            yield pair


def _write_part(pairs: Iterable[SyntheticPair], stem: Path) -> Written:
    written = Written()
    with (
        stem.with_suffix(".de").open("w", encoding="utf-8", newline="\n") as german,
        stem.with_suffix(".en").open("w", encoding="utf-8", newline="\n") as english,
        stem.with_suffix(".links").open("w", encoding="utf-8", newline="\n") as links,
    ):
        for pair in pairs:
            german.write(f"{pair.source}\n")
            english.write(f"{pair.target}\n")
            links.write(f"{format_links(pair.links)}\n")
            written.add(pair)
    return written
