"""``pyro-align predict``: predict the target of each line with a run, such as its translation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyro_align.cli.answers import predict_answers, reject_options
from pyro_align.cli.arriving import arriving
from pyro_align.cli.options import (
    SEED,
    beam_option,
    chosen_device,
    device_option,
    ensemble_options,
    images_option,
    language_option,
    one_language,
)
from pyro_align.cli.output import output, standard_input
from pyro_align.cli.paths import InputPath, OutputFile
from pyro_align.cli.predictions import Predictions
from pyro_align.cli.progress import (
    counter,
    load_runs,
    pairs_task,
    quiet_option,
    tell,
    trust_option,
)
from pyro_align.errors import DataError, UserError

if TYPE_CHECKING:
    from pyro_align.decoding import Translation


@click.command()
@click.argument("run", type=InputPath())
@click.argument("text", type=InputPath(stdin=True), required=False)
@click.option(
    "--out", type=OutputFile(stdout=True), help="Output file; standard output by default."
)
@beam_option
@click.option(
    "--length-penalty", default=1.0, show_default=True, help="Length penalty α of Wu et al. 2016."
)
@click.option(
    "--top-k",
    type=click.IntRange(min=1),
    help="Marginalise over the K most probable source positions; all by default.",
)
@click.option(
    "--n-best",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Maximum number of predictions per line.",
)
@click.option(
    "--scores", is_flag=True, help="Print score and log probability before each prediction."
)
@click.option(
    "--max-length",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Maximum line length in tokens.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    help="Translate given N samples of the latent variable of a sentence instead of the mean of "
    "its prior, and rank the translations by their likelihood.",
)
@click.option(
    "--alignments",
    type=OutputFile(),
    metavar="FILE",
    help="Write the links between words of lines and predictions to a file in Pharaoh format.",
)
@click.option(
    "--tags",
    is_flag=True,
    help="Put tags such as <b> and placeholders such as {0} around the aligned words.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a JSON object per line or question, with links or regions.",
)
@click.option(
    "--sample",
    is_flag=True,
    help="Draw --n-best samples instead of searching for the most probable predictions.",
)
@click.option(
    "--mbr",
    type=click.IntRange(min=1),
    metavar="N",
    help="Draw N samples, and choose those with the highest expected chrF (minimum Bayes risk).",
)
@click.option(
    "--temperature",
    default=1.0,
    show_default=True,
    help="With --sample or --mbr: exponent 1/T of the probabilities of tokens.",
)
@click.option(
    "--top-p",
    default=1.0,
    show_default=True,
    help="With --sample or --mbr: draw from the most probable tokens with this probability.",
)
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="With --sample or --mbr: random seed."
)
@click.option(
    "--min-output",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Minimum length of a prediction in tokens, including its end.",
)
@click.option(
    "--max-output",
    type=click.IntRange(min=1),
    help="Maximum length of a prediction in tokens, including its end; by default twice the length "
    "of the line and 10 more.",
)
@click.option("--threads", type=click.IntRange(min=1), help="Number of threads of PyTorch.")
@ensemble_options
@images_option
@language_option
@device_option
@trust_option
@quiet_option
def predict(
    run: Path,
    text: Path | None,
    out: Path | None,
    beam: int,
    length_penalty: float,
    top_k: int | None,
    n_best: int,
    scores: bool,
    max_length: int,
    alignments: Path | None,
    tags: bool,
    samples: int | None,
    as_json: bool,
    min_output: int,
    max_output: int | None,
    threads: int | None,
    others: tuple[Path, ...],
    average: str | None,
    images: tuple[Path, ...],
    languages: tuple[str, ...],
    device: str,
    **sampling: Any,
) -> None:
    """Predict the target of each line of TEXT (a file or standard input): translate a sentence,
    transduce a word, or answer a question.

    Sentences stand on a line each; empty lines stay empty. Words stand in the columns of the run's
    files, with or without the target, so that test files can be given; a word cannot be empty.

    With --n-best N every line gives at most N lines, best first, or a single empty one.
    With --scores the output has tab-separated columns: score, log probability and text. Lines that
    have arrived at standard input are predicted together, without waiting for more, so that another
    program can send a line, wait for the answer and send the next. `pyro-align translate` is the
    same command.

    With --alignments the words of each prediction are linked with those of its line, as
    `pyro-align align RUN` does for the same pair: each with the most probable word given the whole
    prediction, unless no link is more probable. Words are separated by ASCII white space and
    numbered from 0; there is a line of links for each prediction. With --json each line is an
    object with predictions, scores, tokens, words, links, and the probability of each link.

    With --tags lines are translated without tags (pairs such as <b> and </b>, <x id="1"/>, {0}),
    which are then put around the aligned words. Tags that are not nested properly are an error; in
    the text &lt; and &amp; stand for < and &, and are written so. Links do not count tags as words.

    If the model has a latent variable of the sentence, `--samples N --n-best N` gives translations
    that differ more than those of one beam.

    Questions are JSON lines or TSV with the keys or columns image and question. With --scores the
    columns are: probability of the answer, the region that it most probably depends on (from 0),
    the probability of this region given the answer, and the answer. With --json each line is an
    object with the answers, their probabilities, and the probability of every region given each.

    Several runs, such as fits with other seeds, predict as an ensemble:

    \b
        pyro-align predict runs/a --with runs/b --with runs/c words.txt
    """
    from pyro_align.data import read_lines

    language = one_language(languages)
    if out is not None and alignments is not None and out.absolute() == alignments.absolute():
        raise UserError(f"--alignments {alignments} is also --out: give another file")
    loaded = load_runs(run, others, average)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    from pyro_align.tasks import SequencePairs  # imports torch

    if not isinstance(loaded.task, SequencePairs):
        from pyro_align.tasks import VisualQuestionAnswering  # imports pandas

        if isinstance(loaded.task, VisualQuestionAnswering):
            loaded.to(chosen_device(device))
            shown: dict[str, Any] = {"scores": scores, "as_json": as_json}
            predict_answers(loaded, text, out, n_best=n_best, top_k=top_k, images=images, **shown)
            return
    task = pairs_task(loaded, run)
    if images:
        raise UserError(
            f"{run}: --images are for questions about images (task 'vqa'), but this is a run of "
            f"the task {task.config.task!r}: remove them"
        )
    loaded.to(chosen_device(device))
    is_interactive = text is None and sys.stdin.isatty()
    pipe = arriving(standard_input()) if text is None else None
    lines = read_lines(text or pipe or standard_input())
    translator = task.translator(
        loaded.model,
        max_source=max_length,
        link=task.linker(loaded.model, loaded.guide) if as_json or alignments or tags else None,
        ready=None if pipe is None else pipe.ready,
        top_k=top_k,
        n_best=n_best,
        guide=loaded.guide,
        samples=samples,
        min_length=min_output,
        max_length=max_output,
        **_search(sampling, beam=beam, length_penalty=length_penalty),
    )
    options: dict[str, Any] = {"language": language, "tags": tags}
    if is_interactive:
        tell("type a line and press Enter; Ctrl-D ends")
        found = _one_by_one(lambda line: task.translated(translator, [line], **options), lines)
    else:
        found = task.translated(translator, lines, text, **options)
    # No progress display if predictions appear on the terminal.
    is_shown = out is None and sys.stdout.isatty()
    unknown = 0
    with (
        output(out) as file,
        nullcontext() if alignments is None else output(alignments) as links_file,
        nullcontext(None) if is_shown else counter("lines") as show_done,
    ):
        write = Predictions(file, links_file, scores, as_json, at_once=text is None)
        for translation in found:
            unknown += translation.unknown
            write(translation)
            if show_done is not None:
                show_done(translation.line)
    if unknown:
        click.echo(
            f"warning: {unknown} lines contain only unknown tokens; their predictions are "
            f"unreliable",
            err=True,
        )
    if (note := task.unknown_note(translator)) is not None:
        tell(f"note: {note}")


def _search(sampling: dict[str, Any], **beam: Any) -> dict[str, Any]:
    """Return the options of sampling or of beam search; reject those that have no effect."""
    draws = {name: sampling.pop(name) for name in ("temperature", "top_p", "seed")}
    if sampling["sample"] or sampling["mbr"]:
        reject_options(*beam, subject="samples (--sample, --mbr)")
        return sampling | draws
    reject_options(*draws, subject="beam search, without --sample or --mbr")
    return beam


def _one_by_one(
    translate: Callable[[str], Iterator[Translation]], lines: Iterable[str]
) -> Iterator[Translation]:
    """Predict lines as they are typed; report a line that is not valid, and go on."""
    for number, line in enumerate(lines, start=1):
        try:
            (found,) = translate(line)
            yield replace(found, line=number)
        except DataError as error:
            click.echo(f"error: {error.message}", err=True)
