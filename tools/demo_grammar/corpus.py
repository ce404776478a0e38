"""The built-in corpus: training, validation and test pairs, and the files they are kept in."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from demo_grammar.generate import SyntheticPair, draw
from pyro_align.data.links import format_links

SEED: Final = 1
TRAIN: Final = 5000
"""Training pairs."""
HELD_OUT: Final = 500
"""Validation pairs; as many test pairs."""


def make(
    train: int = TRAIN, held_out: int = HELD_OUT, seed: int = SEED
) -> dict[str, list[SyntheticPair]]:
    """Draw ``train``, ``val`` and ``test``.

    No German sentence of validation and test text is in the training text, and none occurs twice
    in validation and test text.
    """
    apart = list(islice(_distinct(draw(f"held-out {seed}")), 2 * held_out))
    sources = {pair.source for pair in apart}
    rest = (pair for pair in draw(f"training {seed}") if pair.source not in sources)
    return {
        "train": list(islice(rest, train)),
        "val": apart[:held_out],
        "test": apart[held_out:],
    }


def _distinct(pairs: Iterable[SyntheticPair]) -> Iterator[SyntheticPair]:
    seen: set[str] = set()
    for pair in pairs:
        if pair.source not in seen:
            seen.add(pair.source)
            yield pair


def to_tsv(pairs: Iterable[SyntheticPair]) -> str:
    """Lines of source, target and links (Pharaoh format), separated by tabs."""
    return "".join(f"{pair.source}\t{pair.target}\t{format_links(pair.links)}\n" for pair in pairs)


def write(folder: Path) -> None:
    """Write ``train.tsv.gz``, ``val.tsv.gz`` and ``test.tsv.gz``; the same bytes each time."""
    for part, pairs in make().items():
        data = gzip.compress(to_tsv(pairs).encode(), mtime=0)
        (folder / f"{part}.tsv.gz").write_bytes(data)
