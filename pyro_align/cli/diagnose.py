"""``pyro-align diagnose``: noise, bias and cost of gradients of every compatible objective."""

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
from pyro_align.cli.progress import load_run, pairs_task, quiet_option, status, trust_option

if TYPE_CHECKING:
    from rich.table import Table

    from pyro_align.data.batch import Batch
    from pyro_align.evaluation.diagnosis import Diagnosis
    from pyro_align.inference import Objective
    from pyro_align.inference.diagnostics import GradientStatistics
    from pyro_align.runs import Run


ROUNDING = 1e-5
"""Smaller ratios are shown as zero."""

LEARNT = ("average", "network")
"""Baselines that are fitted before they are measured."""


@click.command(cls=TextCommand)
@click.argument("run", type=InputPath())
@text_option("test", "Text to draw the batch from; by default the run's validation text.")
@click.option(
    "--sentences",
    default=16,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of pairs or other examples in the batch, drawn at random from the text.",
)
@click.option(
    "--repeats",
    default=48,
    show_default=True,
    type=click.IntRange(8, 100_000),
    help="Number of samples of every gradient.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="OBJECTIVE",
    shell_complete=complete_objective,
    help="Measure only this objective, such as rws or 'score-function, none'; may be repeated.",
)
@click.option(
    "--seed", type=SEED, default=0, show_default=True, help="Random seed of batch and samples."
)
@click.option("--plot", type=OutputFile(), help="Also save a figure: .png, .svg or .pdf.")
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
    """Measure noise, bias and cost of the gradient of every objective for RUN's model and guide.

    For each compatible objective and baseline, on a batch of text: noise and bias of the gradient,
    time and memory of a step. For the run itself: KL divergence of the guide from the prior and
    from the exact posterior, and the effective sample size of importance weights. Nothing is
    trained; dropout is disabled.
    """
    from pyro_align.cli.tables import show
    from pyro_align.runs.own_code import located

    loaded = load_run(run)
    from pyro_align.evaluation.diagnosis import (
        check_figure,
        fitting_objectives,
        write_figure,
    )
    from pyro_align.evaluation.diagnosis import diagnose as measured  # imports torch

    if plot is not None:
        check_figure(plot)
    where = chosen_device(device)
    loaded.to(where)
    batch = _batch(loaded, test, sentences, seed).to(where)
    used = located(loaded.config.objective, loaded.path)
    own = loaded.objective.label(used.name)
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
    unit = loaded.task.unit
    if result.sentences == 1:
        unit = unit.replace("pairs", "pair").replace("examples", "example")
    title = f"{run} ({own}) on {result.sentences} {unit}"
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
    """Draw validation examples, or pairs of a text; all of them if there are no more."""
    import random

    examples = pairs_task(run, run.path).encoded(files) if files else run.task.examples("valid")
    chosen = random.Random(seed).sample(range(len(examples)), min(sentences, len(examples)))
    return examples.batch(sorted(chosen))


def _selected(objectives: dict[str, Objective], only: tuple[str, ...]) -> dict[str, Objective]:
    """Objectives selected by label, or by name, which may match several labels."""
    from pyro_align.errors import ConfigError, nearest

    names = {label: {label, label.partition(",")[0]} for label in objectives}
    for wanted in only:
        if not any(wanted in each for each in names.values()):
            known = nearest(wanted, {label.partition(",")[0] for label in objectives})
            raise ConfigError(f"--only {wanted}: not compatible with this run; {known}")
    return {label: objectives[label] for label in objectives if names[label] & {*only}}


def _run_table(result: Diagnosis, title: str) -> Table:
    """Print the values that do not depend on the objective."""
    from rich.box import SIMPLE
    from rich.table import Table

    from pyro_align.evaluation.quantities import QUANTITIES

    table = Table(title=printable(title), box=SIMPLE, title_justify="left", show_header=False)
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("note")
    for one in result.positions.measures():
        table.add_row(one.name, f"{one.value:.{one.digits}f}", one.note)
    if (effective := result.effective_sample_size) is not None:
        size = QUANTITIES["effective_sample_size"]
        table.add_row(size.label, f"{effective:.{size.digits}f}", size.unit)
    return table


def _gradients_table(result: Diagnosis) -> Table:
    """Noise and bias of each objective's gradient."""
    from rich.box import SIMPLE
    from rich.table import Table

    from pyro_align.evaluation.quantities import QUANTITIES

    title = f"gradients, {result.repeats} samples each"
    table = Table(title=title, box=SIMPLE, title_justify="left", padding=0)
    table.add_column("\nobjective")
    rows = result.objectives.values()
    parts = [name for name in ("guide", "model") if any(getattr(row, name) for row in rows)]
    for name in parts:
        noise, bias = (QUANTITIES[each].label for each in ("noise_to_signal", "bias"))
        for heading in (f"{name}:\n{noise}", f"\n{bias}"):
            table.add_column(heading, justify="right", no_wrap=True)
    for name, found in result.objectives.items():
        statistics = (getattr(found, part) for part in parts)
        table.add_row(name, *(cell for each in statistics for cell in (_noise(each), _bias(each))))
    return table


def _costs_table(result: Diagnosis) -> Table:
    """Print what each objective estimates the gradient of, and the cost of a step."""
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
    """Format a value with the precision of its standard error."""
    if value is None or error is None:
        return "–"
    if max(value, error) < ROUNDING:
        return "0"
    if error < ROUNDING * value:
        return f"{value:.3g}"
    digits = max(0, -math.floor(math.log10(error)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _notes(result: Diagnosis) -> list[str]:
    """Explanations of the columns that are shown."""
    rows = result.objectives.values()
    found = [each for row in rows for each in (row.guide, row.model) if each is not None]
    notes = [
        "noise/signal: square root of the total variance of the gradient, divided by the norm of "
        "the reference gradient. The reference is the gradient of the objective's target by "
        "enumeration (the enumerated ELBO for objectives that estimate the ELBO), or the mean of "
        "the samples if the bias is shown as a dash.",
    ]
    if any(each.bias is not None for each in found):
        notes.append(
            "bias: distance of the expected gradient from the reference, divided by the norm of "
            "the reference; < x if no bias was found, where x is about the smallest bias that "
            "these samples would have shown."
        )
    if any(row.target == "wake phase" for row in rows):
        notes.append(
            "wake phase: rws does not optimise the ELBO; its reference is the two wake-phase "
            "updates under the exact posterior, which it approaches only with many samples."
        )
    if any(name in label for label in result.objectives for name in LEARNT):
        notes.append(
            f"average and network were fitted on this same batch for {result.repeats} steps; in "
            f"training they perform worse."
        )
    notes.append(
        "kept MB: memory that the forward pass keeps for the backward pass; the peak is not "
        "measured on a CPU."
        if result.memory == "kept"
        else "peak MB: maximum memory allocated in a step, including gradients."
    )
    notes += [f"skipped: {name}: {reason}" for name, reason in result.skipped.items()]
    return notes
