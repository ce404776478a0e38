"""Run the commands of a page on small text and with small sizes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner
from runs import settings, shared_corpus

from pyro_align.cli import main


def run_commands(commands: Iterable[list[str]], folder: Path) -> list[str]:
    """Run commands in a folder, fits on :func:`runs.shared_corpus`; return what each printed."""
    return [_run(arguments, folder) for arguments in commands]


def _run(arguments: list[str], folder: Path) -> str:
    shrunk = [*arguments, *_sizes(arguments)] if arguments[0] == "fit" else arguments
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYRO_ALIGN_RUN", "nowhere")  # a fit sets it; restored afterwards
        result = CliRunner().invoke(main, shrunk)
    assert result.exit_code == 0, f"{arguments}: {result.output}\n{result.exception}"
    return result.stdout


def _sizes(arguments: list[str]) -> list[str]:
    """Options for small text and sizes, except those that the command sets itself."""
    given = {word.partition("=")[0] for word in arguments}
    text = [str(word) for name, paths in shared_corpus().items() for word in (f"--{name}", *paths)]
    sizes = settings(network__cell="gru", training__max_steps=4)
    return [
        *text,
        *(word for one in sizes if one.partition("=")[0] not in given for word in ("--set", one)),
    ]
