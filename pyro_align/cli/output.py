"""Where a command writes its result."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def output(path: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears when it is whole."""
    from pyro_align.files import atomic_write

    if path is None:
        sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
        yield sys.stdout
        sys.stdout.flush()  # a reader that has gone is noticed here, not when Python ends
        return
    with atomic_write(path, "t") as file:
        yield file
