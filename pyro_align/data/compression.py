"""Compressed text files, recognised by their first bytes rather than by name."""

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
"""File extensions of compressed files, with the name of the compression."""

DAMAGES = (EOFError, OSError, zlib.error, lzma.LZMAError)
"""Exceptions raised for damaged compressed data; such an OSError has no errno."""

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
"""Length of the longest signature, in bytes."""


class UnreadableError(ValueError):
    """Content in an unsupported format; the message names it and says how to convert it."""


def decompressed(stream: IO[bytes]) -> tuple[IO[bytes], str | None]:
    """Decompress a stream if it is compressed with gzip, xz or bzip2.

    Args:
        stream: a binary stream at its beginning that supports ``peek`` or ``seek``.

    Returns:
        The decompressed stream, and the name of the compression, or None.

    Raises:
        UnreadableError: if the format is recognised but not supported.
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
    """File extension in lower case, ignoring a compression extension; for example ``.tsv``."""
    path = Path(str(path).lower())
    return (path.with_suffix("") if path.suffix in ENDINGS else path).suffix
