"""Tables of results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from pyro_align.cli.output import printable

if TYPE_CHECKING:
    from pyro_align.evaluation import Evaluation


def evaluation_table(result: Evaluation, title: str) -> Table:
    """Table with a row for each measure."""
    table = Table(title=printable(title), box=SIMPLE, title_justify="left", show_header=False)
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("note")
    for one in result.measures():
        table.add_row(one.name, f"{one.value:.{one.digits}f}", one.note)
    return table


def show(table: Table) -> None:
    """Print a table on standard output, at most as wide as the terminal, else 80 columns."""
    # Brackets are brackets here, not markup.
    Console(markup=False, emoji=False).print(table)
