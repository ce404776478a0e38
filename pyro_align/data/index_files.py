"""The files of an index: written atomically as a folder, and checked when they are opened.

The folder contains ``ids.bin`` (for each pair the source ids, then the target ids), ``pairs.bin``
(for each pair three int32: source length, target length, line) and ``index.json`` with a digest of
all three. Numbers are little-endian.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import shutil
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from pyro_align.errors import RunError

FORMAT = 2
"""Version of the files."""

_ABANDONED = 3600.0
"""Seconds without a write after which an incomplete index is considered abandoned."""


@dataclass(frozen=True)
class Header:
    """Content of ``index.json``.

    Attributes:
        format: version of the files.
        fingerprint: fingerprint of text and encoding.
        pairs: number of pairs.
        skipped: number of pairs skipped as too long.
        ids: number of ids, both sides together.
        dtype: NumPy's name of the type of the ids.
        sha256: digest of the two other files and the values above.
    """

    format: int
    fingerprint: str
    pairs: int
    skipped: int
    ids: int
    dtype: str
    sha256: str = ""

    def sealed(self, directory: Path) -> Header:
        """Return the header with the digest of the files in a folder."""
        digest = hashlib.sha256(repr(dataclasses.replace(self, sha256="")).encode())
        for name in ("ids.bin", "pairs.bin"):
            with (directory / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return dataclasses.replace(self, sha256=digest.hexdigest())


@final
class IndexWriter:
    """Context manager that writes an index to a temporary folder, renamed by :meth:`finish`.

    If :meth:`finish` is not called, for example after an error, the temporary folder is deleted.

    Args:
        directory: the folder to create, including its parents.
        vocabulary_size: size of the larger vocabulary, which determines the type of the ids.

    Attributes:
        pairs: number of pairs written.
    """

    def __init__(self, directory: Path, vocabulary_size: int):
        self.pairs = 0
        self._ids = 0
        self._dtype = np.dtype("<u2" if vocabulary_size <= 1 << 16 else "<i4")
        self._directory = directory
        _remove_abandoned(directory)
        directory.parent.mkdir(parents=True, exist_ok=True)
        self._partial = directory.parent / f".{directory.name}.{secrets.token_hex(4)}"
        self._partial.mkdir()
        self._id_file = (self._partial / "ids.bin").open("wb")
        self._pair_file = (self._partial / "pairs.bin").open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._id_file, self._pair_file:  # close both, even if flushing one fails
                pass
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def add(self, ids: NDArray[Any], pairs: NDArray[np.int32]) -> None:
        """Append pairs.

        Args:
            ids: concatenated ids: source, target, source, target, ….
            pairs: source length, target length and line of each pair, one row per pair.
        """
        self._id_file.write(ids.astype(self._dtype).tobytes())
        self._pair_file.write(pairs.astype("<i4").tobytes())
        self._ids += len(ids)
        self.pairs += len(pairs)

    def finish(self, fingerprint: str, skipped: int, *, replace: bool = False) -> None:
        """Move the index to its final location.

        If another process has created the same index meanwhile, that one is kept.

        Args:
            fingerprint: fingerprint of text and encoding.
            skipped: number of pairs skipped as too long.
            replace: replace an existing index that is damaged or different.

        Raises:
            OSError: if something else is there and ``replace`` is False.
        """
        header = Header(FORMAT, fingerprint, self.pairs, skipped, self._ids, self._dtype.str)
        for file in (self._id_file, self._pair_file):
            file.flush()
            os.fsync(file.fileno())
        header = header.sealed(self._partial)
        (self._partial / "index.json").write_text(json.dumps(asdict(header), indent=2) + "\n")
        try:
            self._partial.rename(self._directory)
        except OSError:
            with suppress(RunError):
                if read_header(self._directory) == header:
                    return
            if not replace:
                raise
            old = self._partial.with_name(f"{self._partial.name}.old")
            self._directory.rename(old)
            self._partial.rename(self._directory)
            shutil.rmtree(old, ignore_errors=True)


def read_header(directory: Path) -> Header:
    """Read the header of an index and check the files against its digest.

    Raises:
        RunError: if a file is missing or damaged, or they are of another version.
    """
    path = directory / "index.json"
    try:
        header = Header(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise damaged(directory, f"{path.name} cannot be read ({error})") from error
    if header.format != FORMAT:
        raise damaged(directory, f"it has format {header.format}, but this version reads {FORMAT}")
    try:
        sealed = header.sealed(directory)
    except OSError as error:
        raise damaged(directory, f"{error.filename}: {error.strerror}") from error
    if sealed != header:
        raise damaged(directory, "its content does not match its digest")
    return header


@final
class IdArray:
    """Ids of an index in memory."""

    def __init__(self, ids: NDArray[Any]):
        self._ids = ids

    def read(self, starts: NDArray[np.int64], counts: NDArray[np.int32]) -> NDArray[Any]:
        """See :meth:`IdFile.read`."""
        return np.concatenate([self._ids[a : a + n] for a, n in zip(starts, counts, strict=True)])


@final
class IdFile:
    """Ids of an index on disk, read on demand.

    This uses reads instead of a memory map: pages touched in a map stay resident, and the kernel
    maps up to 2 MiB around each, so that after a few shuffled batches the whole file would be in
    memory. It is thread-safe.

    Args:
        path: ``ids.bin``.
        dtype: type of an id.
    """

    def __init__(self, path: Path, dtype: str):
        self._path = path
        self._dtype = np.dtype(dtype)
        self._file = path.open("rb", buffering=0)
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    def read(self, starts: NDArray[np.int64], counts: NDArray[np.int32]) -> NDArray[Any]:
        """Read ranges of ids and concatenate them.

        Args:
            starts: start of each range.
            counts: number of ids in each range.

        Raises:
            RunError: if the file has been truncated meanwhile.
        """
        width = self._dtype.itemsize
        stretches = zip((starts * width).tolist(), (counts * width).tolist(), strict=True)
        file, parts = self._file, []
        with self._lock:
            for offset, size in stretches:
                file.seek(offset)
                parts.append(file.read(size))
        ids = np.frombuffer(b"".join(parts), self._dtype)
        if len(ids) != counts.sum():
            raise damaged(self._path.parent, f"{self._path.name} was truncated while in use")
        return ids


def read_table(path: Path) -> NDArray[np.int32]:
    """Rows of ``pairs.bin``."""
    return np.fromfile(path, "<i4").reshape(-1, 3)


def damaged(directory: Path, reason: str) -> RunError:
    """Return the error for a damaged index."""
    return RunError(
        f"the index {directory} cannot be used: {reason}. Delete the folder; it is rebuilt from "
        "the text"
    )


def _remove_abandoned(directory: Path) -> None:
    for partial in directory.parent.glob(f".{directory.name}.*"):
        try:
            written = max(file.stat().st_mtime for file in [partial, *partial.iterdir()])
        except OSError:  # removed meanwhile by its own process
            continue
        if time.time() - written > _ABANDONED:
            shutil.rmtree(partial, ignore_errors=True)
