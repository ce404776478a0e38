"""Files that are whole or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def beside(path: Path, ending: str = "part") -> Iterator[Path]:
    """A path to write at, which is renamed to ``path`` when the block ends without an error.

    It lies beside ``path`` and is deleted if there is an error; what was at ``path`` before stays
    until it is replaced.

    Args:
        path: the file.
        ending: of the name until then; one of its own for each process that may write the file.
    """
    partial = path.with_name(f".{path.name}.{ending}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A UTF-8 file to write, which is there when the block ends; see :func:`beside`."""
    with beside(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        yield file
