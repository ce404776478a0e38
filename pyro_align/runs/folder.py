"""The folder of a run: creating it, and reading and checking its files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyro_align
from pyro_align.config import Config, read_toml
from pyro_align.errors import ConfigError, RunError
from pyro_align.files import atomic_write

if TYPE_CHECKING:
    from pyro_align.tasks import Task

FORMAT = 2
"""Version of the folder layout and of weight names; runs of other versions are rejected."""

IDENTITY = "identity.json"
"""File with everything that the weights of a run depend on; see :func:`identity`."""


def write_new(task: Task) -> None:
    """Write configuration and facts of a new run, whose task has been prepared."""
    folder = task.folder
    write_facts(folder / "data.json", task.facts())
    task.config.save(folder / "config.toml")
    write_facts(folder / IDENTITY, identity(task.config, task.digests()))
    write_status(folder, "training")


def identity(config: Config, digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the values that the weights of a run depend on and that must not change.

    Returns:
        ``digests`` of files, and the settings of model, guide and networks by key.
    """
    values = config.model_dump(mode="json", exclude_none=True)
    return {
        **digests,
        **{
            f"{table}.{key}": value
            for table in ("model", "guide", "network", "vocabulary")
            for key, value in values.get(table, {}).items()
        },
    }


def check_identity(folder: Path, config: Config, digests: Mapping[str, str]) -> dict[str, str]:
    """Check that files and settings are those the run was created with.

    Args:
        folder: the run's folder.
        config: its configuration, as it is in the folder now.
        digests: digests of its files that the weights depend on, as they are now.

    Returns:
        Metadata saved with the weights and checked when they are loaded, which ties them to this
        run.

    Raises:
        RunError: naming the first value that differs.
    """
    path = folder / IDENTITY
    kept, found = read_facts(path), identity(config, digests)
    defaults = identity(type(config)(), {})
    for key in sorted(kept.keys() | found.keys()):
        if kept.get(key) == found.get(key):
            continue
        if key in digests:
            raise RunError(
                f"{folder / key}: damaged, or the vocabulary of another run: its digest does not "
                f"match {IDENTITY}; copy the run again"
            )
        # A later version may add settings, which then have their default values.
        if key in kept or found[key] != defaults.get(key):
            raise RunError(
                f"{folder / 'config.toml'}: {key} = {found.get(key)!r}, but the weights of this "
                f"run require {kept.get(key)!r}: restore the old value, or start a new run"
            )
    return {"identity": hashlib.sha256(path.read_bytes()).hexdigest()}


def check_data_unchanged(task: Task, remedy: str) -> None:
    """Check that training and validation data have not changed since the run was created.

    Args:
        task: the run's task.
        remedy: how to fix it, for the error message.

    Raises:
        RunError: naming the data that have changed.
    """
    written = read_facts(task.folder / "data.json")
    for part, facts in task.facts().items():
        if facts["sha256"] != written.get(part, {}).get("sha256"):
            raise RunError(
                f"{' '.join(map(str, task.files(part)))}: not the {part} text that this run "
                f"was created with; {remedy}"
            )


def component_names(folder: Path) -> dict[str, str]:
    """Return the names of model, guide and objective of a run, without executing its own code.

    Raises:
        ConfigError: if the configuration is damaged.
    """
    path = folder / "config.toml"
    values = read_toml(path)
    names = {}
    for kind in ("model", "guide", "objective"):
        component = values.get(kind, {})
        default = getattr(Config.model_fields[kind].default, "name", "")
        if not isinstance(component, dict):
            raise ConfigError(f"{path}: damaged, {kind} is not a table; copy the run again")
        names[kind] = str(component.get("name", default))
    return names


def check_version(folder: Path) -> None:
    """Check that a folder holds a run of this version of the layout.

    Raises:
        RunError: if it does not.
    """
    if not (folder / "run.json").is_file():
        raise RunError(f"{folder}: not a run folder (it has no run.json)")
    facts = read_facts(folder / "run.json")
    if not isinstance(version := facts.get("format"), int):
        raise RunError(f"{folder / 'run.json'}: damaged (no format); copy the run again")
    if version > FORMAT:
        raise RunError(
            f"{folder}: created by pyro-align {facts.get('pyro_align', '?')}, whose runs this "
            f"version ({pyro_align.__version__}) cannot read: pip install -U pyro-align"
        )
    if version < FORMAT:
        raise RunError(
            f"{folder}: created by an earlier version of pyro-align, whose weights this one "
            f"({pyro_align.__version__}) cannot read: fit the run again"
        )


def read_facts(path: Path) -> Any:
    """Read a JSON file of a run.

    Raises:
        RunError: if the file is damaged or missing.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error}); copy the run again") from None
    return facts


def write_status(folder: Path, status: str, **facts: Any) -> None:
    """Write the status of a run to ``run.json``, with the version and any further facts."""
    made = {"format": FORMAT, "pyro_align": pyro_align.__version__, "status": status}
    write_facts(folder / "run.json", {**made, **facts})


def write_facts(path: Path, facts: Any) -> None:
    """Write a JSON file of a run, to be read by :func:`read_facts`.

    Raises:
        OutputError: if the file cannot be written.
    """
    with atomic_write(path, "t") as file:
        json.dump(facts, file, indent=2)
