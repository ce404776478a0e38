"""``pyro-align inspect``: a report of one file about a run and its posteriors."""

from __future__ import annotations

from pathlib import Path

import click

from pyro_align.cli.options import chosen_device, device_option
from pyro_align.cli.paths import InputPath, OutputFile
from pyro_align.cli.progress import load_run, quiet_option, status, trust_option


@click.command()
@click.argument("run", type=InputPath())
@click.argument("text", nargs=-1, required=True, metavar="SRC TGT", type=InputPath())
@click.option(
    "--out",
    type=OutputFile(),
    default="report.html",
    show_default=True,
    help="The HTML file; one that is there is replaced.",
)
@click.option("--gold", type=InputPath(), help="Gold links of the text's words.")
@click.option("--pieces", is_flag=True, help="Show the vocabulary's pieces, not words.")
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
    """Write a report about RUN and what it believes of a text (SRC TGT, or one .tsv or .jsonl).

    One HTML file that needs no network: the run's card, training curves, calibration against gold
    links where there are any, the most and least certain sentence pairs, the largest disagreements
    of prior and posterior, and an interactive heatmap of every sentence pair.
    """
    from pyro_align.corpus import LinkFile, ParallelText

    loaded = load_run(run)
    from pyro_align.evaluation import check_text  # imports torch
    from pyro_align.report import write_report

    loaded.to(chosen_device(device))
    parallel = ParallelText.open(text)
    links = None if gold is None else LinkFile(gold, sentences=parallel.count())
    pairs, checked, _ = check_text(parallel, loaded.vocabularies, links, loaded.max_length)
    with status("scoring sentence pairs"):
        posterior = loaded.posterior(
            [pair.source for pair in pairs],
            [pair.target for pair in pairs],
            gold=checked,
            words=not pieces,
        )
    write_report(loaded, posterior, out)
    click.echo(f"{out}: {len(posterior)} sentence pairs")
