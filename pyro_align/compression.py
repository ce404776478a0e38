"""Compressed text, recognised by its first bytes and not by its name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from pathlib import Path
from typing import IO, cast

ENDINGS = {".gz": "gzip", ".xz": "xz", ".bz2": "bzip2"}
"""Endings of the names of compressed files, and what such files are compressed with."""

DAMAGES = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""Exceptions raised for damaged compressed data; those of them that are OSError have no errno."""

_READABLE = (
    (re.compile(rb"\x1f\x8b"), "gzip"),
    (re.compile(rb"\xfd7zXZ\0"), "xz"),
    (re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"), "bzip2"),
)
_UNREADABLE = (
    (re.compile(rb"\x28\xb5\x2f\xfd"), "compressed with zstd: decompress it first with zstd -d"),
    (re.compile(rb"\x04\x22\x4d\x18"), "compressed with lz4: decompress it first with lz4 -d"),
    (re.compile(rb"PK\x03\x04"), "a zip archive: unpack it first with unzip"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive: unpack it first with 7z x"),
    (
        re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff"),
        "UTF-32, not UTF-8: convert it with iconv -f UTF-32 -t UTF-8",
    ),
    (
        re.compile(rb"\xff\xfe|\xfe\xff"),
        "UTF-16, not UTF-8: convert it with iconv -f UTF-16 -t UTF-8",
    ),
)
_LONGEST = 10
"""Bytes of the longest of these signatures."""


class UnreadableError(ValueError):
    """Content that cannot be read; the message says what it is and how to convert it."""


def decompressed(stream: IO[bytes]) -> tuple[IO[bytes], str | None]:
    """The content of a stream, decompressed if it is compressed with gzip, xz or bzip2.

    Args:
        stream: at its beginning; it can look ahead (``peek``) or go back (``seek``).

    Returns:
        A stream of the content, and the name of the compression, None for none.

    Raises:
        UnreadableError: if the content is in a format that is recognised but cannot be read.
    """
    if isinstance(stream, io.BufferedReader):
        head = stream.peek(_LONGEST)[:_LONGEST]
    else:
        head = stream.read(_LONGEST)
        stream.seek(-len(head), io.SEEK_CUR)
    for signature, reason in _UNREADABLE:
        if signature.match(head):
            raise UnreadableError(reason)
    kind = next((name for signature, name in _READABLE if signature.match(head)), None)
    if kind == "gzip":
        return cast(IO[bytes], gzip.open(stream)), kind
    if kind == "xz":
        return lzma.open(stream), kind
    if kind == "bzip2":
        return bz2.open(stream), kind
    return stream, None


def text_suffix(path: Path | str) -> str:
    """Ending of a file's name in small letters, without that of a compression: ``.tsv``."""
    path = Path(str(path).lower())
    return (path.with_suffix("") if path.suffix in ENDINGS else path).suffix
