"""Atomic writes: a file either gets its complete new content or stays unchanged."""

from __future__ import annotations

import fcntl
import glob
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

from pyro_align.errors import OutputError

_KEPT = 50
"""Characters of a file's name used in the name of its partial file; file names are limited."""


@overload
def atomic_write(path: Path, mode: Literal["b"] = "b") -> AbstractContextManager[BinaryIO]: ...
@overload
def atomic_write(path: Path, mode: Literal["t"]) -> AbstractContextManager[TextIO]: ...
@contextmanager
def atomic_write(path: Path, mode: Literal["b", "t"] = "b") -> Iterator[Any]:
    """Open a file whose content appears at ``path`` when the block ends without an error.

    The content is written to a partial file in the same folder, which replaces ``path`` at the
    end and is deleted after an error. Each call uses its own partial file: if several processes
    write to one path, the last to finish wins with its complete content. Partial files of killed
    processes are deleted by the next write to the same path.

    A symbolic link is kept and the file it points to is replaced. The permissions of a replaced
    file are kept. Devices, named pipes, and files that standard output or standard error is
    redirected to are written directly.

    Args:
        path: the file.
        mode: ``"b"`` for bytes, ``"t"`` for UTF-8 text with ``\\n`` as line end.

    Raises:
        OutputError: if ``path`` is a folder or cannot be written, for example because the disk is
            full.
    """
    options: dict[str, Any] = {} if mode == "b" else {"encoding": "utf-8", "newline": "\n"}
    partial = None
    try:
        status = _status(path)
        if status is not None and stat.S_ISDIR(status.st_mode):
            raise OutputError(f"{path}: is a folder; give a file name")
        if status is not None and _is_written_directly(status):
            with path.open(f"a{mode}", **options) as file:
                yield file
            return
        target = Path(os.path.realpath(path))
        delete_abandoned(target.parent, target.name)
        partial = sibling_path(target)
        try:
            with partial.open(f"x{mode}", **options) as file:
                _lock(file)
                yield file
            if status is not None:
                with suppress(PermissionError):  # file systems without permissions
                    partial.chmod(stat.S_IMODE(status.st_mode))
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        # An error that names another file was not caused by writing this one.
        if error.filename not in (None, str(path), str(partial)):
            raise
        kept = "" if partial is None else "; an existing file is unchanged"
        raise OutputError(f"{path}: cannot be written: {error.strerror}{kept}") from error


def sibling_path(path: Path) -> Path:
    """Return a hidden path next to ``path`` that no other process uses."""
    return path.with_name(f".{path.name[:_KEPT]}.{secrets.token_hex(4)}.part")


def delete_abandoned(folder: Path, name: str | None = None) -> None:
    """Delete partial files and folders of killed processes; those in use are locked and kept.

    Args:
        folder: folder to clean.
        name: name of the file that was being written; None for every file.
    """
    start = "*" if name is None else glob.escape(name[:_KEPT])
    for partial in folder.glob(f".{start}.{'[0-9a-f]' * 8}.part"):
        with suppress(OSError), _opened(partial) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if partial.is_dir():
                shutil.rmtree(partial)
            else:
                partial.unlink()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open a file or folder and yield its descriptor."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _status(path: Path) -> os.stat_result | None:
    """Status of a path, following links; None if it does not exist."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _is_written_directly(status: os.stat_result) -> bool:
    if not stat.S_ISREG(status.st_mode):
        return True
    for stream in (1, 2):
        with suppress(OSError):  # a closed stream
            if os.path.samestat(status, os.fstat(stream)):
                return True
    return False


def _lock(file: IO[Any]) -> None:
    """Mark a partial file as in use while it is open, if the file system supports locks."""
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def cache_folder() -> Path:
    """Return the cache folder: ``$PYRO_ALIGN_CACHE``, or ``~/.cache/pyro-align``."""
    given = os.environ.get("PYRO_ALIGN_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "pyro-align"
