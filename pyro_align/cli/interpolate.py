"""``pyro-align interpolate``: sentences between two sentences."""

from __future__ import annotations

from pathlib import Path

import click

from pyro_align.cli.options import chosen_device, device_option
from pyro_align.cli.output import output
from pyro_align.cli.paths import InputPath, OutputFile
from pyro_align.cli.progress import load_sentences_run, quiet_option, trust_option


@click.command()
@click.argument("run", type=InputPath())
@click.argument("first")
@click.argument("last")
@click.option(
    "--steps",
    type=click.IntRange(min=2),
    default=8,
    show_default=True,
    help="Number of sentences, with both ends.",
)
@click.option(
    "--out", type=OutputFile(stdout=True), help="Output file; standard output by default."
)
@device_option
@trust_option
@quiet_option
def interpolate(
    run: Path, first: str, last: str, steps: int, out: Path | None, device: str
) -> None:
    """Decode points on the line between the latent variables of two sentences, one per line.

    The ends are the posterior means of FIRST and LAST, decoded too: the first and last line show
    how well the two sentences are reconstructed.
    """
    loaded, task = load_sentences_run(run)
    loaded.to(chosen_device(device))
    found = task.interpolate(loaded.model, loaded.guide, first, last, steps)
    with output(out) as file:
        print(*found, sep="\n", file=file)
