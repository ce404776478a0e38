"""Predictions of runs that answer questions about images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyro_align.cli.output import output, standard_input
from pyro_align.cli.progress import counter, tell
from pyro_align.errors import UserError

if TYPE_CHECKING:
    from pyro_align.runs import Run, RunEnsemble

OF_SEQUENCES = (
    "beam",
    "length_penalty",
    "max_length",
    "samples",
    "languages",
    "gold",
    "gold_format",
    "no_predict",
    "edits",
    "others",
    "alignments",
    "tags",
    "sample",
    "mbr",
    "temperature",
    "top_p",
    "seed",
    "min_output",
    "max_output",
    "average",
)
"""Parameters of commands that have no effect on questions."""


def reject_options(*names: str, subject: str = "questions about images") -> None:
    """Raise an error if the command line has one of some options.

    Args:
        names: names of the parameters of the running command.
        subject: what they have no effect on.

    Raises:
        UserError: naming the option.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is click.core.ParameterSource.COMMANDLINE:
            raise UserError(f"{parameter.opts[-1]} has no effect on {subject}: remove it")


def predict_answers(
    run: Run | RunEnsemble,
    text: Path | None,
    out: Path | None,
    *,
    n_best: int,
    top_k: int | None,
    images: tuple[Path, ...],
    scores: bool,
    as_json: bool,
) -> None:
    """Answer the questions of a file, or of standard input.

    Args:
        run: the run.
        text: the file; None for standard input.
        out: output file; None for standard output.
        n_best: number of answers to a question.
        top_k: sum over the K most probable regions only; None for all.
        images: files of the images; empty for those of the run.
        scores: print probabilities and the most probable region before each answer.
        as_json: print a JSON object per question.

    Raises:
        UserError: for invalid questions or images, or options that have no effect.
    """
    reject_options(*OF_SEQUENCES)
    task: Any = run.task
    source = standard_input() if text is None else text
    questions = task.read([source], needs_answers=False)
    options = {"n_best": n_best, "top_k": top_k, "images": list(images) or None}
    with output(out) as file, counter("questions", len(questions)) as show_done:
        for done, prediction in enumerate(task.predict(run.model, questions, **options), start=1):
            if as_json:
                print(json.dumps(prediction.to_dict(), ensure_ascii=False), file=file)
            else:
                for answer in prediction.answers:
                    weights = answer.regions or prediction.prior
                    region = max(range(len(weights)), key=weights.__getitem__)
                    columns = (f"{answer.probability:.4f}", region, f"{weights[region]:.4f}")
                    print(*(columns if scores else ()), answer.text, sep="\t", file=file)
            show_done(done)
    if (note := task.unknown_note(questions)) is not None:
        tell(f"note: {note}")
