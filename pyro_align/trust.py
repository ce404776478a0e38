"""Trust in the code of a run: loading a run executes its code, so only trusted code is loaded.

Code is trusted if this user passed it to ``fit``, or allowed it once with ``trust=True`` or
``--trust``. The digests of trusted files are kept in the user's cache folder, not in the run,
since a run cannot vouch for itself.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from pyro_align.config import Config
from pyro_align.errors import RunError

FOLDER = "code"
"""Folder in a run that holds its code."""

_trusted_here: set[str] = set()
"""Digests trusted in this process, in case the cache folder cannot be written."""


def trust(file: Path) -> None:
    """Remember the content of a file as trusted."""
    digest = _digest(file)
    if _is_trusted(digest):
        return
    _trusted_here.add(digest)
    with suppress(OSError):
        _record().parent.mkdir(parents=True, exist_ok=True)
        with _record().open("a", encoding="utf-8") as record:
            record.write(f"{digest}\n")


def check_code(config: Config, folder: Path, *, trusted: bool) -> None:
    """Check that a run's code lies in the run and is trusted, before any of it is executed.

    Args:
        config: configuration of the run.
        folder: folder of the run.
        trusted: trust the run's code from now on.

    Raises:
        RunError: if the code lies elsewhere, is missing, or is not trusted.
    """
    for kind in ("model", "guide", "objective"):
        name = getattr(config, kind).name
        place, _, _ = name.rpartition(":")
        if not place.endswith(".py"):
            continue
        file = folder / place
        is_inside = Path(place).parts[:-1] == (FOLDER,) and not file.is_symlink()
        if not is_inside or (folder / FOLDER).is_symlink():
            raise RunError(
                f"{folder / 'config.toml'}: {kind}.name = {name!r} is not a file of this run: code "
                f"outside its folder {FOLDER}/ is not executed"
            )
        if not file.is_file():
            raise RunError(f"{file}: no such file, but {kind}.name needs it; copy the run again")
        if trusted:
            trust(file)
        elif not _is_trusted(_digest(file)):
            raise RunError(
                f"{file}: loading this run executes this file, which you have not passed to `fit` "
                f"on this machine: read it, then add --trust (in Python trust=True) if you trust it"
            )


def _is_trusted(digest: str) -> bool:
    if digest in _trusted_here:
        return True
    with suppress(OSError):
        return digest in _record().read_text(encoding="utf-8").split()
    return False


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _record() -> Path:
    from pyro_align.training.data import cache_folder  # imports torch

    return cache_folder() / "trusted-code"
