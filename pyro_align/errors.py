"""What a user can get wrong, said so that the user can mend it."""

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
    """The process was asked to end by SIGTERM, as Ctrl-C raises KeyboardInterrupt."""


class DataError(UserError):
    """Input text that cannot be used, with the file and the line it stands in.

    Args:
        message: what is wrong and how to mend it.
        path: the file, or None for standard input.
        line: 1-based line number, where one line is to blame.
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
    """A configuration key or value that does not exist or does not fit."""


class IncompatibleError(UserError):
    """A model, guide and objective that do not go together."""


class RunError(UserError):
    """A run folder or checkpoint that is missing, damaged, too new, or in the way."""


class OutputError(UserError):
    """A file that cannot be written, for instance since it is a folder or the disk is full."""


class TrainingError(UserError):
    """Training that cannot go on, such as a loss that is not a number.

    Args:
        reason: what happened, and how to mend it.
        kept: what of the training is kept, and how to go on from there.
    """

    def __init__(self, reason: str, kept: str | None = None):
        super().__init__(reason if kept is None else f"{reason}; {kept}")
        self.reason = reason


class InterruptedTraining(TrainingError):
    """Training that was ended by a signal.

    Args:
        cause: what was raised.
        kept: what of the training is kept, and how to go on from there.
    """

    def __init__(self, cause: BaseException, kept: str | None = None):
        is_sigterm = isinstance(cause, Terminated)
        super().__init__("terminated" if is_sigterm else "interrupted", kept)
        self.exit_code = 128 + (signal.SIGTERM if is_sigterm else signal.SIGINT)


def reject_string(name: str, lines: object) -> None:
    """Refuse one string where a list of sentences is expected, since its items are characters.

    Args:
        name: of the argument.
        lines: its value.

    Raises:
        UserError: if it is a string.
    """
    if isinstance(lines, str):
        raise UserError(f"{name} is one string: give a list of sentences, as in [{lines!r}]")


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that lists the known names, the one nearest to ``name`` first."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(options)}" if options else "there are none"
