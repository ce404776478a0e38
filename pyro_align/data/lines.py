"""Read lines of text from plain or compressed files, with strict rules for lines and UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO

from pyro_align.data.compression import DAMAGES, ENDINGS, UnreadableError, decompressed
from pyro_align.errors import DataError

_BOM = b"\xef\xbb\xbf"


def read_lines(source: Path | BinaryIO, name: Path | None = None) -> Iterator[str]:
    r"""Stream the lines of a UTF-8 file without line ends; empty lines are kept.

    Only ``\n`` ends a line, and a ``\r`` before it is removed. U+2028, form feeds and others are
    ordinary characters, so that line numbers agree with ``wc``, ``sed`` and ``paste``. A byte order
    mark at the start is removed.

    Args:
        source: a file, or an open binary stream such as ``sys.stdin.buffer``. Content compressed
            with gzip, xz or bzip2 is decompressed, regardless of the file's name.
        name: file name for error messages; None for ``source`` if that is a file, and for
            ``<stdin>`` if it is a stream.

    Raises:
        DataError: if the file is missing or unreadable, its compressed content is damaged, its
            format is not supported, or a line is not UTF-8.
    """
    if not isinstance(source, Path):
        yield from _decoded(source, Path("<stdin>") if name is None else name)
        return
    name = source if name is None else name
    try:
        with source.open("rb") as stream:
            yield from _decoded(stream, name)
    except FileNotFoundError:
        raise DataError("no such file", name) from None
    except IsADirectoryError:
        raise DataError("this is a folder; a text file was expected", name) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", name) from error


def check_rereadable(path: Path) -> None:
    """Check that a file exists and can be read more than once.

    Raises:
        DataError: if it does not, or is a pipe or device.
    """
    if not path.exists():
        raise DataError("no such file", path)
    if not path.is_file() and not path.is_dir():
        raise DataError(
            "a pipe or device can be read only once, but this text is read several times: write it "
            "to a file first (optionally compressed with gzip, xz or bzip2)",
            path,
        )


def _decoded(raw: IO[bytes], path: Path) -> Iterator[str]:
    try:
        stream, compression = decompressed(raw)
    except UnreadableError as error:
        raise DataError(str(error), path) from None
    refusal = None
    if compression is None and path.suffix.lower() in ENDINGS:
        refusal = (
            f"named {path.suffix}, but its content is not {ENDINGS[path.suffix.lower()]}; copy the "
            "file again, or change its name if it is not compressed"
        )
    number, offset = 0, 0
    lines = iter(stream)
    while True:
        try:
            line = next(lines, None)
        except DAMAGES as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DataError(
                f"{compression} data damaged or truncated after line {number} ({error}); copy the "
                "file again",
                path,
                number + 1,
            ) from error
        if line is None:
            return
        if refusal is not None:
            raise DataError(refusal, path, 1)
        number += 1
        try:
            text = line.removeprefix(_BOM).decode() if number == 1 else line.decode()
        except UnicodeDecodeError as error:
            skipped = len(_BOM) if number == 1 and line.startswith(_BOM) else 0
            encoding = "UTF-16" if b"\0" in line else "ISO-8859-1"
            raise DataError(
                f"not UTF-8: byte 0x{error.object[error.start]:02x} at byte offset "
                f"{offset + skipped + error.start} of the text; convert it, for example with "
                f"iconv -f {encoding} -t UTF-8 if that is its encoding",
                path,
                number,
            ) from None
        offset += len(line)
        yield text.removesuffix("\n").removesuffix("\r")
