"""``pyro-align fit``: train a model and guide into a run folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from pyro_align.cli.completion import complete_assignment, complete_recipe
from pyro_align.cli.options import (
    SEED,
    NameOption,
    SettingOption,
    TextCommand,
    images_option,
    text_option,
)
from pyro_align.cli.paths import InputPath, OutputFolder
from pyro_align.cli.progress import (
    counter,
    is_quiet,
    load_run,
    quiet_option,
    resumed_run,
    status,
    tell,
    tell_notes,
    trust_option,
)

_RUN = "PYRO_ALIGN_RUN"
"""Environment variable that passes the run folder to the processes of other devices."""


@click.command(cls=TextCommand)
@text_option("train", "Training text; by default the built-in text of the task.")
@text_option("valid", "Validation text.")
@text_option("test", "Text to evaluate at the end; by default the validation text.")
@click.option(
    "--gold",
    type=InputPath(),
    help="Gold links of the test text; the file extension gives the format.",
)
@click.option(
    "--links",
    type=InputPath(),
    help="Word links of the training text, to guide its alignments: a line per sentence pair, such "
    "as 0-0 1-2 (Pharaoh format); another file extension gives another format.",
)
@images_option
@click.option(
    "--config",
    type=InputPath(),
    metavar="FILE|RECIPE",
    shell_complete=complete_recipe,
    help="TOML file or name of a recipe: align, demo, easy-vqa, g2p, iwslt14-de-en, "
    "iwslt14-transformer, multi30k-de-en, multi30k-large, multi30k-transformer, ptb, scenes, "
    "sentences, vqa2, words.",
)
@click.option(
    "--from",
    "origin",
    type=InputPath(),
    metavar="RUN",
    help="Start from the settings, vocabularies, text and weights of a run.",
)
@click.option("--freeze-model", is_flag=True, help="With --from: train only the guide.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_assignment,
    help="Any setting; `pyro-align settings` lists them.",
)
@click.option("--task", cls=NameOption)
@click.option("--model", cls=NameOption)
@click.option("--guide", cls=NameOption)
@click.option("--objective", cls=NameOption)
@click.option(
    "--epochs",
    type=int,
    cls=SettingOption,
    setting="training.epochs",
    help="Passes over the training text.",
)
@click.option(
    "--seed",
    type=SEED,
    cls=SettingOption,
    setting="seed",
    help="Random seed; the same seed gives the same run on the same machine.",
)
@click.option(
    "--device",
    type=click.Choice(("auto", "cpu", "cuda")),
    cls=SettingOption,
    setting="training.accelerator",
    help="Device to train on; auto uses a CUDA device if available.",
)
@click.option(
    "--devices",
    type=int,
    cls=SettingOption,
    setting="training.devices",
    help="Number of training processes, one device each.",
)
@click.option("--out", type=OutputFolder(new=True), help="Run folder; runs/NAME by default.")
@click.option("--resume", type=InputPath(), help="Continue a run that was interrupted.")
@click.option("--overwrite", is_flag=True, help="Replace the run at --out.")
@trust_option
@quiet_option
def fit(
    train: tuple[Path, ...],
    valid: tuple[Path, ...],
    test: tuple[Path, ...],
    gold: Path | None,
    links: Path | None,
    images: tuple[Path, ...],
    config: Path | None,
    settings: tuple[str, ...],
    task: str | None,
    model: str | None,
    guide: str | None,
    objective: str | None,
    epochs: int | None,
    seed: int | None,
    device: str | None,
    devices: int | None,
    out: Path | None,
    resume: Path | None,
    overwrite: bool,
    origin: Path | None,
    freeze_model: bool,
) -> None:
    """Train a model and guide into a run folder.

    Without arguments, it trains on the built-in corpus, about a minute on a laptop. If no guide or
    objective is given, one that is compatible with the model is chosen; `pyro-align list` shows the
    compatible combinations.

    `--from RUN --guide NEW --freeze-model` fits a new guide to the model of a run.
    """
    flags = {
        "task": task,
        "model.name": model,
        "guide.name": guide,
        "objective.name": objective,
        # Make paths absolute: the configuration would expand a leading ~ a second time.
        "data.train": [str(path.absolute()) for path in train] or None,
        "data.valid": [str(path.absolute()) for path in valid] or None,
        "data.test": [str(path.absolute()) for path in test] or None,
        "data.gold": gold and str(gold.absolute()),
        "data.links": links and str(links.absolute()),
        "data.images": [str(path.absolute()) for path in images] or None,
        "training.epochs": epochs,
        "training.accelerator": device,
        "training.devices": devices,
        "training.freeze_model": freeze_model or None,
        "seed": seed,
    }
    given = {key: value for key, value in flags.items() if value is not None}
    if resume is not None and (given or settings or config or out or overwrite or origin):
        raise click.UsageError(
            "--resume continues a run with its own settings: remove other options"
        )
    if origin is not None and config is not None:
        raise click.UsageError("--from uses the configuration of its run: remove --config")
    if freeze_model and origin is None:
        raise click.UsageError("--freeze-model needs a run to take the model from: give --from RUN")

    from pyro_align.config import parse_setting
    from pyro_align.training.distributed import (
        after_first_process,
        is_first_process,
        under_torchrun,
    )

    with _interruptible() as made:
        if resume is not None:
            made.append(resume)
            run = resumed_run(resume)
        else:
            if under_torchrun() and out is None:
                raise click.UsageError(
                    "with torchrun, give the run folder, the same for all processes: --out"
                )
            start = None if origin is None else load_run(origin)
            if start is None:
                chosen = _configuration(config, settings, given)
            else:
                chosen = start.derived({**given, **dict(map(parse_setting, settings))})
            folder = out or (_default_folder(chosen) if start is None else start.beside(chosen))

            def prepare() -> None:
                with status(f"preparing {folder}"):
                    from pyro_align.runs import Run  # imports torch

                    options = {"overwrite": overwrite, "numbered": out is None}
                    new = Run.create(chosen, folder, start=start, echo=tell, **options)
                    os.environ[_RUN] = str(new.path)

            after_first_process(prepare)
            made.append(folder if under_torchrun() else Path(os.environ[_RUN]))
            run = resumed_run(made[0])
        run.fit(echo=tell if is_first_process() else lambda line: None, quiet=is_quiet())
        if is_first_process():
            _report(run)


@contextmanager
def _interruptible() -> Iterator[list[Path]]:
    """Turn Ctrl-C and SIGTERM into an error; yield a list to which the run folder is added."""
    from pyro_align.errors import InterruptedTraining, Terminated
    from pyro_align.training.interrupts import sigterm_raises

    made: list[Path] = []
    try:
        with sigterm_raises():
            yield made
    except (KeyboardInterrupt, Terminated) as cause:
        kept = (
            f"continue with `pyro-align fit --resume {made[0]}`" if made else "no run was created"
        )
        raise InterruptedTraining(cause, kept) from None


def _configuration(path: Path | None, settings: tuple[str, ...], given: dict[str, Any]) -> Any:
    from pyro_align.config import Config, config_file, parse_setting, recipe
    from pyro_align.config.components import chosen, reconciled
    from pyro_align.config.config import TRANSLATION
    from pyro_align.config.registry import TASKS

    # Flags come first: a name clears the options of the previous component.
    changes = [*given.items(), *map(parse_setting, settings)]
    if path is None and "data.train" not in given:
        name = TASKS.attribute(str(dict(changes).get("task", TRANSLATION)), "recipe")
        path = name and recipe(name)
    tables = {key.partition(".")[0] for key, _ in changes}
    return chosen(reconciled(Config.load(path and config_file(path), changes), tables))


def _default_folder(config: Any) -> Path:
    from pyro_align.config.registry import TASKS

    train = getattr(getattr(config, "data", None), "train", None)
    built_in = TASKS.attribute(config.task, "recipe") or config.task.rpartition(":")[2]
    data = train[0].name.partition(".")[0] if train else built_in
    return Path("runs") / f"{data}-{config.model.name.rpartition(':')[2]}"


def _report(run: Any) -> None:
    """Evaluate the run, show the results, and suggest next steps."""
    from pyro_align.cli.options import chosen_device
    from pyro_align.cli.tables import show_evaluation
    from pyro_align.runs.folder import read_facts, write_facts

    began = time.monotonic()
    files = run.task.files("test")
    tell(f"evaluating on {' '.join(map(str, files)) or 'test data'}")
    device = "cpu" if run.config.training.accelerator == "cpu" else chosen_device("auto")
    with counter(f"scoring {run.task.unit}", run.task.test_size()) as show_done:
        result = run.evaluate(device=device, progress=show_done)
    seconds = read_facts(run.path / "run.json")["fit_seconds"]
    facts = {**result.to_dict(), "fit_seconds": seconds}
    write_facts(run.path / "results.json", facts)
    if files != run.task.files("valid"):  # remarks on these have been told
        tell_notes(result)
    show_evaluation(result, f"{run.path} on {' '.join(path.name for path in files) or 'test data'}")
    if is_quiet():
        return
    for line in run.task.shown(run.model):
        click.echo(f"  {line}")
    steps = "".join(f"\n  {step}" for step in (*run.task.next_steps(), "pyro-align list"))
    click.echo(
        f"fitted in {seconds:.0f} s, evaluated in {time.monotonic() - began:.0f} s; "
        f"the run is in {run.path}\nnext:{steps}"
    )
