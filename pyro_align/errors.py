"""Errors caused by user input; each message says what is wrong and how to fix it."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable
from pathlib import Path


class UserError(ValueError):
    """An error caused by user input; the message says what is wrong and how to fix it.

    The command line prints the message without a traceback.

    Attributes:
        exit_code: the exit code of the command line.
    """

    exit_code: int = 2


class Terminated(BaseException):
    """The process received SIGTERM; the counterpart of KeyboardInterrupt."""


class DataError(UserError):
    """Input text that cannot be used, with file and line.

    Args:
        message: what is wrong and how to fix it.
        path: the file, or None for standard input.
        line: 1-based line number, if a single line is wrong.
    """

    def __init__(self, message: str, path: Path | str | None = None, line: int | None = None):
        place = "" if path is None else str(path)
        if line is not None:
            place = f"{place or '<stdin>'}:{line}"
        super().__init__(f"{place}: {message}" if place else message)
        self.message = message
        self.path = path
        self.line = line


class ConfigError(UserError):
    """A configuration key or value that does not exist or is not valid."""


class IncompatibleError(UserError):
    """A model, guide and objective that cannot be combined."""


class RunError(UserError):
    """A run folder or checkpoint that is missing, damaged, of another version, or already there."""


class OutputError(UserError):
    """A file that cannot be written, for example because it is a folder or the disk is full."""


class TrainingError(UserError):
    """Training that cannot continue, for example because the loss is not finite.

    Args:
        reason: what happened, and how to fix it.
        kept: which part of the training was saved, and how to continue from it.
    """

    def __init__(self, reason: str, kept: str | None = None):
        super().__init__(reason if kept is None else f"{reason}; {kept}")
        self.reason = reason


class InterruptedTraining(TrainingError):
    """Training that was ended by a signal.

    Args:
        cause: the exception that was raised.
        kept: which part of the training was saved, and how to continue from it.
    """

    def __init__(self, cause: BaseException, kept: str | None = None):
        is_sigterm = isinstance(cause, Terminated)
        super().__init__("terminated" if is_sigterm else "interrupted", kept)
        self.exit_code = 128 + (signal.SIGTERM if is_sigterm else signal.SIGINT)


def reject_string(name: str, lines: object) -> None:
    """Raise an error if a single string is passed where a list of sentences is expected.

    Args:
        name: name of the argument.
        lines: value of the argument.

    Raises:
        UserError: if ``lines`` is a string.
    """
    if isinstance(lines, str):
        raise UserError(f"{name} is one string: give a list of sentences, as in [{lines!r}]")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that suggests the known name closest to ``name`` and lists all known names."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(options)}" if options else "there are none"
