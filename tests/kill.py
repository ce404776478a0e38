"""Processes that are killed with SIGKILL at a moment that a test chooses.

They are forked from a process that has imported everything and run nothing, so that each costs
no more than what it does.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import warnings
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import runs

from pyro_align.config import Config
from pyro_align.data import Vocabulary
from pyro_align.runs import Run
from pyro_align.training import checkpoint, logs, module, optimization

LOG_EVERY = 2
"""Steps between rows of metrics in these processes, which are short."""

NO_PROGRESS = 0.9
"""Relative progress that a plateau schedule takes for none in these processes: so much is not made
in an epoch, so that it is due whatever the numbers."""

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["pyro_align.cli.fit", "pyro_align.training.fit", "torchmetrics"])


def start(function: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Call a function in a process of its own."""
    process = _server.Process(target=_call, args=(function, arguments), daemon=True)
    process.start()
    return process


def run(function: Callable[..., Any], *arguments: Any) -> int:
    """Call a function in a process of its own; its exit code, negative for a signal's number."""
    process = start(function, *arguments)
    process.join(120)
    assert process.exitcode is not None
    return process.exitcode


def _call(function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    warnings.simplefilter("error")
    logs.LOG_EVERY = LOG_EVERY
    optimization.PlateauSchedule.THRESHOLD = NO_PROGRESS
    function(*arguments)


def create(config: Config, folder: Path, moment: Callable[[], None] | None = None) -> None:
    """Make a run, to be killed at a moment."""
    if moment is not None:
        moment()
    Run.create(config, folder, echo=runs.silent)


def swap_guide(
    old: Path, guide: str, folder: Path, moment: Callable[[], None] | None = None
) -> None:
    """Make a run with another guide and the model frozen, to be killed at a moment."""
    if moment is not None:
        moment()
    Run.load(old).swap_guide(
        guide, freeze_model=True, out=folder, echo=runs.silent, objective="score-function"
    )


def resume(folder: Path, moment: Callable[[], None] | None = None) -> None:
    """Go on with a run, to be killed at a moment."""
    if moment is not None:
        moment()
    Run.resume(folder).fit(echo=runs.silent)


def die() -> None:
    """As by ``kill -9``."""
    os.kill(os.getpid(), signal.SIGKILL)


def on_call(owner: Any, name: str, number: int) -> None:
    """Die when a function is called for the ``number``-th time."""
    function, calls = getattr(owner, name), 0

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == number:
            die()
        return function(*arguments, **options)

    setattr(owner, name, counted)


class _HalfFile:
    """A file that takes half of what is written, and then the process dies."""

    def __init__(self, file: Any):
        self.file = file

    def __enter__(self) -> _HalfFile:
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()

    def fileno(self) -> int:
        return int(self.file.fileno())

    def write(self, content: Any) -> None:
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        die()


def on_write(name: str, number: int) -> None:
    """Die half-way through the ``number``-th writing of a file with ``name`` in its name."""
    original, calls = Path.open, 0

    def opened(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        nonlocal calls
        file = original(path, mode, *arguments, **options)
        if name in path.name and not mode.startswith("r"):
            calls += 1
            if calls == number:
                return _HalfFile(file)
        return file

    Path.open = opened  # type: ignore[method-assign,assignment]


def on_rename(name: str, when: str, number: int) -> None:
    """Die ``before`` or ``after`` the ``number``-th renaming of a file to ``name``."""
    original, calls = Path.replace, 0

    def replaced(path: Path, target: Any) -> Any:
        nonlocal calls
        calls += Path(target).name == name
        due = Path(target).name == name and calls == number
        if due and when == "before":
            die()
        result = original(path, target)
        if due:
            die()
        return result

    Path.replace = replaced  # type: ignore[method-assign,assignment]


WHILE_FITTING: dict[str, list[tuple[Any, ...]]] = {
    "while it trains": [
        (on_call, module.TrainingModule, "training_step", 1),
        (on_call, module.TrainingModule, "training_step", 4),
        (on_call, module.TrainingModule, "on_before_optimizer_step", 4),
    ],
    "while it validates": [
        (on_call, module.TrainingModule, "validation_step", 1),
        (on_call, logs.EpochLines, "on_validation_end", 1),
        (on_call, module.TrainingModule, "on_train_end", 1),
    ],
    "while it writes": [
        (on_write, "last.ckpt", 1),
        (on_rename, "last.ckpt", "after", 1),
        (on_call, checkpoint.ResumePoint, "on_save_checkpoint", 1),
        (on_write, "metrics.csv", 2),
        (on_write, "weights.safetensors", 1),
        (on_rename, "weights.safetensors", "before", 1),
        (on_rename, "weights.safetensors", "after", 1),
        (on_rename, "last.ckpt", "before", 2),
        (on_write, "last.ckpt", 2),
    ],
}
"""Kinds of moments: each what arranges for death, and its arguments, counted from a resume on."""

WITH_A_NEW_GUIDE: list[tuple[Any, ...]] = [
    (on_call, module.TrainingModule, "training_step", 4),
    (on_call, module.TrainingModule, "validation_step", 1),
    (on_write, "last.ckpt", 1),
    (on_rename, "weights.safetensors", "before", 1),
]
"""One moment of each kind, for a run that differs from the others in what is trained alone."""

WHILE_MAKING: dict[str, tuple[Any, ...]] = {
    "after the first vocabulary": (on_call, Vocabulary, "save", 2),
    "in the middle of the configuration": (on_rename, "config.toml", "before", 1),
    "before the folder gets its name": (on_call, Run, "_check_data", 1),
}
"""As :data:`WHILE_FITTING`, for the time before there is a run."""

WHILE_SWAPPING: list[tuple[Any, ...]] = [
    (on_write, "start.safetensors", 1),
    (on_rename, "start.safetensors", "after", 1),
]
"""Moments while a run is made from another."""
