"""The folder of a run: creating it, and reading and checking its files."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyro_align
from pyro_align import data  # imports torch when a name of it is used
from pyro_align.config import Config
from pyro_align.data import ParallelText
from pyro_align.data.demo import demo_text, write_demo
from pyro_align.errors import RunError
from pyro_align.files import atomic_write

if TYPE_CHECKING:
    from pyro_align.data import Vocabulary

FORMAT = 2
"""Version of the folder layout and of weight names; runs of other versions are rejected."""

IDENTITY = "identity.json"
"""File with everything that the weights of a run depend on; see :func:`identity`."""

Echo = Callable[[str], None]


def prepare(config: Config, folder: Path, echo: Echo) -> None:
    """Fill a folder with the files that a fit needs: text, vocabularies and metadata."""
    if config.data.train is None:
        write_demo(folder / "data")
    _write_facts(config, folder)
    source, target = data.make_vocabularies(config.vocabulary, texts(config, folder)["train"])
    echo(f"vocabulary: {len(source)} source and {len(target)} target pieces")
    _write(config, folder, source, target)


def prepare_from(
    config: Config, folder: Path, old: Path, vocabularies: tuple[Vocabulary, Vocabulary]
) -> None:
    """Like :func:`prepare`, with vocabularies and built-in corpus of an existing run."""
    if config.data.train is None:
        shutil.copytree(old / "data", folder / "data")
    _write_facts(config, folder)
    _write(config, folder, *vocabularies)


def _write_facts(config: Config, folder: Path) -> None:
    facts = {
        name: {
            "pairs": text.count(),
            "sha256": text.fingerprint(),
            "files": [path.name for path in text.paths],
        }
        for name, text in texts(config, folder).items()
    }
    write_facts(folder / "data.json", facts)


def _write(config: Config, folder: Path, source: Vocabulary, target: Vocabulary) -> None:
    source.save(folder / "source.model")
    target.save(folder / "target.model")
    config.save(folder / "config.toml")
    write_facts(folder / IDENTITY, identity(config, source, target))
    write_status(folder, "training")


def identity(config: Config, source: Vocabulary, target: Vocabulary) -> dict[str, Any]:
    """Return the values that the weights of a run depend on and that must not change.

    Returns:
        SHA-256 of both vocabularies, and the settings of model, guide and networks by key.
    """
    values = config.model_dump(mode="json", exclude_none=True)
    return {
        "source.model": source.fingerprint(),
        "target.model": target.fingerprint(),
        **{
            f"{table}.{key}": value
            for table in ("model", "guide", "network", "vocabulary")
            for key, value in values[table].items()
        },
    }


def check_identity(
    folder: Path, config: Config, source: Vocabulary, target: Vocabulary
) -> dict[str, str]:
    """Check that vocabularies and settings are those the run was created with.

    Args:
        folder: the run's folder.
        config: its configuration, as it is in the folder now.
        source: its source vocabulary, as it is in the folder now.
        target: its target vocabulary, as it is in the folder now.

    Returns:
        Metadata saved with the weights and checked when they are loaded, which ties them to this
        run.

    Raises:
        RunError: naming the first value that differs.
    """
    path = folder / IDENTITY
    kept, found = read_facts(path), identity(config, source, target)
    for key in sorted(kept.keys() | found.keys()):
        if kept.get(key) == found.get(key):
            continue
        if key.endswith(".model"):
            raise RunError(
                f"{folder / key}: damaged, or the vocabulary of another run: its digest does not "
                f"match {IDENTITY}; copy the run again"
            )
        # A later version may add network settings, which then have their default values.
        if key in kept or not key.startswith("network."):
            raise RunError(
                f"{folder / 'config.toml'}: {key} = {found.get(key)!r}, but the weights of this "
                f"run require {kept.get(key)!r}: restore the old value, or start a new run"
            )
    return {"identity": hashlib.sha256(path.read_bytes()).hexdigest()}


def texts(config: Config, folder: Path) -> dict[str, ParallelText]:
    """Return training and validation text; the built-in corpus is stored in the run's folder."""
    data = config.data
    if data.train is None or data.valid is None:
        demo = folder / "data"
        return {"train": demo_text(demo, "train"), "valid": demo_text(demo, "val")}
    return {"train": ParallelText.open(data.train), "valid": ParallelText.open(data.valid)}


def check_text_unchanged(config: Config, folder: Path, remedy: str) -> None:
    """Check that training and validation text have not changed since the run was created.

    Args:
        config: the run's configuration.
        folder: the run's folder.
        remedy: how to fix it, for the error message.

    Raises:
        RunError: naming the text that has changed.
    """
    facts = read_facts(folder / "data.json")
    for name, text in texts(config, folder).items():
        if text.fingerprint() != facts.get(name, {}).get("sha256"):
            raise RunError(
                f"{' '.join(map(str, text.paths))}: not the {name} text that this run "
                f"was created with; {remedy}"
            )


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
