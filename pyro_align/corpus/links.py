"""Word alignments in files: Pharaoh, TALP, NAACL and JSON lines.

=========  =================================================  =====  =========================
format     links 0-0 and 2-1, the second only possible        from   lines
=========  =================================================  =====  =========================
pharaoh    ``0-0 2?1`` (or ``2p1``)                           0      one a sentence pair
talp       ``1-1 3p2``                                        1      one a sentence pair
naacl      ``7 1 1 S`` and ``7 3 2 P``, in sentence pair 7    1      one a link
jsonl      ``{"links": [[0, 0]], "possible": [[2, 1]]}``      0      one a sentence pair
=========  =================================================  =====  =========================

The source position always comes first. TALP is what the test sets of Zenkel et al. 2019
(github.com/lilt/alignment-scripts) use; NAACL is the format of the shared task of Mihalcea &
Pedersen 2003, whose links may also end in a confidence. A Pharaoh link may carry a probability
(``0-0:0.93``), which is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import final

from pyro_align.compression import text_suffix
from pyro_align.corpus.lines import read_lines
from pyro_align.corpus.words import split_words
from pyro_align.errors import DataError

Link = tuple[int, int]
"""0-based word positions (source, target)."""

SEEMS_FROM_ONE = "no link has position 0 on either side, so positions seem to count from 1"

_LINK = re.compile(r"([0-9]+)([-p?])([0-9]+)(?::[0-9.e-]+)?")
_NAACL = re.compile(r"\s*([0-9]+)\s+([0-9]+)\s+([0-9]+)(?:\s+([SP]))?(?:\s+[0-9.e-]+)?\s*")


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
    """Read one Pharaoh line; an empty one has no links, and probabilities (``0-0:0.9``) are left.

    Args:
        line: links between white space: ``i-j`` is sure, ``ipj`` or ``i?j`` only possible.
        path: the file to name in an error.
        number: the line number to name in an error.

    Raises:
        DataError: if something is not a link.
    """
    sure: set[Link] = set()
    possible: set[Link] = set()
    for word in split_words(line):
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
    remedy: str = "positions count from 0, source first",
) -> None:
    """Refuse links that point outside their sentences.

    Args:
        links: the links.
        source_length: number of source words.
        target_length: number of target words.
        path: the file to name in an error.
        number: the line number to name in an error.
        remedy: what to do then.

    Raises:
        DataError: naming the first such link.
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
    """The links of a file, one :class:`GoldLinks` a sentence pair; each iteration reads it anew.

    Args:
        path: the file, plain or compressed.
        form: one of :data:`FORMATS`; or ``auto``: what the ending says (``.talp``, ``.naacl``,
            ``.jsonl``, ``.pharaoh``), else NAACL if the first line is like ``1 1 1``, else Pharaoh.
        sentences: how many pairs there are, which a NAACL file does not say: it has no line for
            a pair without links. Other formats do not need it.
        option: the command line's option for the format, to name in errors; None if it has none.

    Attributes:
        path: the file.
        form: its format; ``auto`` until the first iteration begins, where that was given.
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
            DataError: for a missing or damaged file, or something that is not a link. At the end
                of a file whose format nobody named: if no link has position 0 on either side, so
                that positions seem to count from 1 where the format counts from 0.
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
        """What to do to have the file read in another format, for errors."""
        rename = f"rename it to end in .{form}"
        return rename if self._option is None else f"use {self._option} {form}, or {rename}"


def _parse_talp(line: str, path: Path | None, number: int | None) -> GoldLinks:
    links = parse_links(line, path, number)
    return GoldLinks(
        *(_from_zero(side, path, number) for side in (links.sure, links.possible)),
    )


def _from_zero(links: Iterable[Link], path: Path | None, number: int | None) -> frozenset[Link]:
    """Links that count from 1, as links that count from 0."""
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
                "position, from 1, and perhaps S or P, as in 18 1 2 S",
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
        if source and target:  # 0 says of a word that it has no link
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
