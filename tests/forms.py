"""What tests of word forms share: words of a made-up language, and a run of seconds."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import runs  # sets the cache folder

from pyro_align.config import Config
from pyro_align.runs import Run

LETTERS = "abde"

COLUMNS = "source,target,features"


def inflect(word: str, feature: str) -> str:
    """Each letter is spoken as it is written, ``e`` not at all; plurals end in ``z``."""
    return " ".join(word.replace("e", "").upper() + "Z" * (feature == "PL"))


def words(count: int, seed: int) -> list[tuple[str, str, str]]:
    """Lines of source, target and features."""
    generator = random.Random(seed)
    found = []
    for _ in range(count):
        letters = generator.choices(LETTERS, k=generator.randint(2, 4))
        word = generator.choice("abd") + "".join(letters)
        feature = generator.choice(("SG", "PL"))
        found.append((word, inflect(word, feature), f"N;{feature}"))
    return found


def write(path: Path, lines: Sequence[Sequence[str]], end: str = "\n") -> Path:
    """Write a TSV file."""
    path.write_bytes("".join("\t".join(line) + end for line in lines).encode())
    return path


def settings(folder: Path, **changes: object) -> list[tuple[str, object]]:
    """Write training and validation words; return the settings of a short fit on them."""
    folder.mkdir(parents=True, exist_ok=True)
    values: dict[str, object] = {
        "task": "transduction",
        "data.train": [str(write(folder / "train.tsv", words(300, 1)))],
        "data.valid": [str(write(folder / "valid.tsv", words(40, 2)))],
        "data.columns": COLUMNS,
        "network.cell": "gru",
        "network.embedding": 16,
        "network.encoder_hidden": 16,
        "network.decoder_hidden": 16,
        "network.dropout": 0.0,
        "training.epochs": 9,
        "training.batch_tokens": 110,
        "training.learning_rate": 2e-2,
    }
    return [*{**values, **changes}.items()]


@cache
def shared_forms_run() -> Path:
    """A trained run, which tests must not change."""
    folder = Path(tempfile.mkdtemp(dir=runs.WORKPLACE))
    config = Config.load(None, settings(folder))
    run = Run.create(config, folder / "forms", echo=lambda line: None)
    run.fit(echo=lambda line: None, quiet=True)
    return run.path
