"""Translation of lines with tags."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pyro_align.data import Markup
from pyro_align.decoding.translation import ScoredText, Translation


def translate_tagged(
    translate: Callable[[Iterable[str]], Iterator[Translation]],
    lines: Iterable[str],
    path: Path | None = None,
) -> Iterator[Translation]:
    """Translate lines without their tags, and put the tags around the aligned words.

    See :class:`~pyro_align.data.Markup`. The word links of a translation are between words without
    tags.

    Args:
        translate: translates lines in order, with word links.
        lines: lines with tags.
        path: their file, for error messages.

    Raises:
        DataError: if the tags of a line are not nested properly.
    """
    pending: deque[Markup] = deque()

    def plain() -> Iterator[str]:
        for number, line in enumerate(lines, start=1):
            markup = Markup.cut(line, path, number)
            pending.append(markup)
            yield markup.text

    for translation in translate(plain()):
        yield _tagged(pending.popleft(), translation)


def _tagged(markup: Markup, translation: Translation) -> Translation:
    hypotheses = translation.hypotheses
    if not hypotheses and markup.elements:  # a line of tags only
        hypotheses = (ScoredText("", 0.0, 0.0),)
    texts = [
        markup.put(found.text, () if found.alignment is None else found.alignment.links)
        for found in hypotheses
    ]
    return replace(
        translation,
        hypotheses=tuple(
            replace(found, text=text) for found, text in zip(hypotheses, texts, strict=True)
        ),
    )
