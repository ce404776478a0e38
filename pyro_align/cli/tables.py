"""Tables of results."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Literal

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from pyro_align.cli.output import printable

if TYPE_CHECKING:
    from pandas import DataFrame

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


def show_edits(frame: DataFrame) -> None:
    """Print the most frequent edits of predicted words.

    Args:
        frame: result of :meth:`~pyro_align.evaluation.Confusions.table`.
    """
    title = "Most frequent edits"
    table = Table(title=title, box=SIMPLE, title_justify="left")
    for name in ("correct", "predicted", "count", "%", "aligned to", "probability"):
        justify: Literal["left", "right"] = "right" if name in _NUMBERS else "left"
        table.add_column(name, justify=justify)
    for row in frame.to_dict("records"):
        edit = (row["reference"], row["prediction"])
        source, probability = "–", "–"
        if isinstance(row["source"], str):
            source, probability = _symbol(row["source"]), f"{row['probability']:.2f}"
        symbols = (_symbol(each) if isinstance(each, str) else "–" for each in edit)
        table.add_row(*symbols, str(row["count"]), f"{row['percent']:.1f}", source, probability)
    show(table)


def _symbol(text: str) -> str:
    """Return a symbol to print, a combining mark with a dotted circle to stand on."""
    return printable(f"\u25cc{text}" if unicodedata.combining(text[0]) else text)


_NUMBERS = ("count", "%", "probability")


def show(table: Table) -> None:
    """Print a table on standard output, as wide as the terminal, or 80 columns."""
    for column in table.columns:
        column.overflow = "fold"  # wrap long cells instead of truncating them
    # Brackets in cells are not markup.
    Console(markup=False, emoji=False).print(table)
