"""Run folders that are safe when several processes create or train runs at the same time."""

from __future__ import annotations

import fcntl
import itertools
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pyro_align.errors import RunError
from pyro_align.files import delete_abandoned, sibling_path

LOCK = ".lock"
"""File in a run folder, locked by the process that trains the run."""


@dataclass(frozen=True)
class NewFolder:
    """A folder that is being created.

    Attributes:
        path: its final location.
        partial: temporary location, where it is filled.
    """

    path: Path
    partial: Path


@contextmanager
def new_folder(
    path: Path, *, overwrite: bool = False, numbered: bool = False
) -> Iterator[NewFolder]:
    """Create a run folder: fill a temporary folder next to ``path``, then move it to ``path``.

    ``path`` is first reserved as an empty, locked folder, so that no other process can take it.
    After an error both folders are deleted. Leftovers of a killed process are reused or deleted by
    the next call for the same path.

    Args:
        path: final location of the folder.
        overwrite: replace an existing run; it is kept until the new one is complete.
        numbered: if ``path`` exists, use ``path-2``, ``path-3``, ….

    Raises:
        RunError: if ``path`` exists, is being created or trained by another process, or cannot be
            created.
    """
    if path.is_symlink() or path.name in ("", ".."):
        path = Path(os.path.realpath(path))  # keep a link; "." and ".." have no name
    try:
        with ExitStack() as stack:
            _recover(path)
            paths = _numbered(path) if numbered else [path]
            claimed = next((each for each in paths if stack.enter_context(_claim(each))), None)
            if claimed is None:
                _check_replaceable(path, overwrite)
                stack.enter_context(locked(path))
            else:
                path = claimed
            delete_abandoned(path.parent, path.name)
            partial = sibling_path(path)
            partial.mkdir()
            stack.callback(shutil.rmtree, partial, ignore_errors=True)
            stack.enter_context(_held(partial))
            yield NewFolder(path, partial)
            if claimed is not None:
                partial.rename(path)  # replaces an empty folder, and nothing else
            else:
                replaced = _replaced(path)
                shutil.rmtree(replaced, ignore_errors=True)
                path.rename(replaced)
                partial.rename(path)
                shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise RunError(f"{path}: cannot create the run: {error.strerror or error}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder; the system releases it if the process dies.

    Raises:
        RunError: if another process holds it, naming that process.
    """
    with (folder / LOCK).open("a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunError(
                f"{folder}: {file.read() or 'another process'} is training this run: wait until it "
                f"ends, or stop it and continue with `pyro-align fit --resume {folder}`"
            ) from None
        except OSError:
            pass  # a file system without locks
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.name}-{number}")


@contextmanager
def _claim(path: Path) -> Iterator[bool]:
    """Create an empty folder, or take an existing one that no process holds; yield success.

    The folder is deleted on exit if it is still empty.
    """
    with suppress(FileExistsError):
        path.mkdir(parents=True)
    with _held(path) as is_held:
        is_ours = is_held and not any(path.iterdir())
        try:
            yield is_ours
        finally:
            if is_ours:
                with suppress(OSError):
                    path.rmdir()


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Lock a folder; yield False if another process holds it or it was replaced meanwhile."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        yield False
        return
    try:
        is_held = True
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            is_held = False
        except OSError:
            pass  # a file system without locks
        with suppress(FileNotFoundError):
            is_held = is_held and os.path.samestat(os.fstat(folder), path.stat())
        yield is_held
    finally:
        os.close(folder)


def _check_replaceable(path: Path, overwrite: bool) -> None:
    if not path.is_dir():
        raise RunError(f"{path} exists and is not a folder: choose another --out")
    if not any(path.iterdir()):
        raise RunError(f"{path} is being created by another process: choose another --out")
    if not overwrite:
        raise RunError(
            f"{path} exists: choose another --out, continue it with --resume {path}, or "
            f"replace it with --overwrite"
        )
    if not (path / "run.json").is_file():
        raise RunError(f"{path} is not a run, so it is not overwritten: choose another --out")


def _replaced(path: Path) -> Path:
    """Temporary location of a run while it is being replaced."""
    return path.with_name(f".{path.name}.old")


def _recover(path: Path) -> None:
    """Restore a run if a process was killed between the two renames that replace it."""
    if not path.exists():
        with suppress(FileNotFoundError):
            _replaced(path).rename(path)
