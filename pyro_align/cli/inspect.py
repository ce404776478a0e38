"""``pyro-align inspect``: an HTML report about a run and its posteriors."""

from __future__ import annotations

from pathlib import Path

import click

from pyro_align.cli.options import chosen_device, device_option, language_option
from pyro_align.cli.paths import InputPath, OutputFile
from pyro_align.cli.progress import load_run, pairs_task, quiet_option, status, trust_option


@click.command()
@click.argument("run", type=InputPath())
@click.argument("text", nargs=-1, required=True, metavar="SRC TGT", type=InputPath())
@click.option(
    "--out",
    type=OutputFile(),
    default="report.html",
    show_default=True,
    help="HTML file to write; an existing file is replaced.",
)
@click.option("--gold", type=InputPath(), help="Gold links between the words of the text.")
@click.option("--pieces", is_flag=True, help="Show subword pieces of sentences instead of words.")
@language_option
@device_option
@trust_option
@quiet_option
def inspect(
    run: Path,
    text: tuple[Path, ...],
    out: Path,
    gold: Path | None,
    pieces: bool,
    languages: tuple[str, ...],
    device: str,
) -> None:
    """Write a report about RUN and its posteriors on a text (SRC TGT, or one .tsv or .jsonl; for
    words .tsv files with the columns of the run).

    The report is one self-contained HTML file with the run's settings and results, training curves,
    calibration against gold links (if given), the most and least certain sentence pairs, the
    largest disagreements between prior and posterior, and an interactive heatmap of every sentence
    pair.
    """
    loaded = load_run(run)
    task = pairs_task(loaded, run)
    from pyro_align.runs.report import write_report  # imports torch

    loaded.to(chosen_device(device))
    with status(f"scoring {task.unit}"):
        posterior = task.posterior_of_files(
            loaded.model,
            loaded.guide,
            text,
            gold=gold,
            pieces=pieces,
            languages=languages or None,
        )
    write_report(loaded, posterior, out)
    click.echo(f"{out}: {len(posterior)} {task.unit}")
