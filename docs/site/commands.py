"""The help of every command, put into the built page about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from pyro_align.cli import main

PLACE = "<!-- help of every command -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the place that is left for it."""
    if PLACE not in markdown:
        return markdown
    context = click.Context(main, info_name="pyro-align", max_content_width=90)
    return markdown.replace(PLACE, "\n".join(helps(main, context)))


def helps(group: click.Group, context: click.Context) -> Iterator[str]:
    """A section for each command, and for those below it."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context)
        yield f"## {inner.command_path}\n\n```text\n{command.get_help(inner)}\n```\n"
        if isinstance(command, click.Group):
            yield from helps(command, inner)
