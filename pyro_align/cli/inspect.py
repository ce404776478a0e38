"""``pyro-align inspect``: an HTML report about a run and its posteriors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyro_align.cli.answers import reject_options
from pyro_align.cli.options import chosen_device, device_option, images_option, language_option
from pyro_align.cli.paths import InputPath, OutputFile
from pyro_align.cli.progress import load_run, pairs_task, quiet_option, status, tell, trust_option

if TYPE_CHECKING:
    from pyro_align.posterior import AlignmentPosterior, AnswerPosterior


@click.command()
@click.argument("run", type=InputPath())
@click.argument("text", nargs=-1, metavar="SRC TGT", type=InputPath())
@click.option(
    "--out",
    type=OutputFile(),
    default="report.html",
    show_default=True,
    help="HTML file to write; an existing file is replaced.",
)
@click.option("--gold", type=InputPath(), help="Gold links between the words of the text.")
@click.option("--pieces", is_flag=True, help="Show subword pieces of sentences instead of words.")
@click.option(
    "--most",
    default=500,
    show_default=True,
    type=click.IntRange(min=1),
    help="Maximum number of questions; each of their images is a picture of at most 60 KiB.",
)
@images_option
@click.option(
    "--pictures",
    type=InputPath(),
    metavar="FOLDER",
    help="Pictures of the images, if the run reads features of their regions.",
)
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
    most: int,
    images: tuple[Path, ...],
    pictures: Path | None,
    languages: tuple[str, ...],
    device: str,
) -> None:
    """Write a report about RUN and its posteriors on a text (SRC TGT, or one .tsv or .jsonl; for
    words .tsv files with the columns of the run; for questions their files, by default the test
    questions of the run).

    The report is one self-contained HTML file with the run's settings and results, training curves,
    calibration against gold links (if given), the most and least certain sentence pairs, the
    largest disagreements between prior and posterior, and an interactive heatmap of every sentence
    pair. For questions it shows the answers, and each image with its regions shaded.
    """
    loaded = load_run(run)
    from pyro_align.runs.report import write_report  # imports torch
    from pyro_align.tasks import VisualQuestionAnswering

    task = loaded.task
    loaded.to(chosen_device(device))
    posterior: AlignmentPosterior | AnswerPosterior
    if isinstance(task, VisualQuestionAnswering):
        reject_options("gold", "pieces", "languages")
        questions = task.read(text, needs_answers=False) if text else task.questions("test")
        if len(questions) > most:
            tell(f"note: the first {most} of {len(questions)} questions: for more, give --most")
        with status(f"scoring {task.unit}"):
            posterior = task.posterior(
                loaded.model,
                loaded.guide,
                questions[:most],
                images=images or None,
                pictures=pictures,
            )
    else:
        pairs = pairs_task(loaded, run)
        reject_options("most", "images", "pictures", subject=pairs.unit)
        if not text:
            raise click.UsageError("Missing argument 'SRC TGT': the text to inspect")
        with status(f"scoring {pairs.unit}"):
            posterior = pairs.posterior_of_files(
                loaded.model,
                loaded.guide,
                text,
                gold=gold,
                pieces=pieces,
                languages=languages or None,
            )
    write_report(loaded, posterior, out)
    click.echo(f"{out}: {len(posterior)} {task.unit}")
