"""``pyro-align evaluate``: evaluate a run on a text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pyro_align.cli.options import (
    LINK_FORMATS,
    TextCommand,
    beam_option,
    chosen_device,
    device_option,
    ensemble_options,
    images_option,
    language_option,
    text_option,
)
from pyro_align.cli.paths import InputPath
from pyro_align.cli.progress import counter, load_runs, quiet_option, tell_notes, trust_option
from pyro_align.errors import UserError


@click.command(cls=TextCommand)
@click.argument("run", type=InputPath())
@text_option("test", "Text to evaluate on; by default the run's test or validation text.")
@click.option("--gold", type=InputPath(), help="Gold links of the text.")
@click.option(
    "--gold-format",
    type=click.Choice(("auto", *LINK_FORMATS)),
    default="auto",
    show_default=True,
    help="Format of the links; auto detects it from the file extension or the first lines.",
)
@click.option(
    "--max-length", type=click.IntRange(min=1), help="Maximum length of a side, in tokens."
)
@click.option(
    "--no-predict",
    "--no-translate",
    "no_predict",
    is_flag=True,
    help="Skip BLEU and chrF, or the error rates of words, which take longest.",
)
@click.option(
    "--edits",
    type=click.IntRange(min=1),
    metavar="N",
    help="Also show the N most frequent edits of predicted words, with the posterior of their "
    "alignments.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@beam_option
@click.option(
    "--draws",
    type=click.IntRange(min=1),
    help="Importance samples per sentence, for models with a latent variable of the sentence; by "
    "default 500, and 100 for pairs of sentences.",
)
@ensemble_options
@images_option
@language_option
@device_option
@trust_option
@quiet_option
def evaluate(
    run: Path,
    test: tuple[Path, ...],
    gold: Path | None,
    gold_format: str,
    max_length: int | None,
    no_predict: bool,
    edits: int | None,
    as_json: bool,
    beam: int,
    draws: int | None,
    others: tuple[Path, ...],
    average: str | None,
    images: tuple[Path, ...],
    languages: tuple[str, ...],
    device: str,
) -> None:
    """Evaluate a run: exact perplexity, ELBO, KL, entropies, and the predictions: BLEU and chrF of
    sentences; word and symbol error rate, mean edit distance and accuracy of words, with bootstrap
    intervals, for each language and as their mean. With gold links also AER. Of sentences without a
    source: negative log likelihood by importance weighting, mutual information, active units, and
    exact match and BLEU of reconstructions. Of answers to questions: negative log likelihood,
    accuracy, VQA accuracy if several answers are given, by type of question, calibration, and with
    gold regions their probability and how often they are found.

    Formats of gold links: Pharaoh (`0-0 2?1`), TALP (`1-1 3p2`), NAACL (`7 1 1 S`, one line per
    link) or JSON lines; `?`, `p` and `P` mark possible links. Gold links of words are a column of
    their file. AER is given with a bootstrap interval over pairs. Words are separated by ASCII
    white space, as in awk; a no-break space is part of a word.

    With --with RUN the perplexity and the predictions are those of the ensemble of all runs;
    --edits shows posteriors of the first.
    """
    from pyro_align.cli.answers import OF_SEQUENCES, reject_options
    from pyro_align.cli.tables import show_edits, show_evaluation
    from pyro_align.inference.kinds import other_sites

    if edits is not None and no_predict:
        raise click.UsageError("--edits needs predictions: remove --no-predict")
    loaded = load_runs(run, others, average)
    from pyro_align.tasks import (  # imports torch
        Sentences,
        SequencePairs,
        Translation,
        VisualQuestionAnswering,
    )

    task = loaded.task
    arguments: list[Any] = []
    options: dict[str, Any] = {}
    title = " + ".join(map(str, (run, *others)))
    if images and not isinstance(task, VisualQuestionAnswering):
        raise UserError(
            f"{run}: --images are those of questions (task 'vqa'), but this is a run of the task "
            f"{task.config.task!r}: remove the option"
        )
    if not isinstance(task, Sentences | Translation):
        reject_options("draws", subject=f"a run of the task {task.config.task!r}")
    elif not other_sites(loaded.model.latents):
        model = task.config.model.name
        reject_options("draws", subject=f"the model {model!r}, whose likelihood is exact")
    samples = {} if draws is None else {"draws": draws}
    if isinstance(task, SequencePairs):
        text = task.read(test, languages or None) if test else task.text("test")
        total = text.count()
        links = task.gold_of(gold, gold_format, total, own=not test)
        arguments = [text] if links is None else [text, links]
        options = {"translate": not no_predict, "beam": beam, "max_length": max_length}
        options |= samples
        title = f"{title} on {' '.join(path.name for path in text.paths)}"
    elif isinstance(task, VisualQuestionAnswering):
        reject_options(*OF_SEQUENCES)
        questions = task.read(test) if test else task.questions("test")
        total = len(questions)
        arguments, options = [questions], {"images": images or None}
        names = " ".join(path.name for path in test or task.files("test"))
        title = f"{title} on {names}"
    elif isinstance(task, Sentences) and gold is None and edits is None:
        sentences = task.read(test) if test else task.text("test")
        total = sentences.count()
        arguments = [sentences]
        options = {"reconstruct": not no_predict, **samples}
        title = f"{title} on {sentences.paths[0].name}"
    elif test or gold is not None or edits is not None:
        raise UserError(
            f"{run}: --test, --gold and --edits need pairs of sequences, but this is a run of the "
            f"task {task.config.task!r}: remove them"
        )
    else:
        total = task.test_size()
    with counter(f"scoring {task.unit}", total) as show_done:
        result = loaded.evaluate(
            *arguments, device=chosen_device(device), progress=show_done, **options
        )
    table = None
    if edits is not None:
        table = loaded.confusions(result.predictions, text).table(edits)
    tell_notes(result)
    if as_json:
        facts = result.to_dict()
        if table is not None:
            facts["edits"] = json.loads(table.to_json(orient="records"))
        click.echo(json.dumps(facts, indent=2))
        return
    show_evaluation(result, title)
    if table is not None:
        show_edits(table)
