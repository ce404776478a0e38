"""``pyro-align inspect``: an HTML report about a run and its posteriors."""

from __future__ import annotations

from pathlib import Path

import click

from pyro_align.cli.options import chosen_device, device_option
from pyro_align.cli.paths import InputPath, OutputFile
from pyro_align.cli.progress import load_text_run, quiet_option, status, trust_option


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
@click.option("--pieces", is_flag=True, help="Show subword pieces instead of words.")
@device_option
@trust_option
@quiet_option
def inspect(
    run: Path,
    text: tuple[Path, ...],
    out: Path,
    gold: Path | None,
    pieces: bool,
    device: str,
) -> None:
    """Write a report about RUN and its posteriors on a text (SRC TGT, or one .tsv or .jsonl).

    The report is one self-contained HTML file with the run's settings and results, training curves,
    calibration against gold links (if given), the most and least certain sentence pairs, the
    largest disagreements between prior and posterior, and an interactive heatmap of every sentence
    pair.
    """
    from pyro_align.data import LinkFile, ParallelText

    loaded, task = load_text_run(run)
    from pyro_align.evaluation import check_text  # imports torch
    from pyro_align.runs.report import write_report

    loaded.to(chosen_device(device))
    parallel = ParallelText.open(text)
    links = None if gold is None else LinkFile(gold, sentences=parallel.count())
    pairs, checked, _ = check_text(parallel, task.vocabularies, links, task.max_length)
    with status("scoring sentence pairs"):
        posterior = loaded.posterior(
            [pair.source for pair in pairs],
            [pair.target for pair in pairs],
            gold=checked,
            words=not pieces,
        )
    write_report(loaded, posterior, out)
    click.echo(f"{out}: {len(posterior)} sentence pairs")
