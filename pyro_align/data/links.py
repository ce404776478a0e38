"""Word alignments in files: Pharaoh, TALP, NAACL and JSON lines.

=========  =================================================  =====  ======================
format     links 0-0 and 2-1, the second only possible        base   lines
=========  =================================================  =====  ======================
pharaoh    ``0-0 2?1`` (or ``2p1``)                           0      one per sentence pair
talp       ``1-1 3p2``                                        1      one per sentence pair
naacl      ``7 1 1 S`` and ``7 3 2 P``, in sentence pair 7    1      one per link
jsonl      ``{"links": [[0, 0]], "possible": [[2, 1]]}``      0      one per sentence pair
=========  =================================================  =====  ======================

The source position always comes first. TALP is the format of the test sets of Zenkel et al. 2019
(github.com/lilt/alignment-scripts); NAACL is the format of the shared task of Mihalcea & Pedersen
2003, whose links may also end in a confidence. A Pharaoh link may have a probability
(``0-0:0.93``), which is ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import final

from pyro_align.data.compression import text_suffix
from pyro_align.data.lines import read_lines
from pyro_align.data.words import split_words
from pyro_align.errors import DataError

Link = tuple[int, int]
"""0-based word positions (source, target)."""

SEEMS_FROM_ONE = "no link has position 0 on either side, so positions seem to count from 1"

_LINK = re.compile(r"([0-9]+)([-p?])([0-9]+)(?::[0-9.e-]+)?")
_NAACL = re.compile(r"\s*([0-9]+)\s+([0-9]+)\s+([0-9]+)(?:\s+([SP]))?(?:\s+[0-9.e-]+)?\s*")


@dataclass(frozen=True)
class GoldLinks:
    """Gold links of a sentence pair.

    Attributes:
        sure: links that every alignment should contain.
        possible: links that an alignment may contain, including the sure ones.
    """

    sure: frozenset[Link]
    possible: frozenset[Link] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "possible", self.possible | self.sure)


def parse_links(line: str, path: Path | None = None, number: int | None = None) -> GoldLinks:
    """Parse a Pharaoh line; an empty line has no links, and probabilities are ignored.

    Args:
        line: links separated by white space: ``i-j`` is sure, ``ipj`` or ``i?j`` is possible.
        path: file name for error messages.
        number: line number for error messages.

    Raises:
        DataError: if something is not a link.
    """
    sure: set[Link] = set()
    possible: set[Link] = set()
    for word in split_words(line):
        match = _LINK.fullmatch(word)
        if match is None:
            raise DataError(
                f"{word!r} is not a link: expected word positions from 0, source first, as in 3-4 "
                "(sure) or 3?4 (possible)",
                path,
                number,
            )
        source, kind, target = match.groups()
        (sure if kind == "-" else possible).add((int(source), int(target)))
    return GoldLinks(frozenset(sure), frozenset(possible))


def format_links(links: Iterable[Link] | GoldLinks) -> str:
    """Format links as a Pharaoh line, sorted by source, then target position."""
    if not isinstance(links, GoldLinks):
        links = GoldLinks(frozenset(links))
    return " ".join(
        f"{source}{'-' if (source, target) in links.sure else '?'}{target}"
        for source, target in sorted(links.possible)
    )


def links_of_pieces(
    links: Iterable[Link], source_index: Sequence[int], target_index: Sequence[int]
) -> frozenset[Link]:
    """Return links between pieces of words: all pieces of a word with all pieces of its partner.

    Args:
        links: links between words.
        source_index: 0-based word of each source piece; −1 for ``EOS``.
        target_index: likewise of the target.
    """
    sources, targets = _places(source_index), _places(target_index)
    return frozenset(
        (source, target)
        for source_word, target_word in links
        for source in sources.get(source_word, ())
        for target in targets.get(target_word, ())
    )


def _places(index: Sequence[int]) -> dict[int, list[int]]:
    """Return the pieces of each word."""
    places: dict[int, list[int]] = {}
    for piece, word in enumerate(index):
        places.setdefault(word, []).append(piece)
    return places


def check_links(
    links: Iterable[Link],
    source_length: int,
    target_length: int,
    path: Path | None = None,
    number: int | None = None,
    remedy: str = "positions count from 0, source first",
) -> None:
    """Check that links are within their sentences.

    Args:
        links: the links.
        source_length: number of source words.
        target_length: number of target words.
        path: file name for error messages.
        number: line number for error messages.
        remedy: how to fix it, for error messages.

    Raises:
        DataError: naming the first link that is not.
    """
    for source, target in sorted(links):
        if not (0 <= source < source_length and 0 <= target < target_length):
            raise DataError(
                f"link {source}-{target} points outside a pair of {source_length} source and "
                f"{target_length} target words; {remedy}",
                path,
                number,
            )


@final
class LinkFile:
    """The links of a file, one :class:`GoldLinks` per sentence pair, read on each iteration.

    Args:
        path: the file, plain or compressed.
        form: one of :data:`FORMATS`, or ``auto`` to use the file extension (``.talp``, ``.naacl``,
            ``.jsonl``, ``.pharaoh``), otherwise NAACL if the first line is like ``1 1 1``,
            otherwise Pharaoh.
        sentences: number of sentence pairs; needed only for NAACL, which has no line for pairs
            without links.
        option: command-line option for the format, for error messages; None if there is none.

    Attributes:
        path: the file.
        form: its format; if given as ``auto``, it is determined by the first iteration.
    """

    def __init__(
        self,
        path: Path,
        form: str = "auto",
        sentences: int | None = None,
        *,
        option: str | None = None,
    ):
        self.path = path
        self.form = form
        self._option = option
        self._sentences = sentences

    def __iter__(self) -> Iterator[GoldLinks]:
        """Stream the links.

        Raises:
            DataError: for a missing or damaged file, or an invalid link; also at the end of a file
                with format ``auto`` if no link has position 0 on either side although the format
                counts from 0.
        """
        lines = read_lines(self.path)
        guessed = False
        if self.form == "auto":
            self.form = text_suffix(self.path).removeprefix(".")
            if self.form not in FORMATS:
                guessed = True
                first = next(lines, None)
                lines = lines if first is None else chain([first], lines)
                is_naacl = first is not None and _NAACL.fullmatch(first)
                self.form = "naacl" if is_naacl else "pharaoh"
        if self.form == "naacl":
            yield from _read_naacl(lines, self.path, self._sentences)
            return
        has_links = uses_zero = False
        for number, line in enumerate(lines, start=1):
            links = _BY_LINE[self.form](line, self.path, number)
            has_links = has_links or bool(links.possible)
            uses_zero = uses_zero or any(0 in link for link in links.possible)
            yield links
        if guessed and has_links and not uses_zero:
            raise DataError(
                f"{SEEMS_FROM_ONE}, but {self.form} counts from 0: {self.read_as('talp')}; if they "
                f"do count from 0, {self.read_as('pharaoh')}",
                self.path,
            )

    def read_as(self, form: str) -> str:
        """How to read the file in another format, for error messages."""
        rename = f"rename it to end in .{form}"
        return rename if self._option is None else f"use {self._option} {form}, or {rename}"


def _parse_talp(line: str, path: Path | None, number: int | None) -> GoldLinks:
    links = parse_links(line, path, number)
    return GoldLinks(
        *(_from_zero(side, path, number) for side in (links.sure, links.possible)),
    )


def _from_zero(links: Iterable[Link], path: Path | None, number: int | None) -> frozenset[Link]:
    """Convert links that count from 1 to links that count from 0."""
    shifted = frozenset((source - 1, target - 1) for source, target in links)
    if any(position < 0 for link in shifted for position in link):
        raise DataError(
            "a link with the word 0, but the positions of TALP count from 1; 0-based links are "
            "Pharaoh's",
            path,
            number,
        )
    return shifted


def _parse_jsonl(line: str, path: Path | None, number: int | None) -> GoldLinks:
    try:
        record = json.loads(line)
        sure, possible = (
            frozenset((int(source), int(target)) for source, target in links)
            for links in (record["links"], record.get("possible", []))
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise DataError(
            'expected an object like {"links": [[0, 0], [2, 1]], "possible": [[1, 1]]}, positions '
            "from 0, source first; a pair without links has an empty list",
            path,
            number,
        ) from None
    return GoldLinks(sure, possible)


def _read_naacl(lines: Iterable[str], path: Path, sentences: int | None) -> Iterator[GoldLinks]:
    sure: dict[int, set[Link]] = {}
    possible: dict[int, set[Link]] = {}
    last = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = _NAACL.fullmatch(line)
        if match is None or match[1].strip("0") == "":
            raise DataError(
                f"{line.strip()[:60]!r} is not a link: expected sentence, source and target "
                "position, from 1, and optionally S or P, as in 18 1 2 S",
                path,
                number,
            )
        sentence, source, target = (int(match[group]) for group in (1, 2, 3))
        last = max(last, sentence)
        if sentences is not None and sentence > sentences:
            raise DataError(
                f"a link of sentence {sentence}, but there are {sentences} sentence pairs",
                path,
                number,
            )
        if source and target:  # 0 marks a word without a link
            kind = possible if match[4] == "P" else sure
            kind.setdefault(sentence, set()).add((source - 1, target - 1))
    for sentence in range(1, (last if sentences is None else sentences) + 1):
        yield GoldLinks(frozenset(sure.get(sentence, ())), frozenset(possible.get(sentence, ())))


_BY_LINE: dict[str, Callable[[str, Path | None, int | None], GoldLinks]] = {
    "pharaoh": parse_links,
    "talp": _parse_talp,
    "jsonl": _parse_jsonl,
}

FORMATS = ("pharaoh", "talp", "naacl", "jsonl")
"""Names of the formats of links."""
