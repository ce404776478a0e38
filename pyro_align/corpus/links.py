"""Word alignments as Pharaoh lines: ``0-0 1-2 2?1``, one line a sentence pair."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pyro_align.corpus.lines import read_lines
from pyro_align.errors import DataError

Link = tuple[int, int]
"""0-based word positions (source, target)."""

_LINK = re.compile(r"([0-9]+)([-p?])([0-9]+)")


@dataclass(frozen=True)
class GoldLinks:
    """Links an annotator gave to one sentence pair.

    Attributes:
        sure: links that every alignment should hold.
        possible: links that an alignment may hold; the sure ones are always among them.
    """

    sure: frozenset[Link]
    possible: frozenset[Link] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "possible", self.possible | self.sure)


def parse_links(line: str, path: Path | None = None, number: int | None = None) -> GoldLinks:
    """Read one Pharaoh line; an empty one has no links.

    Args:
        line: links between white space: ``i-j`` is sure, ``ipj`` or ``i?j`` only possible.
        path: the file to name in an error.
        number: the line number to name in an error.

    Raises:
        DataError: if something is not a link.
    """
    sure: set[Link] = set()
    possible: set[Link] = set()
    for word in line.split():
        match = _LINK.fullmatch(word)
        if match is None:
            raise DataError(
                f"{word!r} is not a link: expected 0-based word positions as in 3-4 (sure) or "
                "3?4 (possible), source first",
                path,
                number,
            )
        source, kind, target = match.groups()
        (sure if kind == "-" else possible).add((int(source), int(target)))
    return GoldLinks(frozenset(sure), frozenset(possible))


def format_links(links: Iterable[Link] | GoldLinks) -> str:
    """Print links as a Pharaoh line, in order of source, then target position."""
    if not isinstance(links, GoldLinks):
        links = GoldLinks(frozenset(links))
    return " ".join(
        f"{source}{'-' if (source, target) in links.sure else '?'}{target}"
        for source, target in sorted(links.possible)
    )


def check_links(
    links: Iterable[Link],
    source_length: int,
    target_length: int,
    path: Path | None = None,
    number: int | None = None,
) -> None:
    """Refuse links that point outside their sentences.

    Args:
        links: the links.
        source_length: number of source words.
        target_length: number of target words.
        path: the file to name in an error.
        number: the line number to name in an error.

    Raises:
        DataError: naming the first such link.
    """
    for source, target in sorted(links):
        if not (0 <= source < source_length and 0 <= target < target_length):
            raise DataError(
                f"link {source}-{target} points outside a pair of {source_length} source and "
                f"{target_length} target words; positions count from 0, source first",
                path,
                number,
            )


def read_links(path: Path) -> Iterator[GoldLinks]:
    """Stream the links of a Pharaoh file, plain or ``.gz``, one :class:`GoldLinks` a line.

    Raises:
        DataError: for a missing or damaged file, or something that is not a link.
    """
    for number, line in enumerate(read_lines(path), start=1):
        yield parse_links(line, path, number)
