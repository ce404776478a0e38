"""Lines of text from a plain or gzipped file, strict about what is a line and what is UTF-8."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from pyro_align.errors import DataError

_BOM = b"\xef\xbb\xbf"


def read_lines(source: Path | BinaryIO) -> Iterator[str]:
    r"""Stream the lines of a UTF-8 file without their ends; empty lines are kept.

    Only ``\n`` ends a line (a ``\r`` before it is dropped): U+2028, form feeds and the like are
    characters, so that line ``n`` here is line ``n`` for ``wc``, ``sed`` and ``paste``. A byte
    order mark at the start is dropped.

    Args:
        source: a file, gzipped where its name ends in ``.gz``, or an open binary stream such as
            ``sys.stdin.buffer``.

    Raises:
        DataError: if the file is missing or unreadable, its gzip stream is damaged, or a line is
            not UTF-8.
    """
    if not isinstance(source, Path):
        yield from _decoded(source, None)
        return
    try:
        with _open(source) as stream:
            yield from _decoded(stream, source)
    except FileNotFoundError:
        raise DataError("no such file", source) from None
    except IsADirectoryError:
        raise DataError("this is a folder; a text file was expected", source) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", source) from error


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "rb"))
    return path.open("rb")


def _decoded(stream: IO[bytes], path: Path | None) -> Iterator[str]:
    number, offset = 0, 0
    lines = iter(stream)
    while True:
        try:
            line = next(lines, None)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(
                f"gzip stream damaged or cut off after line {number} ({error}); copy the file "
                "anew, or drop the .gz from its name if it is not compressed",
                path,
                number + 1,
            ) from error
        if line is None:
            return
        number += 1
        try:
            text = line.removeprefix(_BOM).decode() if number == 1 else line.decode()
        except UnicodeDecodeError as error:
            skipped = len(_BOM) if number == 1 and line.startswith(_BOM) else 0
            raise DataError(
                f"not UTF-8: byte 0x{error.object[error.start]:02x} at byte offset "
                f"{offset + skipped + error.start} of the text; convert it, for example with "
                "iconv -f ISO-8859-1 -t UTF-8",
                path,
                number,
            ) from None
        offset += len(line)
        yield text.removesuffix("\n").removesuffix("\r")
