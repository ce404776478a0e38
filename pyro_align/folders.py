"""Folders of runs that several processes may make or train at once, without harm to each other."""

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
"""File in a run folder that the process which trains the run holds locked."""


@dataclass(frozen=True)
class NewFolder:
    """A folder that is being made.

    Attributes:
        path: where it lies when it is complete.
        partial: where it is filled until then.
    """

    path: Path
    partial: Path


@contextmanager
def new_folder(
    path: Path, *, overwrite: bool = False, numbered: bool = False
) -> Iterator[NewFolder]:
    """Make the folder of a run: it is filled beside ``path`` and moved there when it is complete.

    ``path`` is claimed first, as an empty folder that this process holds locked, so that no other
    process takes it meanwhile. After an error the claim and the partial folder are deleted. What a
    killed process left of them is reused or deleted by the next call for the same path.

    Args:
        path: where the folder goes.
        overwrite: replace a run that is there; it stays until the new one is complete.
        numbered: if something is there, take ``path-2`` and so on.

    Raises:
        RunError: if ``path`` is in the way, is being made or trained by another process, or cannot
            be made.
    """
    if path.is_symlink() or path.name in ("", ".."):
        path = Path(os.path.realpath(path))  # a link stays; a folder needs a name of its own
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
        raise RunError(f"{path}: the run cannot be made: {error.strerror or error}") from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder; the system releases the lock of a process that dies.

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
                f"ends, or stop it and go on with `pyro-align fit --resume {folder}`"
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
    """Make an empty folder, or take one that no process holds; whether that worked.

    The folder is deleted at the end if it is still empty.
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
    """Lock a folder itself; False if another process has, or if it was replaced meanwhile."""
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
        raise RunError(f"{path} is being made by another process: choose another --out")
    if not overwrite:
        raise RunError(
            f"{path} exists: choose another --out, go on with it with --resume {path}, or "
            f"replace it with --overwrite"
        )
    if not (path / "run.json").is_file():
        raise RunError(f"{path} is not a run, so it is not overwritten: choose another --out")


def _replaced(path: Path) -> Path:
    """Where a run lies for a moment while a new one takes its place."""
    return path.with_name(f".{path.name}.old")


def _recover(path: Path) -> None:
    """Put a run back that a kill left between the two renamings of its replacement."""
    if not path.exists():
        with suppress(FileNotFoundError):
            _replaced(path).rename(path)
