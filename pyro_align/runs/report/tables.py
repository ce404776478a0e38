"""Parts of the HTML of reports."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

NAMES = {"prior": "prior", "guide": "guide", "posterior": "exact posterior"}
"""Labels of the kinds of distributions."""

LISTED = 8
"""Maximum number of rows in a list of sentences, tokens or questions."""


def section(heading: str, parts: Sequence[str]) -> list[str]:
    """A section with parts side by side; empty if there are none."""
    if not parts:
        return []
    return [f"<h2>{heading}</h2>", '<div class="columns">', *parts, "</div>"]


def table(rows: Sequence[tuple[str, str]], caption: str = "") -> str:
    """A table of names and values."""
    if not rows:
        return ""
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td><bdi>{escape(value)}</bdi></td></tr>'
        for name, value in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<tbody>{body}</tbody></table>"


def listing(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose cells are HTML and whose last column holds numbers."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns[:-1])
    body = "".join(
        f"<tr>{''.join(f'<td>{cell}</td>' for cell in row[:-1])}"
        f'<td class="number">{row[-1]}</td></tr>'
        for row in rows
    )
    return (
        f'<div class="scrolled"><table><caption>{escape(caption)}</caption><thead><tr>{head}'
        f'<th scope="col" class="number">{escape(columns[-1])}</th></tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def button(index: int, noun: str) -> str:
    """A button that shows a sentence pair or question in the view of the page.

    Args:
        index: its index, displayed from 1.
        noun: what it is called.
    """
    return (
        f'<button class="go" type="button" data-sentence="{index}" '
        f'aria-label="show {noun} {index + 1}">{index + 1}</button>'
    )


def token(text: str) -> str:
    """A text in its own direction."""
    return f'<bdi dir="auto">{escape(text)}</bdi>'
