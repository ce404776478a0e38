"""Progress on standard error, if it is a terminal and ``--quiet`` is not given."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.progress import Progress

    from pyro_align.evaluation import Evaluation
    from pyro_align.runs import Run, RunEnsemble
    from pyro_align.tasks import Sentences, SequencePairs, Translation

_QUIET = "pyro_align.quiet"
_TRUST = "pyro_align.trust"

_active: list[Progress] = []
"""Progress displays that are currently shown, innermost last."""


def _set_quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[_QUIET] = value


quiet_option: Callable[[Any], Any] = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_set_quiet,
    help="Print only results, warnings and errors, without progress and notes.",
)
"""Silences :func:`tell`, :func:`status` and :func:`counter`."""


def _set_trust(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[_TRUST] = value


trust_option: Callable[[Any], Any] = click.option(
    "--trust",
    is_flag=True,
    expose_value=False,
    callback=_set_trust,
    help="Trust and execute the code in the run's folder, even if you have not passed it to fit.",
)
"""Lets :func:`load_run` and :func:`resumed_run` execute untrusted code of a run."""


def _is_trusted() -> bool:
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_TRUST, False))


def is_quiet() -> bool:
    """Whether the running command was given ``--quiet``."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_QUIET, False))


def tell(line: str) -> None:
    """Print a note on standard error, apart from results, unless ``--quiet`` is given."""
    if is_quiet():
        return
    if _active:
        # Print above the progress; click would write into the same line.
        _active[-1].console.print(line, markup=False, highlight=False, soft_wrap=True)
    else:
        click.echo(line, err=True)


def tell_notes(result: Evaluation) -> None:
    """Print the remarks of an evaluation on its text."""
    for note in result.notes:
        tell(f"note: {note}")


@contextmanager
def status(message: str) -> Iterator[Callable[[str], None]]:
    """Show a message until the block ends; yields a function that replaces the message."""
    with _progress(has_bar=False) as progress:
        task = progress.add_task(message, total=None)
        yield lambda text: progress.update(task, description=text)


@contextmanager
def counter(message: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a counter until the block ends; yields a function that sets the number of items done."""
    with _progress(has_bar=True) as progress:
        task = progress.add_task(message, total=total)
        yield lambda done: progress.update(task, completed=done)


@contextmanager
def _progress(*, has_bar: bool) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(stderr=True, markup=False)
    columns = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    if has_bar:
        columns += [BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()]
    is_shown = console.is_terminal and not is_quiet()
    progress = Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,  # results keep going where they went
        disable=not is_shown,
    )
    with progress:
        if is_shown:
            _active.append(progress)
        try:
            yield progress
        finally:
            if is_shown:
                _active.pop()


def load_run(path: Path) -> Run:
    """Load a run with its best weights.

    Raises:
        RunError: if it is not a run, damaged, or of another version.
    """
    with _loading(path) as kind:
        return kind.load(path, trust=_is_trusted())


def load_runs(path: Path, others: tuple[Path, ...], average: str | None) -> Run | RunEnsemble:
    """Load a run, or with others an ensemble of runs.

    Args:
        path: the run.
        others: further runs, from the option ``--with``.
        average: how the runs are averaged, from the option ``--average``; None for the default.

    Raises:
        RunError: as for :func:`load_run`.
        UserError: if the runs are not an ensemble.
    """
    if average is not None and not others:
        raise click.UsageError("--average needs several runs: add runs --with RUN")
    run = load_run(path)
    if not others:
        return run
    from pyro_align.runs import RunEnsemble

    runs = [run, *(load_run(other) for other in others)]
    return RunEnsemble(runs, average or "linear")


def pairs_task(run: Run | RunEnsemble, path: Path) -> SequencePairs:
    """Return the task of a run, which must have pairs of sequences.

    Raises:
        UserError: if the run is one of another task.
    """
    return _checked_task(run, path, "SequencePairs", "pairs of sequences (such as 'translation')")


def load_text_run(path: Path) -> tuple[Run, Translation]:
    """Load a run with its best weights, and return its task too, which must be translation.

    Raises:
        RunError: as for :func:`load_run`.
        UserError: if the run is one of another task.
    """
    run = load_run(path)
    return run, text_task(run, path)


def text_task(run: Run, path: Path) -> Translation:
    """Return the task of a run, which must be ``translation``.

    Raises:
        UserError: if the run is one of another task.
    """
    task: Translation = _checked_task(
        run, path, "Translation", "parallel text (task 'translation')"
    )
    return task


def load_sentences_run(path: Path) -> tuple[Run, Sentences]:
    """Load a run with its best weights, and return its task too, which must be sentences.

    Raises:
        RunError: as for :func:`load_run`.
        UserError: if the run is one of another task.
    """
    run = load_run(path)
    return run, _checked_task(run, path, "Sentences", "sentences without a source")


def _checked_task(run: Run | RunEnsemble, path: Path, kind: str, needs: str) -> Any:
    """Return the task of a run, which must derive from a class of :mod:`pyro_align.tasks`."""
    from pyro_align import tasks  # imports torch when a name of it is used
    from pyro_align.errors import UserError

    if not isinstance(run.task, getattr(tasks, kind)):
        raise UserError(
            f"{path}: a run of the task {run.task.config.task!r}, but this command needs {needs}"
        )
    return run.task


def resumed_run(path: Path) -> Run:
    """Load a run to continue its training.

    Raises:
        RunError: as for :func:`load_run`.
    """
    with _loading(path) as kind:
        return kind.resume(path, trust=_is_trusted())


@contextmanager
def _loading(path: Path) -> Iterator[type[Run]]:
    """Check that the run exists, then import the class."""
    from pyro_align.runs.folder import check_version

    with status(f"loading {path}"):
        check_version(path)  # before torch, which takes seconds to import
        from pyro_align.runs import Run

        yield Run
