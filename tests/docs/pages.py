"""Reading the documentation: sections, tables, code, links and mathematics of a Markdown page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from pyro_align.cli import main

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Page:
    """A Markdown file."""

    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without fenced blocks."""
        return re.sub(r"^```.*?^```\n", "", self.text, flags=re.DOTALL | re.MULTILINE)

    @property
    def headings(self) -> list[str]:
        """Headings of the second level."""
        return re.findall(r"^## (.+)$", self.prose, flags=re.MULTILINE)

    def section(self, heading: str) -> str:
        """Everything below a heading of the second level, up to the next."""
        (found,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", self.text, re.DOTALL | re.M)
        return str(found)

    @property
    def links(self) -> list[str]:
        """Targets of links within the documentation."""
        targets = re.findall(r"\]\(([^)\s]+)\)", self.prose)
        return [target for target in targets if "://" not in target]

    def code(self, language: str) -> list[str]:
        """Fenced blocks of a language."""
        return code(self.text, language)

    @property
    def equations(self) -> list[str]:
        """Displayed mathematics."""
        return re.findall(r"^\$\$\n(.*?)\n\$\$$", self.prose, flags=re.DOTALL | re.MULTILINE)

    @property
    def inline(self) -> list[str]:
        """Mathematics within a line."""
        rest = re.sub(r"^\$\$\n.*?\n\$\$$", "", self.prose, flags=re.DOTALL | re.MULTILINE)
        return re.findall(r"\$([^$]+)\$", re.sub(r"`[^`]*`", "", rest))

    @property
    def commands(self) -> list[list[str]]:
        """Arguments of every ``pyro-align`` in the shell blocks, without redirections."""
        return [command for block in self.code("sh") for command in commands(block)]


PAGES = [Page(path) for path in sorted(DOCS.rglob("*.md"))]


def code(text: str, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def tables(text: str) -> Iterator[list[dict[str, str]]]:
    """Tables; each row is a dictionary by column heading."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in line[1:-1].split("|")] for line in block.splitlines()
        )
        yield [dict(zip(head, row, strict=True)) for row in rows]


def commands(block: str) -> Iterator[list[str]]:
    """Arguments of every ``pyro-align`` in a shell block, without redirections."""
    for line in block.replace("\\\n", " ").splitlines():
        for part in re.split(r"&&|\|", line):
            words = shlex.split(part, comments=True)
            if words[:1] == ["pyro-align"]:
                ends = [index for index, word in enumerate(words) if word in ("<", ">")]
                yield words[1 : min(ends, default=len(words))]


def parsed(arguments: list[str]) -> Any:
    """Parse a command line with click, which raises an error for unknown names."""
    name, *rest = arguments
    command = main.get_command(click.Context(main), name)
    assert command is not None, f"no command {name!r}"
    return command.make_context(name, rest)


def written_class(page: Page, folder: Path, option: str) -> Path:
    """Write the only Python file of a page; return the ``FILE:CLASS`` that ``fit`` gets there."""
    (block,) = page.code("python")
    name, text = named(block)
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    fits = [arguments for arguments in page.commands if arguments[0] == "fit"]
    (given,) = {fit[fit.index(option) + 1] for fit in fits}
    assert given.partition(":")[0] == name
    return folder / given


def named(block: str) -> tuple[str, str]:
    """File name and text of a code block that starts with its file name."""
    found = re.match(r"# (\S+\.py)\n", block)
    assert found, "the block does not begin with its file name in a comment"
    return found[1], block
