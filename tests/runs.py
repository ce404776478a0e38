"""What tests of whole fits share: a little parallel text, and runs of seconds."""

from __future__ import annotations

import atexit
import gzip
import multiprocessing
import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from pyro_align.config import Config
from pyro_align.data import demo
from pyro_align.runs import Run
from pyro_align.runs.folder import write_status

if multiprocessing.parent_process() is None:
    # Indices of the tests' text go where they are deleted; processes they start find them there.
    WORKPLACE = Path(tempfile.mkdtemp(prefix="pyro-align-"))
    os.environ["PYRO_ALIGN_CACHE"] = str(WORKPLACE / "cache")
    atexit.register(shutil.rmtree, WORKPLACE, ignore_errors=True)

LEXICON = {
    "ein": "a",
    "kein": "no",
    "hund": "dog",
    "katze": "cat",
    "vogel": "bird",
    "sieht": "sees",
    "hört": "hears",
    "ruft": "calls",
    "alt": "old",
    "klein": "small",
}
"""Words of a language pair in which a sentence is translated word by word."""


def sentence_pairs(count: int, seed: int) -> list[tuple[str, str]]:
    """Sentences of 2 to 7 words and their translations."""
    generator = random.Random(seed)
    words = [
        [generator.choice(list(LEXICON)) for _ in range(generator.randint(2, 7))]
        for _ in range(count)
    ]
    return [(" ".join(line), " ".join(LEXICON[word] for word in line)) for line in words]


def write_text(folder: Path, name: str, pairs: Sequence[tuple[str, str]]) -> list[Path]:
    """Two files, ``name.de`` and ``name.en``."""
    paths = [folder / f"{name}.{side}" for side in ("de", "en")]
    for path, lines in zip(paths, zip(*pairs, strict=True), strict=True):
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return paths


def write_corpus(folder: Path, train: int = 60, valid: int = 12) -> dict[str, list[Path]]:
    """Training and validation text, by the name of the option that takes it."""
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "train": write_text(folder, "train", sentence_pairs(train, 1)),
        "valid": write_text(folder, "valid", sentence_pairs(valid, 2)),
    }


def short_demo(folder: Path, train: int = 20, held_out: int = 6) -> dict[str, Path]:
    """The first pairs of each part of the built-in corpus, to set in ``demo.FILES``."""
    files = {}
    for part, file in demo.FILES.items():
        with gzip.open(file, "rt", encoding="utf-8") as whole:
            lines = islice(whole, train if part == "train" else held_out)
            files[part] = folder / f"{part}.tsv"
            files[part].write_text("".join(lines), encoding="utf-8")
    return files


SETTINGS: dict[str, Any] = {
    "vocabulary.size": 30,
    "network.embedding": 8,
    "network.encoder_hidden": 6,
    "network.decoder_hidden": 10,
    "network.tie_embeddings": "none",
    "network.dropout": 0.2,
    "training.epochs": 2,
    "training.batch_tokens": 100,
    "training.learning_rate": 0.02,
    "training.accelerator": "cpu",
}
"""Of a run of a second or two."""


def settings(**changes: Any) -> list[str]:
    """:data:`SETTINGS` and changes (``training__epochs=3``) as ``key=value``."""
    values = {**SETTINGS, **{key.replace("__", "."): value for key, value in changes.items()}}
    return [f"{key}={toml(value)}" for key, value in values.items()]


def toml(value: Any) -> str:
    """A value as TOML: text in quotes, which no test's text holds itself."""
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str | Path):
        return f"'{value}'"
    return str(value).lower() if isinstance(value, bool) else str(value)


def tiny_config(corpus: dict[str, list[Path]], **changes: Any) -> Config:
    """Configuration of a small fit on a corpus of :func:`write_corpus`."""
    paths = {f"data__{name}": files for name, files in corpus.items()}
    return Config.load(settings=settings(**{**paths, **changes}))


def silent(line: str) -> None:
    """Nobody is told."""


def fitted(config: Config, folder: Path) -> Run:
    """A run, made and fitted."""
    run = Run.create(config, folder, echo=silent)
    run.fit(echo=silent)
    return run


@cache
def shared_corpus() -> dict[str, list[Path]]:
    """Text that no test changes."""
    return write_corpus(WORKPLACE / "text", train=20, valid=6)


@cache
def shared_run() -> Path:
    """The folder of a fitted run that no test changes."""
    config = tiny_config(shared_corpus(), network__cell="gru", training__epochs=3)
    return fitted(config, WORKPLACE / "run").path


def copied(folder: Path) -> Path:
    """A copy of :func:`shared_run`, to be changed."""
    return Path(shutil.copytree(shared_run(), folder / "run"))


def unfinished(folder: Path) -> Path:
    """A finished run, as if its process had been killed after the last checkpoint."""
    write_status(folder, "training")
    return folder


def checkpoint(folder: Path) -> Any:
    """What the last checkpoint of a run holds.

    Of the loops only the epoch and the place in the data: their many other counters are not the
    same after a resume, for they count resumes too. Nothing of the time that training took.
    """
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    del saved["seconds"], saved["fit_seconds"], saved["epoch_sums"]  # the last has seconds too
    loop = saved.pop("loops")["fit_loop"]
    epoch = loop["epoch_progress"]["current"]["processed"]
    return {**saved, "loaders": loop["state_dict"], "epochs": epoch}


def assert_same(left: Any, right: Any) -> None:
    """Nested values, tensors among them, are equal to the last bit."""
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, list | tuple):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    elif isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)
    else:
        assert left == right
