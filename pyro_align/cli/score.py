"""``pyro-align score``: score links of any aligner against gold links."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path

import click

from pyro_align.cli.options import LINK_FORMATS
from pyro_align.cli.paths import InputPath
from pyro_align.evaluation.quantities import QUANTITIES

FORM = click.Choice(("auto", *LINK_FORMATS))

STDIN = Path("/dev/stdin")
"""Standard input as a file."""


@click.command()
@click.argument("links", type=InputPath(stdin=True))
@click.argument("gold", type=InputPath(stdin=True))
@click.option(
    "--format", "form", type=FORM, default="auto", show_default=True, help="Format of LINKS."
)
@click.option("--gold-format", type=FORM, default="auto", show_default=True, help="Format of GOLD.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def score(
    links: Path | None, gold: Path | None, form: str, gold_format: str, as_json: bool
) -> None:
    """Compute alignment error rate, precision and recall of LINKS against GOLD.

    Both files have one line per sentence pair, in one of the formats of `align`; the marks of
    possible links are used only in GOLD. One of the files may be - for standard input.
    """
    from pyro_align.data import GoldLinks, LinkFile
    from pyro_align.errors import DataError
    from pyro_align.evaluation import AlignmentErrorRate

    if links is None and gold is None:
        raise click.UsageError("only one of LINKS and GOLD can be standard input")
    links, gold = links or STDIN, gold or STDIN
    rate = AlignmentErrorRate()
    sides = (
        LinkFile(links, form, option="--format"),
        LinkFile(gold, gold_format, option="--gold-format"),
    )
    for number, (found, true) in enumerate(zip_longest(*sides), start=1):
        found, true = (
            # NAACL files have no line for a pair without links, so the last pairs may be missing.
            GoldLinks(frozenset()) if one is None and side.form == "naacl" else one
            for side, one in zip(sides, (found, true), strict=True)
        )
        if found is None or true is None:
            short, long = (links, gold) if found is None else (gold, links)
            raise DataError(
                f"ends after {number - 1} sentence pairs, but {long} has more; both must have "
                f"the same number",
                short,
            )
        rate.update(found.possible, true)
    if not rate.counts:
        raise DataError("the file contains no sentence pairs", links)
    if as_json:
        click.echo(json.dumps({**rate.to_dict(), "pairs": len(rate.counts)}, indent=2))
        return
    low, high = rate.interval()
    for name, value, note in (
        ("aer", rate.error_rate, f"95 % within {low:.4f} and {high:.4f}"),
        ("precision", rate.precision, f"{rate.predicted} links"),
        ("recall", rate.recall, f"{rate.sure} sure links"),
    ):
        quantity = QUANTITIES[name]
        click.echo(f"{quantity.label:<9}  {value:.{quantity.digits}f}   {note}")
    click.echo(f"pairs      {len(rate.counts)}")
