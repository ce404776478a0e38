"""Standard streams and output files of commands."""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from pyro_align.errors import UserError


def prepare_streams() -> None:
    """Make it safe to write any text to standard output and standard error.

    Characters that the encoding of standard output cannot represent are replaced by ``?``. A closed
    standard error is replaced by the null device, so that no other file gets its descriptor.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115


def check_standard_output() -> None:
    """Check that standard output is open.

    Raises:
        UserError: if it is closed.
    """
    if sys.stdout is None:
        raise UserError("standard output is closed: redirect it to a file or to /dev/null")


def standard_input() -> BinaryIO:
    """Return standard input as a binary stream.

    Raises:
        UserError: if it is closed.
    """
    if sys.stdin is None:
        raise UserError("standard input is closed: give a file")
    return sys.stdin.buffer


def flush() -> None:
    """Flush standard output.

    Raises:
        OSError: if it cannot be written; it is discarded then, so that Python does not try again
            when it ends.
    """
    try:
        sys.stdout.flush()
    except OSError:
        with suppress(OSError):  # a stream without a file
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


@contextmanager
def output(path: Path | None) -> Iterator[TextIO]:
    """Open a file for a result; None is standard output, in UTF-8.

    Raises:
        OutputError: if the file cannot be written; see :func:`pyro_align.files.atomic_write`.
    """
    from pyro_align.files import atomic_write

    if path is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")
        yield sys.stdout
        return
    with atomic_write(path, "t") as file:
        yield file


def printable(text: str) -> str:
    r"""Text in one line, its control characters as escape sequences such as ``\n``.

    Names of files and runs may hold any character, and so break a table or change the terminal.
    """
    return "".join(
        repr(character)[1:-1] if unicodedata.category(character) in _CONTROL else character
        for character in text
    )


_CONTROL = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories: control characters, lone surrogates, line and paragraph separators."""
