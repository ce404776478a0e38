"""Standard input that can tell whether another line has arrived."""

from __future__ import annotations

import io
import select
from typing import BinaryIO, final

_PATIENCE = 0.01
"""Seconds to wait for another line; a process that writes many lines may pause for as long."""


@final
class ArrivingLines(io.BufferedReader):
    """A binary stream of lines, read one after the other, such as a pipe.

    Args:
        raw: the stream, without a buffer.
    """

    def __init__(self, raw: io.RawIOBase):
        self._counted = _CountedLines(raw)
        self._given = 0
        super().__init__(self._counted)

    def __next__(self) -> bytes:
        line = super().__next__()
        self._given += 1
        return line

    def ready(self) -> bool:
        """Whether a line, or the end, can be read now or in a moment."""
        if self._counted.lines > self._given:
            return True
        return bool(select.select([self._counted.fileno()], [], [], _PATIENCE)[0])


class _CountedLines(io.RawIOBase):
    """A stream that counts the line ends that were read.

    Attributes:
        lines: their number.
    """

    def __init__(self, raw: io.RawIOBase):
        self._raw = raw
        self.lines = 0

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: bytearray | memoryview, /) -> int | None:  # type: ignore[override]
        read = self._raw.readinto(buffer)
        self.lines += bytes(buffer[: read or 0]).count(b"\n")
        return read


def arriving(stream: BinaryIO) -> ArrivingLines | None:
    """Return standard input as :class:`ArrivingLines`; None if it has no file descriptor."""
    raw = stream.raw if isinstance(stream, io.BufferedReader) else None
    return ArrivingLines(raw) if isinstance(raw, io.FileIO) else None
