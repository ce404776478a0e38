"""Train runs of both directions on the text that is to be aligned."""

from __future__ import annotations

import shutil
from array import array
from pathlib import Path

from pyro_align.config import Config
from pyro_align.data import split_words
from pyro_align.errors import DataError, RunError
from pyro_align.files import atomic_write
from pyro_align.runs.run import Run
from pyro_align.tasks.task import Echo
from pyro_align.word_alignment import PairText, Side

VALIDATION = 500
"""Maximum number of validation pairs. They are part of the training text: an aligner that is
trained on the text it aligns has no unseen sentences."""

_SIDES: dict[str, Side] = {".src": "source", ".tgt": "target"}

DIRECTIONS = (("forward", ("src", "tgt")), ("reverse", ("tgt", "src")))
"""Names of the runs, with the file extensions of the text they read and predict."""


def fit_directions(
    text: PairText,
    config: Config,
    folder: Path,
    *,
    directions: int = 2,
    echo: Echo = print,
    quiet: bool = False,
) -> list[Run]:
    """Fit one run per direction to the text; the folder then holds the text and the runs.

    Pairs with an empty side are skipped.

    Args:
        text: the sentence pairs; read several times, so it cannot be a stream.
        config: configuration of the fits; its data files are replaced.
        folder: folder to create.
        directions: 2, or 1 for source to target only.
        echo: called with one-line messages.
        quiet: disable the progress bar and the line per epoch.

    Raises:
        RunError: if the folder exists.
        UserError: for an invalid configuration or text; the folder is then deleted.
    """
    if folder.exists():
        raise RunError(f"{folder} exists: choose another --save")
    runs = {}
    try:
        data = folder / "text"
        data.mkdir(parents=True)
        lines = _write(text, data)
        # Create, and so check, all runs before the first is fitted.
        for name, sides in DIRECTIONS[:directions]:
            files = {
                f"data.{part}": [str(data / f"{part}.{side}") for side in sides]
                for part in ("train", "valid")
            }
            echo(f"{name}: {sides[0]} to {sides[1]}")
            try:
                runs[name] = Run.create(config.changed(files), folder / name, echo=echo)
            except DataError as error:
                raise _in_original(error, text, lines) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    for name, run in runs.items():
        echo(f"fitting {name}")
        run.fit(echo=echo, quiet=quiet)
    return list(runs.values())


def _write(text: PairText, folder: Path) -> dict[str, array[int]]:
    """Write training pairs, and an evenly spaced subset of them for validation, to files.

    Returns:
        For each file name without extension, the line in ``text`` of each of its lines.
    """
    number = sum(not pair.is_empty for pair in text)
    if not number:
        raise DataError("no sentence pair has words on both sides", text.path)
    every = -(-number // VALIDATION)
    lines = {"train": array("l"), "valid": array("l")}
    with (
        atomic_write(folder / "train.src", "t") as train_source,
        atomic_write(folder / "train.tgt", "t") as train_target,
        atomic_write(folder / "valid.src", "t") as valid_source,
        atomic_write(folder / "valid.tgt", "t") as valid_target,
    ):
        for index, pair in enumerate(pair for pair in text if not pair.is_empty):
            source, target = (" ".join(split_words(side)) for side in (pair.source, pair.target))
            print(source, file=train_source)
            print(target, file=train_target)
            lines["train"].append(pair.line)
            if index % every == 0:
                print(source, file=valid_source)
                print(target, file=valid_target)
                lines["valid"].append(pair.line)
    return lines


def _in_original(error: DataError, text: PairText, lines: dict[str, array[int]]) -> DataError:
    """Convert an error in the files of :func:`_write` to file and line of the original text."""
    file = Path(error.path or "")
    if file.stem not in lines:
        return error
    line = None if error.line is None else lines[file.stem][error.line - 1]
    return DataError(error.message, text.path_of(_SIDES[file.suffix]), line)
