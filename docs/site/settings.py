"""Tables of the settings page, generated from the code when the site is built."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from pyro_align.config.config import TRANSLATION
from pyro_align.config.registry import TASKS
from pyro_align.config.settings import Setting, settings

PLACE = "<!-- every setting -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the placeholder with the tables."""
    return markdown.replace(PLACE, "\n".join(lines())) if PLACE in markdown else markdown


def lines() -> Iterator[str]:
    """Yield a section with a table for every table of the configuration."""
    shown = settings()
    yield from tables(shown)
    for task in TASKS:
        if task != TRANSLATION:
            own = [each for each in settings(None, task=task) if each not in shown]
            yield from tables(own, f" of the task {task}")


def tables(found: list[Setting], suffix: str = "") -> Iterator[str]:
    """Yield a section with a table for every table of some settings."""
    for name, rows in groupby(found, key=lambda setting: setting.table):
        yield f"\n## {name or 'top level'}{suffix}\n"
        yield "| setting | default | values | description |\n|---|---|---|---|"
        yield from map(row, rows)


def row(setting: Setting) -> str:
    """Format a row of a table."""
    owners = f"{', '.join(f'`{owner}`' for owner in setting.owners)}: " if setting.owners else ""
    default = f"`{setting.default}`" if setting.default else "–"
    cells = (f"`{setting.key}`", default, setting.values, f"{owners}{setting.description}")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
