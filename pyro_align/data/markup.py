"""Tags in a line of text: cut out before translation, and put around the aligned target words."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from pyro_align.data.links import Link
from pyro_align.errors import DataError

_TAG = re.compile(
    r"""<!--.*?-->
    | <(?P<end>/?)(?P<name>[A-Za-z_][\w:.-]*)(?P<rest>(?:\s(?:[^<>"']|"[^"]*"|'[^']*')*|/?))>
    | \{\{[^{}<>]*\}\} | \$?\{[\w.:-]*(?:,[^{}<>]*)?\}
    | (?<![\d%])%(?:\d+\$|\(\w+\))?[@dfisux](?!\w)""",
    re.VERBOSE,
)
_VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "wbr"))
"""Elements of HTML that have no end tag."""

_CLOSING = ".,;:!?)]}»”…"
"""Punctuation that follows a word without a space."""

_DEEPEST = 100
"""Maximum number of tags in each other."""

_WORD = re.compile(r"\S+", re.ASCII)
"""The words of :func:`~pyro_align.data.split_words`, with their places."""


@dataclass
class _Element:
    """A pair of tags, or a tag or placeholder that stands alone.

    Attributes:
        opening: start tag, or the tag that stands alone.
        closing: end tag; empty if the tag stands alone.
        start: place in the text without tags.
        end: place of the end tag.
        spaces: whether a tag that stands alone has a space, or an end of the line, on either side.
        children: elements between the tags.
    """

    opening: str
    closing: str
    start: int
    end: int
    spaces: tuple[bool, bool] = (False, False)
    children: list[_Element] = field(default_factory=list)

    def tags(self) -> str:
        """Return the tags without any text."""
        return "".join((self.opening, *(each.tags() for each in self.children), self.closing))


@final
@dataclass(frozen=True)
class Markup:
    """A line of text and the tags that were cut out of it.

    Tags are pairs such as ``<b>`` and ``</b>``, tags that stand alone such as ``<x id="1"/>``,
    ``<br>`` and comments, and placeholders such as ``{0}``, ``{n, number}``, ``{{name}}``,
    ``${name}``, ``%s`` and ``%(name)s``. Everything else is text, in which ``&lt;``, ``&amp;`` and
    other entities stand for characters.

    Attributes:
        text: the text without tags and with entities replaced.
        elements: the outermost elements, in order.
    """

    text: str
    elements: tuple[_Element, ...]

    @classmethod
    def cut(cls, line: str, path: Path | None = None, number: int | None = None) -> Markup:
        """Cut the tags out of a line.

        A tag that stands alone between two words without spaces is replaced by a space.

        Args:
            line: the line.
            path: its file, for error messages.
            number: its 1-based number, likewise.

        Raises:
            DataError: if tags are not nested properly, or a ``<`` does not begin a tag.
        """
        reader = _Reader(path, number)
        place = 0
        for tag in _TAG.finditer(line):
            reader.add_text(line[place : tag.start()])
            reader.add_tag(tag)
            place = tag.end()
        reader.add_text(line[place:])
        return reader.markup()

    def put(self, target: str, links: Iterable[Link]) -> str:
        r"""Put the tags around the words of a translation that are aligned with their words.

        The result is well-formed, with the same tags and nesting, whatever the links are. Of a
        pair of tags it encloses the interval of target words with the most words that are linked
        to its own source words, less those that are linked to others; the words of two elements
        side by side never overlap. A tag without words stands where most neighbours of its place
        in the source are on the same side, the nearest counting most. Punctuation next to a tag
        stays outside if it did so in the source.

        Args:
            target: the translation, without tags.
            links: links (source, target) from 0 between the words of :attr:`text` and ``target``,
                which are separated by ASCII white space.
        """
        return _Placement(self.text, target, links).write(self.elements)


class _Reader:
    """Collects the text and the elements of a line, from left to right."""

    def __init__(self, path: Path | None, number: int | None):
        self._place = (path, number)
        self._text = ""
        self._root = _Element("", "", 0, 0)
        self._open = [self._root]
        self._alone: _Element | None = None  # the last one, if no text follows it yet
        self._last_tag = -1  # its place in the text
        self._is_first = True  # whether no other tag is at the place of the last one

    def add_text(self, raw: str) -> None:
        if "<" in raw:
            shown = raw[raw.index("<") :][:30]
            raise self._error(f"{shown!r} begins with '<' but is not a tag: write &lt; for '<'")
        text = html.unescape(raw)
        if self._alone is not None and text:
            self._follow(self._alone, text)
            self._alone = None
        self._text += text

    def _follow(self, alone: _Element, text: str) -> None:
        """Join the text on both sides of a tag that stands alone."""
        alone.spaces = (alone.spaces[0], text[0].isspace())
        before = self._text[-1:]
        if before.isalnum() and text[0].isalnum():
            self._text += " "
        elif before == " " and text[0] in _CLOSING and self._is_first:
            # Without the placeholder of "see {0}." the space would part the point from its word.
            self._text = self._text[:-1]
            alone.start = alone.end = len(self._text)

    def add_tag(self, tag: re.Match[str]) -> None:
        opening, here = tag[0], len(self._text)
        name, rest = tag["name"], tag["rest"] or ""
        self._is_first = self._last_tag < here
        self._last_tag = here
        if tag["end"]:
            element = self._open.pop()
            if not self._open or element.closing != f"</{name}>" or rest.strip():
                wanted = f"expected {element.closing}" if self._open else "no tag is open"
                raise self._error(f"{opening} ends no tag that is open here: {wanted}")
            element.closing, element.end = opening, here
            self._is_first = False
            return
        is_alone = name is None or rest.endswith("/") or name.lower() in _VOID
        element = _Element(opening, "" if is_alone else f"</{name}>", here, here)
        self._open[-1].children.append(element)
        if not is_alone:
            if len(self._open) > _DEEPEST:
                raise self._error(f"tags are nested more than {_DEEPEST} deep")
            self._open.append(element)
            self._is_first = False
            return
        before = self._text[-1:]
        element.spaces = (not before or before.isspace(), True)
        if self._alone is not None:  # directly before this one
            self._alone.spaces = (self._alone.spaces[0], False)
            element.spaces = (False, True)
        self._alone = element

    def markup(self) -> Markup:
        if len(self._open) > 1:
            element = self._open[-1]
            raise self._error(f"{element.opening} is not closed: add {element.closing}")
        return Markup(self._text, tuple(self._root.children))

    def _error(self, message: str) -> DataError:
        return DataError(message, *self._place)


class _Placement:
    """Writes elements into a translation.

    Args:
        source: text without tags.
        target: the translation.
        links: links between their words.
    """

    def __init__(self, source: str, target: str, links: Iterable[Link]):
        self.source = source
        self.target = target
        self.source_words = [match.span() for match in _WORD.finditer(source)]
        self.words = [match.span() for match in _WORD.finditer(target)]
        size = len(self.source_words), len(self.words)
        self.links = [(s, t) for s, t in set(links) if 0 <= s < size[0] and 0 <= t < size[1]]
        self.linked = {t for _, t in self.links}

    def write(self, elements: Sequence[_Element]) -> str:
        """Return the translation with the elements."""
        writer = _Writer(self.target)
        self._write(elements, (0, len(self.words)), (0, len(self.target)), writer)
        writer.copy(len(self.target))
        return "".join(writer.parts)

    def _write(
        self,
        elements: Sequence[_Element],
        region: tuple[int, int],
        bounds: tuple[int, int],
        writer: _Writer,
    ) -> None:
        """Write elements into a region of target words, within bounds of the text."""
        spans = self._spans(elements, region)
        items: list[tuple[int, bool, int]] = [(a, True, i) for i, (a, _) in spans.items()]
        for i, element in enumerate(elements):
            if i not in spans:
                items.append((self._gap(element, region, spans.values()), False, i))
        for place, is_span, i in sorted(items):
            if is_span:
                start, end = self._bounds(elements[i], *spans[i])
                start, end = (min(max(each, bounds[0]), bounds[1]) for each in (start, end))
                writer.copy(start)
                writer.parts.append(elements[i].opening)
                self._write(elements[i].children, spans[i], (start, end), writer)
                writer.copy(end)
                writer.parts.append(elements[i].closing)
            else:
                writer.copy(min(max(self._point(elements[i], place), bounds[0]), bounds[1]))
                writer.insert(elements[i].tags(), elements[i].spaces)

    def _spans(
        self, elements: Sequence[_Element], region: tuple[int, int]
    ) -> dict[int, tuple[int, int]]:
        """Return the interval of target words of each element that has some."""
        owner: dict[int, int] = {}
        free = set(range(len(self.source_words)))
        for i, element in enumerate(elements):
            if element.closing:
                own = {s for s in free if self._covers(element, s)}
                free -= own
                for s, t in self.links:
                    if s in own and region[0] <= t < region[1]:
                        owner.setdefault(t, i)
        found = {}
        for i in sorted(set(owner.values())):
            own = {t for t, each in owner.items() if each == i}
            found[i] = _densest(own, owner.keys() - own, self.linked - owner.keys())
        return found

    def _covers(self, element: _Element, word: int) -> bool:
        start, end = self.source_words[word]
        return start < element.end and element.start < end

    def _gap(
        self, element: _Element, region: tuple[int, int], spans: Iterable[tuple[int, int]]
    ) -> int:
        """Return the number of target words before an element without words."""
        before = sum(start < element.start for start, _ in self.source_words)
        gain = [0.0] * (len(self.words) + 1)  # of having the target word on the left
        for s, t in self.links:
            gain[t] += 0.5 ** (before - 1 - s) if s < before else -(0.5 ** (s - before))
        inside = {g for a, b in spans for g in range(a + 1, b)}
        score, best = 0.0, (-float("inf"), -float("inf"), 0)
        wanted = before * len(self.words) / max(1, len(self.source_words))
        for g in range(region[0], region[1] + 1):
            if g not in inside:
                best = max(best, (score, -abs(g - wanted), g))
            score += gain[g]
        return best[2]

    def _bounds(self, element: _Element, first: int, last: int) -> tuple[int, int]:
        """Return the places of both tags around target words, without outer punctuation."""
        opens_outer, closes_outer = self._outer(element.start, -1), self._outer(element.end, 1)
        while opens_outer and first + 1 < last and self._is_punctuation(first):
            first += 1
        while closes_outer and first + 1 < last and self._is_punctuation(last - 1):
            last -= 1
        start, end = self.words[first][0], self.words[last - 1][1]
        if opens_outer:
            start += _outer_length(self.target[start : self.words[first][1]])
        if closes_outer:
            end -= _outer_length(self.target[self.words[last - 1][0] : end][::-1])
        return start, end

    def _is_punctuation(self, word: int) -> bool:
        """Whether a target word has neither letters nor digits."""
        start, end = self.words[word]
        return _has_no_letters(self.target[start:end])

    def _outer(self, place: int, step: int) -> bool:
        """Whether only punctuation of a source word is on one side of a place in it."""
        for start, end in self.source_words:
            if start < place < end:
                part = self.source[start:place] if step < 0 else self.source[place:end]
                return _has_no_letters(part)
        return False

    def _point(self, element: _Element, gap: int) -> int:
        """Return the place of an element without words between two target words."""
        is_outer = self._outer(element.start, 1)
        while is_outer and gap > 1 and self._is_punctuation(gap - 1):
            gap -= 1
        if gap > 0 and (gap == len(self.words) or is_outer or not element.spaces[0]):
            start, end = self.words[gap - 1]
            return end - (_outer_length(self.target[start:end][::-1]) if is_outer else 0)
        return self.words[gap][0] if self.words else 0


@dataclass
class _Writer:
    """Copies a text from left to right, with tags in between.

    Attributes:
        text: the text.
        done: number of characters that have been copied.
        parts: the result so far.
        last: last character of the result, apart from tags around words.
    """

    text: str
    done: int = 0
    parts: list[str] = field(default_factory=list)
    last: str = " "

    def copy(self, place: int) -> None:
        """Copy the text up to a place, with ``&``, ``<`` and ``>`` as entities."""
        if place > self.done:
            self.parts.append(html.escape(self.text[self.done : place], quote=False))
            self.last = self.text[place - 1]
            self.done = place

    def insert(self, tags: str, spaces: tuple[bool, bool]) -> None:
        """Add tags without words, with spaces where the source has them."""
        if spaces[0] and not self.last.isspace():
            self.parts.append(" ")
        self.parts.append(tags)
        self.last = tags[-1]
        following = self.text[self.done : self.done + 1]
        if spaces[1] and following and not following.isspace():
            self.parts.append(" ")
            self.last = " "


def _densest(own: Set[int], others: Set[int], foreign: Set[int]) -> tuple[int, int]:
    """Return the interval with the most ``own`` less ``foreign`` words, without ``others``.

    Of several the longest; it begins and ends with own words.
    """
    best = (0, 0, 0)  # score, length, and its start, negative
    start, score = None, 0
    for t in range(min(own), max(own) + 1):
        if start is None and t in own:
            start, score = t, 0
        if start is None:
            continue
        score += (t in own) - (t in foreign)
        if score < 0 or t in others:
            start = None
        elif t in own:
            best = max(best, (score, t + 1 - start, -start))
    return -best[2], best[1] - best[2]


def _has_no_letters(text: str) -> bool:
    """Whether a text has neither letters nor digits."""
    return not any(map(str.isalnum, text))


def _outer_length(word: str) -> int:
    """Return the length of the punctuation at the start of a word; 0 if there is nothing else."""
    return next((i for i, character in enumerate(word) if character.isalnum()), 0)
