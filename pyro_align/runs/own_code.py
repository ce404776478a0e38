"""Code of the user in a run: it is kept in the run, and executed only if it is trusted.

Loading a run executes its code, so only trusted code is loaded.

Code is trusted if this user passed it to ``fit``, or allowed it once with ``trust=True`` or
``--trust``. The digests of trusted files are kept in the user's cache folder, not in the run,
since a run cannot vouch for itself.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pyro_align.config import Component, Config, read_toml
from pyro_align.config.components import KINDS
from pyro_align.errors import ConfigError, RunError
from pyro_align.files import cache_folder

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


def read_config(folder: Path, *, trusted: bool) -> Config:
    """Read the configuration of a run, whose own code is checked before any of it is executed.

    Args:
        folder: folder of the run.
        trusted: trust the run's code from now on.

    Raises:
        RunError: if the code lies elsewhere, is missing, or is not trusted.
        ConfigError: if the configuration is damaged.
    """
    path = folder / "config.toml"
    values = read_toml(path)
    for key, name in _names(values):
        _check_code(key, name, folder, trusted=trusted)
    task = values.get("task")
    if isinstance(task, str):  # it says which tables the configuration has
        values["task"] = _located(task, folder)
    return Config.checked(values, str(path))


def _names(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield keys and names of task, model, guide and objective of a configuration as TOML."""
    found = {"task": values.get("task")}
    for kind in KINDS:
        table = values.get(kind)
        found[f"{kind}.name"] = table.get("name") if isinstance(table, Mapping) else None
    for key, name in found.items():
        if isinstance(name, str):
            yield key, name


def _check_code(key: str, name: str, folder: Path, *, trusted: bool) -> None:
    place, _, _ = name.rpartition(":")
    if not place.endswith(".py"):
        return
    file = folder / place
    is_inside = Path(place).parts[:-1] == (FOLDER,) and not file.is_symlink()
    if not is_inside or (folder / FOLDER).is_symlink():
        raise RunError(
            f"{folder / 'config.toml'}: {key} = {name!r} is not a file of this run: code "
            f"outside its folder {FOLDER}/ is not executed"
        )
    if not file.is_file():
        raise RunError(f"{file}: no such file, but {key} needs it; copy the run again")
    if trusted:
        trust(file)
    elif not _is_trusted(_digest(file)):
        raise RunError(
            f"{file}: loading this run executes this file, which you have not passed to `fit` "
            f"on this machine: read it, then add --trust (in Python trust=True) if you trust it"
        )


def keep_own_code(config: Config, folder: Path) -> Config:
    """Copy ``file.py`` of every ``file.py:Class`` into the run, so that the run is self-contained.

    Raises:
        ConfigError: if two different files have the same name.
    """
    kept: dict[str, Any] = {"task": _kept(config.task, folder)}
    for kind in KINDS:
        component = getattr(config, kind)
        kept[kind] = component.model_copy(update={"name": _kept(component.name, folder)})
    return config.model_copy(update=kept)


def _kept(name: str, folder: Path) -> str:
    """Copy the file of a name into the run, if it has one; return the name in the run."""
    place, _, class_name = name.rpartition(":")
    if not place.endswith(".py"):
        return name
    file = Path(place).expanduser()
    kept_file = folder / FOLDER / file.name
    kept_file.parent.mkdir(exist_ok=True)
    if kept_file.exists() and kept_file.read_bytes() != file.read_bytes():
        raise ConfigError(f"{file}: another file is also called {file.name}; rename one")
    shutil.copyfile(file, kept_file)
    trust(kept_file)
    return f"{FOLDER}/{file.name}:{class_name}"


def located(component: Component, folder: Path) -> Component:
    """Return the component; the path of code kept in a run is prefixed with the run's folder."""
    return component.model_copy(update={"name": _located(component.name, folder)})


def _located(name: str, folder: Path) -> str:
    return str(folder / name) if name.startswith(f"{FOLDER}/") else name


def with_own_code(config: Config, folder: Path) -> Config:
    """Return a run's configuration with all components :func:`located`."""
    return config.model_copy(
        update={kind: located(getattr(config, kind), folder) for kind in KINDS}
    )


def is_same_class(one: Component, other: Component) -> bool:
    """Whether two located components are the same class; copies of a file count as the same."""
    return _identity(one.name) == _identity(other.name)


def _identity(name: str) -> Any:
    place, _, class_name = name.rpartition(":")
    return (Path(place).expanduser().read_bytes(), class_name) if place.endswith(".py") else name


def _is_trusted(digest: str) -> bool:
    if digest in _trusted_here:
        return True
    with suppress(OSError):
        return digest in _record().read_text(encoding="utf-8").split()
    return False


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _record() -> Path:
    return cache_folder() / "trusted-code"
