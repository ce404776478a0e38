"""``pyro-align sample``: sample sentences from a run."""

from __future__ import annotations

from pathlib import Path

import click

from pyro_align.cli.options import SEED, chosen_device, device_option
from pyro_align.cli.output import output
from pyro_align.cli.paths import InputPath, OutputFile
from pyro_align.cli.progress import load_sentences_run, quiet_option, trust_option


@click.command()
@click.argument("run", type=InputPath())
@click.option(
    "--n",
    "count",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Number of sentences.",
)
@click.option(
    "--temperature",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Temperature of the words; 0 for the most probable word at each step.",
)
@click.option("--seed", type=SEED, default=0, show_default=True, help="Random seed.")
@click.option(
    "--out", type=OutputFile(stdout=True), help="Output file; standard output by default."
)
@device_option
@trust_option
@quiet_option
def sample(
    run: Path, count: int, temperature: float, seed: int, out: Path | None, device: str
) -> None:
    """Sample sentences from a run of the task `sentences`, one per line.

    The latent variable of each sentence, if the model has one, is sampled from the prior.
    """
    loaded, task = load_sentences_run(run)
    loaded.to(chosen_device(device))
    found = task.sample(loaded.model, count, temperature=temperature, seed=seed)
    with output(out) as file:
        print(*found, sep="\n", file=file)
