"""``pyro-align data``: corpora made here."""

from __future__ import annotations

from pathlib import Path

import click

from pyro_align.cli.options import SEED
from pyro_align.cli.output import printable
from pyro_align.cli.paths import OutputFolder


@click.group()
def data() -> None:
    """Make corpora."""


@data.command("synthetic")
@click.option("--pairs", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option("--out", type=OutputFolder(), required=True, help="Folder to make.")
def synthetic(pairs: int, seed: int, out: Path) -> None:
    """Write German-English sentence pairs with gold links.

    PAIRS of them are for training; validation and test text, which share no German sentence with
    them, depend on the seed alone.
    """
    from rich.box import SIMPLE
    from rich.table import Table

    from pyro_align.cli.tables import show
    from pyro_align.corpus import split_words
    from pyro_align.corpus.synthetic import generate, write

    parts = write(pairs, seed, out)
    table = Table(title=printable(str(out)), box=SIMPLE, title_justify="left")
    for heading in ("part", "pairs", "German words", "English words", "links"):
        table.add_column(heading, justify="left" if heading == "part" else "right")
    for name, part in parts.items():
        counts = (part.pairs, part.source_words, part.target_words, part.links)
        table.add_row(name, *(f"{count:,}" for count in counts))
    show(table)
    example = max(generate(20, seed), key=lambda pair: len(pair.links))
    source, target = split_words(example.source), split_words(example.target)
    click.echo(f"{example.source}\n{example.target}")
    click.echo("  ".join(f"{source[i]}–{target[j]}" for i, j in sorted(example.links)))
