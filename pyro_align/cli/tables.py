"""Tables of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from pyro_align.cli.output import printable

if TYPE_CHECKING:
    from pyro_align.evaluation import Evaluation


def show_evaluation(result: Evaluation, title: str) -> None:
    """Print a table with one row per metric, followed by the signatures of scores."""
    table = Table(title=printable(title), box=SIMPLE, title_justify="left", show_header=False)
    table.add_column("measure", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("note")
    signatures = {}
    for one in result.measures():
        note = one.note
        if "|" in note:  # on its own line, since a wrapped signature cannot be copied
            signatures[one.name] = note
            note = "signature below"
        table.add_row(one.name, f"{one.value:.{one.digits}f}", note)
    show(table)
    for name, signature in signatures.items():
        click.echo(f"  {name}: {signature}")


def show(table: Table) -> None:
    """Print a table on standard output, as wide as the terminal, or 80 columns."""
    for column in table.columns:
        column.overflow = "fold"  # wrap long cells instead of truncating them
    # Brackets in cells are not markup.
    Console(markup=False, emoji=False).print(table)
