"""``pyro-align diagnose``: noise, bias and cost of the gradients of every objective that fits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pyro_align.cli.completion import complete_objective
from pyro_align.cli.options import SEED, TextCommand, chosen_device, device_option, text_option
from pyro_align.cli.output import printable
from pyro_align.cli.paths import InputPath, OutputFile
from pyro_align.cli.progress import load_run, quiet_option, status, trust_option

if TYPE_CHECKING:
    from rich.table import Table

    from pyro_align.batch import Batch
    from pyro_align.diagnose import Diagnosis
    from pyro_align.inference import Objective
    from pyro_align.inference.diagnostics import GradientStatistics
    from pyro_align.run import Run


ROUNDING = 1e-5
"""Ratios below it are shown as zero."""

LEARNT = ("average", "network")
"""Baselines that are fitted before they are measured."""


@click.command(cls=TextCommand)
@click.argument("run", type=InputPath())
@text_option("test", "Text to take the batch from; without it the run's own validation text.")
@click.option(
    "--sentences",
    default=16,
    show_default=True,
    type=click.IntRange(min=1),
    help="Sentence pairs of the batch, drawn at random from the text.",
)
@click.option(
    "--repeats",
    default=48,
    show_default=True,
    type=click.IntRange(8, 100_000),
    help="Draws of every gradient.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="OBJECTIVE",
    shell_complete=complete_objective,
    help="Measure this objective only, such as rws or 'score-function, none'; may be repeated.",
)
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Of the batch and of the draws."
)
@click.option("--plot", type=OutputFile(), help="Write a figure as well: .png, .svg or .pdf.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@device_option
@trust_option
@quiet_option
def diagnose(
    run: Path,
    test: tuple[Path, ...],
    sentences: int,
    repeats: int,
    only: tuple[str, ...],
    seed: int,
    plot: Path | None,
    as_json: bool,
    device: str,
) -> None:
    """Say which objective would give RUN's model and guide the best gradients, at what cost.

    On a batch of text, for each objective and baseline that fits: noise and bias of the gradient,
    time and memory of a step. And for the run itself: how far the guide is from the prior and from
    the exact posterior, and what that makes of importance weights. Nothing is trained; dropout is
    off.
    """
    from pyro_align.cli.tables import show
    from pyro_align.components import located

    loaded = load_run(run)
    from pyro_align.diagnose import check_figure, fitting_objectives, label, write_figure
    from pyro_align.diagnose import diagnose as measured  # imports torch

    if plot is not None:
        check_figure(plot)
    where = chosen_device(device)
    loaded.to(where)
    batch = _batch(loaded, test, sentences, seed).to(where)
    used = located(loaded.config.objective, loaded.path)
    own = label(used.name, loaded.objective)
    objectives = fitting_objectives(loaded.model, loaded.guide, batch, (used.name, used.options))
    if only:
        objectives = _selected(objectives, only)
    with status("measuring") as show_status:
        result = measured(
            loaded.model,
            loaded.guide,
            batch,
            objectives,
            repeats=repeats,
            seed=seed,
            progress=lambda name: show_status(f"measuring {name}"),
        )
    pairs = "pair" if result.sentences == 1 else "pairs"
    title = f"{run} ({own}) on {result.sentences} sentence {pairs}"
    if plot is not None:
        write_figure(result, plot, title)
    if as_json:
        click.echo(json.dumps({"objective": own, **result.to_dict()}, indent=2))
        return
    show(_run_table(result, title))
    show(_gradients_table(result))
    show(_costs_table(result))
    for note in _notes(result):
        click.echo(click.wrap_text(note, width=79, subsequent_indent="  "))


def _batch(run: Run, files: tuple[Path, ...], sentences: int, seed: int) -> Batch:
    """Pairs drawn from a text, all of it if it has no more."""
    import random

    from pyro_align.corpus import ParallelText
    from pyro_align.evaluation import check_text
    from pyro_align.run_folder import texts

    text = ParallelText.open(files) if files else texts(run.config, run.path)["valid"]
    pairs, _, corpus = check_text(text, run.vocabularies, None, run.max_length)
    chosen = random.Random(seed).sample(range(len(pairs)), min(sentences, len(pairs)))
    return corpus.batch(sorted(chosen))


def _selected(objectives: dict[str, Objective], only: tuple[str, ...]) -> dict[str, Objective]:
    """Objectives by their labels, or by their names, which may stand for several labels."""
    from pyro_align.errors import ConfigError, nearest

    names = {label: {label, label.partition(",")[0]} for label in objectives}
    for wanted in only:
        if not any(wanted in each for each in names.values()):
            known = nearest(wanted, set().union(*names.values()))
            raise ConfigError(f"--only {wanted}: nothing that fits this run; {known}")
    return {label: objectives[label] for label in objectives if names[label] & {*only}}


def _run_table(result: Diagnosis, title: str) -> Table:
    """What is so whatever the objective."""
    from rich.box import SIMPLE
    from rich.table import Table

    means = result.positions
    table = Table(title=printable(title), box=SIMPLE, title_justify="left", show_header=False)
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("note")
    for name, value, note in (
        ("log evidence", means.log_evidence, "nats a target piece"),
        ("ELBO", means.elbo, "nats a piece"),
        ("KL(guide ‖ prior)", means.kl, "nats a piece"),
        ("KL(guide ‖ exact posterior)", means.gap, "nats a piece: log evidence − ELBO"),
        ("entropy of the prior", means.prior_entropy, "nats a piece"),
        ("entropy of the exact posterior", means.posterior_entropy, "nats a piece"),
        ("effective sample size", result.effective_sample_size, "of each draw from the guide"),
    ):
        if value is not None:
            table.add_row(name, f"{value:.4f}", note)
    return table


def _gradients_table(result: Diagnosis) -> Table:
    """Noise and bias of each objective's gradient."""
    from rich.box import SIMPLE
    from rich.table import Table

    title = f"gradients, {result.repeats} draws each"
    table = Table(title=title, box=SIMPLE, title_justify="left", padding=0)
    table.add_column("\nobjective", no_wrap=True)
    rows = result.objectives.values()
    parts = [name for name in ("guide", "model") if any(getattr(row, name) for row in rows)]
    for name in parts:
        for heading in (f"{name}:\nnoise/signal", "\nbias"):
            table.add_column(heading, justify="right", no_wrap=True)
    for name, found in result.objectives.items():
        statistics = (getattr(found, part) for part in parts)
        table.add_row(name, *(cell for each in statistics for cell in (_noise(each), _bias(each))))
    return table


def _costs_table(result: Diagnosis) -> Table:
    """What each objective estimates the gradient of, and the cost of a step."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, title_justify="left", padding=0)
    table.add_column("\nobjective", no_wrap=True)
    table.add_column("\nestimates the gradient of", no_wrap=True)
    memory = "kept" if result.memory == "kept" else "peak"
    for heading in ("ms per\nstep", f"{memory}\nMB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, found in result.objectives.items():
        cost = f"{1000 * found.seconds:.1f}", f"{found.memory / 1e6:.1f}"
        table.add_row(name, found.target, *cost)
    return table


def _noise(found: GradientStatistics | None) -> str:
    if found is None:
        return "–"
    return _with_error(found.noise_to_signal, found.noise_to_signal_error)


def _bias(found: GradientStatistics | None) -> str:
    if found is None or (least := found.relative_detectable) is None:
        return "–"
    if found.biased:
        return _with_error(found.relative_bias, found.relative_bias_error)
    return "0" if found.noise == 0 else f"< {least:.2g}"


def _with_error(value: float | None, error: float | None) -> str:
    """A value to the digits that its standard error leaves it."""
    if value is None or error is None:
        return "–"
    if max(value, error) < ROUNDING:
        return "0"
    if error < ROUNDING * value:
        return f"{value:.3g}"
    digits = max(0, -math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _notes(result: Diagnosis) -> list[str]:
    """What the columns mean, as far as they are there."""
    rows = result.objectives.values()
    found = [each for row in rows for each in (row.guide, row.model) if each is not None]
    notes = [
        "noise/signal: root of the gradient's total variance over the norm of the reference, which "
        "is the gradient of what the objective estimates, by enumeration (of the enumerated ELBO, "
        "where that is the ELBO); where the bias is a dash, it is the mean of the draws.",
    ]
    if any(each.bias is not None for each in found):
        notes.append(
            "bias: distance of the expected gradient from the reference, over its norm; < x where "
            "none was found, and x is about the least that would have shown in these draws."
        )
    if any("wake" in row.target for row in rows):
        notes.append(
            "wake phase: rws does not follow the ELBO; its reference is both wake-phase updates "
            "under the exact posterior, which it meets only for many samples."
        )
    if any(name in label for label in result.objectives for name in LEARNT):
        notes.append(
            f"average and network were fitted on this very batch for {result.repeats} steps: in "
            f"training they do less well."
        )
    notes.append(
        "kept MB: what the forward pass keeps for the backward pass; more than that is not "
        "measured on a CPU."
        if result.memory == "kept"
        else "peak MB: most that a step allocates, gradients included."
    )
    notes += [f"left out: {name}: {reason}" for name, reason in result.skipped.items()]
    return notes
