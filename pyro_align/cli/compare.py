"""``pyro-align compare``: a table with the results of several runs, one row each."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from pyro_align.cli.output import printable
from pyro_align.cli.paths import InputPath
from pyro_align.cli.progress import quiet_option, tell
from pyro_align.evaluation.quantities import QUANTITIES

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: name for ``--sort`` and CSV.
        heading: heading in the table.
        digits: decimal places; None for text.
        largest_first: whether larger values are better.
        narrow: multi-line heading for narrow tables, if it differs.
    """

    name: str
    heading: str
    digits: int | None = None
    largest_first: bool = False
    narrow: str | None = None


def _quantity(name: str, kind: str = "", narrow: str | None = None) -> Column:
    """Return the column of a quantity, or of one kind of it, such as ``aer`` of the ``guide``."""
    quantity = QUANTITIES[name]
    return Column(
        f"{name}_{kind}" if kind else name,
        f"{quantity.heading} {kind}" if kind else quantity.heading,
        quantity.digits,
        quantity.lower_is_better is False,
        narrow,
    )


COLUMNS = (
    Column("run", "run"),
    Column("model", "model"),
    Column("guide", "guide"),
    Column("objective", "objective"),
    _quantity("perplexity", narrow="per-\nplexity"),
    _quantity("elbo"),
    _quantity("kl"),
    _quantity("gap"),
    _quantity("prior_entropy"),
    _quantity("bleu"),
    _quantity("word_error_rate", narrow="word\nerror %"),
    _quantity("symbol_error_rate", narrow="symbol\nerror %"),
    _quantity("mean_edit_distance", narrow="mean\nedits"),
    _quantity("word_accuracy", narrow="word\nacc. %"),
    _quantity("sentence_nll", narrow="\nNLL"),
    _quantity("sentence_kl", narrow="\nKL"),
    _quantity("mutual_information", narrow="mutual\ninfo."),
    _quantity("active_units", narrow="active\nunits"),
    _quantity("reconstruction_bleu", narrow="recon.\nBLEU"),
    _quantity("nll", narrow="\nNLL"),
    _quantity("answer_accuracy", narrow="accu-\nracy"),
    _quantity("vqa_accuracy", narrow="VQA\nacc."),
    _quantity("gold_accuracy", "posterior", narrow="gold\npost."),
    _quantity("gold_accuracy", "prior", narrow="gold\nprior"),
    _quantity("aer", "posterior", narrow="AER\npost."),
    _quantity("aer", "guide", narrow="AER\nguide"),
    _quantity("steps"),
    _quantity("fit_seconds", narrow="fit\nseconds"),
)
"""Columns of the table, with the values of :data:`~pyro_align.evaluation.quantities.QUANTITIES`."""


def _column(ctx: click.Context, param: click.Parameter, name: str | None) -> Column | None:
    """Return the column with a name."""
    from pyro_align.errors import nearest

    columns = {column.name: column for column in COLUMNS}
    if name is not None and name not in columns:
        raise click.BadParameter(f"no column {name!r}: {nearest(name, columns)}", ctx, param)
    return None if name is None else columns[name]


def _complete_column(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [column.name for column in COLUMNS if column.name.startswith(incomplete)]


@click.command()
@click.argument("runs", nargs=-1, required=True, type=InputPath())
@click.option(
    "--format",
    "layout",
    default="table",
    show_default=True,
    type=click.Choice(["table", "markdown", "latex", "csv"]),
    help="Output format; csv has all digits.",
)
@click.option(
    "--sort",
    callback=_column,
    shell_complete=_complete_column,
    metavar="COLUMN",
    help=f"Sort by a column, best first: {', '.join(column.name for column in COLUMNS)}.",
)
@quiet_option
def compare(runs: tuple[Path, ...], layout: str, sort: Column | None) -> None:
    """Compare the results of several runs in a table, one row per run.

    Columns are perplexity, ELBO, KL(guide ‖ prior), gap (KL from the guide to the exact posterior),
    entropy of the prior (all in nats per target token), BLEU, error rates of predicted words,
    alignment error rates if there were gold links, optimiser steps and time. Of models with latent
    variables of sentences, or none: negative log likelihood and KL in nats per sentence, mutual
    information, active units, BLEU of reconstructions. Results are read from the run folders. Runs
    without results are skipped with a note.
    """
    rows = []
    for path in runs:
        if (row := _row(path)) is None:
            tell(f"note: {path}: skipped, no results yet (`pyro-align fit --resume {path}`)")
        else:
            rows.append(row)
    for note in _notes(rows):
        tell(f"note: {note}")
    if not rows:
        return
    if sort is not None:
        rows = _sorted(rows, sort)
    LAYOUTS[layout](rows)


def _row(path: Path) -> Row | None:
    """Read the results of a run from its files; None if it has none.

    Raises:
        RunError: if the folder is not a run, or a file is damaged.
        ConfigError: if its configuration is damaged.
    """
    from pyro_align.errors import RunError
    from pyro_align.runs.folder import check_version, component_names, read_facts

    check_version(path)
    if not (path / "results.json").is_file():
        return None
    row = read_facts(path / "results.json")
    try:
        rates = row.get("alignment", {})
        row |= {f"aer_{kind}": rate["aer"] for kind, rate in rates.items()}
        if (means := row.get("per_sentence")) is not None:
            divergences = means["divergences"].values()
            row["sentence_nll"] = means["nll"]
            row["sentence_kl"] = sum(divergences) if divergences else None
        for column in COLUMNS:
            if column.digits is not None and (value := row.get(column.name)) is not None:
                row[column.name] = float(value)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise RunError(
            f"{path / 'results.json'}: damaged, some results are missing; copy the run again"
        ) from None
    return {**row, **component_names(path), "run": str(path), "steps": _steps(path / "metrics.csv")}


def _steps(path: Path) -> int | None:
    """Number of optimiser steps; None if the file does not contain it."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return max((int(row["step"]) for row in csv.DictReader(file)), default=None)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _notes(rows: Sequence[Row]) -> Iterable[str]:
    """Yield notes about values that cannot be compared."""
    if len({(row.get("sentences"), row.get("tokens")) for row in rows}) > 1:
        yield (
            "the runs were evaluated on different text or with different vocabularies: perplexity "
            "and other per-token values are not comparable"
        )
    if len({row["bleu_signature"] for row in rows if "bleu_signature" in row}) > 1:
        yield "BLEU has different signatures, so it is not comparable"
    for row in rows:
        if row.get("estimated"):
            yield f"{row['run']}: perplexity is estimated from samples, an upper bound"


def _sorted(rows: Sequence[Row], column: Column) -> list[Row]:
    """Sort rows, best first, rows without a value last."""
    known = [row for row in rows if row.get(column.name) is not None]
    missing = [row for row in rows if row.get(column.name) is None]
    known.sort(key=lambda row: row[column.name], reverse=column.largest_first)
    return known + missing


def _filled(rows: Sequence[Row]) -> list[Column]:
    """Columns with a value in at least one row."""
    return [c for c in COLUMNS if any(row.get(c.name) is not None for row in rows)]


def _text(row: Row, column: Column) -> str:
    value = row.get(column.name)
    if value is None:
        return "–"
    return printable(str(value)) if column.digits is None else f"{value:.{column.digits}f}"


def _as_table(rows: Sequence[Row]) -> None:
    """Print tables that fit 80 columns: numbered runs, and their results.

    Results of runs that predict words or answers, or have latent variables of sentences, are two
    tables: means per token, and the rest.
    """
    from rich.box import SIMPLE
    from rich.table import Table

    from pyro_align.cli.tables import show

    columns = _filled(rows)
    names = [column for column in columns if column.digits is None]
    results = columns[len(names) :]
    starts = ("word_error_rate", "sentence_nll", "nll")
    first = next((i for i, one in enumerate(results) if one.name in starts), 0)
    for found in filter(None, (names, results[:first], results[first:])):
        is_number = found is not names
        table = Table(box=SIMPLE, padding=(0, 0 if is_number else 1))
        table.add_column("#", justify="right")
        for column in found:
            justify: Literal["left", "right"] = "right" if is_number else "left"
            table.add_column(column.narrow or column.heading, justify=justify, no_wrap=is_number)
        for number, row in enumerate(rows, start=1):
            table.add_row(str(number), *(_text(row, column) for column in found))
        show(table)


def _as_markdown(rows: Sequence[Row]) -> None:
    columns = _filled(rows)
    lines = [[column.heading for column in columns]]
    lines.append(["---" if column.digits is None else "---:" for column in columns])
    for row in rows:
        lines.append([re.sub(r"([\\|`*_<\[])", r"\\\1", _text(row, c)) for c in columns])
    for line in lines:
        click.echo(f"| {' | '.join(line)} |")


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def _as_latex(rows: Sequence[Row]) -> None:
    """Print a LaTeX table for the package booktabs."""
    columns = _filled(rows)
    places = "".join("l" if column.digits is None else "r" for column in columns)
    click.echo(f"% \\usepackage{{booktabs}}\n\\begin{{tabular}}{{{places}}}\n\\toprule")
    click.echo(f"{' & '.join(column.heading for column in columns)} \\\\\n\\midrule")
    for row in rows:
        click.echo(f"{' & '.join(_latex(row, column) for column in columns)} \\\\")
    click.echo("\\bottomrule\n\\end{tabular}")


def _latex(row: Row, column: Column) -> str:
    text = _text(row, column)
    if column.digits is not None and text.startswith("-"):
        return f"$-${text[1:]}"  # a minus sign, not a hyphen
    return "".join(_LATEX.get(sign, sign) for sign in text)


def _as_csv(rows: Sequence[Row]) -> None:
    text = io.StringIO()
    names = [column.name for column in COLUMNS]
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        texts = {c.name: _inert(str(row[c.name])) for c in COLUMNS if c.digits is None}
        writer.writerow({**row, **texts})
    click.echo(text.getvalue(), nl=False)


def _inert(text: str) -> str:
    """Escape text that a spreadsheet would read as a formula, with a leading apostrophe.

    As OWASP recommends against CSV injection: https://owasp.org/www-community/attacks/CSV_Injection
    """
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


LAYOUTS: dict[str, Callable[[Sequence[Row]], None]] = {
    "table": _as_table,
    "markdown": _as_markdown,
    "latex": _as_latex,
    "csv": _as_csv,
}
"""Functions that print the table, by the name of ``--format``."""
