"""Text and a fitted run of the task `sentences`, shared by tests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from runs import WORKPLACE, fitted

from pyro_align.config import Config

NAMES = ["a cat", "the dog", "a small bird", "the old dog"]
VERBS = ["sleeps", "sees a cat", "hears the dog"]
LINES = [f"{name} {verb}" for name in NAMES for verb in VERBS]

SMALL = {
    "seed": 1,
    "network.embedding": 8,
    "network.hidden": 10,
    "network.latent": 3,
    "network.dropout": 0.1,
    "training.epochs": 2,
    "training.batch_tokens": 40,
    "training.learning_rate": 0.02,
    "training.accelerator": "cpu",
}


def write(path: Path, lines: Sequence[str] = LINES) -> Path:
    """A file with one sentence per line."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def config(folder: Path, **changes: Any) -> Config:
    """Configuration of a fit of a second on :data:`LINES`."""
    folder.mkdir(exist_ok=True)
    files = {
        f"data.{part}": [str(write(folder / f"{part}.txt", LINES[first:]))]
        for part, first in (("train", 0), ("valid", 3))
    }
    given = {name.replace("__", "."): value for name, value in changes.items()}
    values = {**SMALL, **files, **given}
    return Config.load(settings=[("task", "sentences"), *values.items()])


@cache
def vae_run() -> Path:
    """The folder of a fitted run that no test changes."""
    return fitted(config(WORKPLACE / "sentences"), WORKPLACE / "sentences-vae").path


@cache
def language_model_run() -> Path:
    """The folder of a fitted language model that no test changes."""
    given = config(WORKPLACE / "sentences", model__name="language-model", training__epochs=1)
    return fitted(given, WORKPLACE / "language-model").path
