"""easy-VQA: questions about pictures of one shape, from the PyPI package ``easy-vqa``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from pyro_align.data.images import ImageFolder
from pyro_align.data.questions import Question, read_questions
from pyro_align.errors import UserError
from pyro_align.files import atomic_write

PARTS: Final = ("train", "valid", "test")

_VALID: Final = 10
"""One in so many training images is for validation."""

_SHAPES: Final = ("circle", "rectangle", "triangle")


def write_easy_vqa(folder: Path, seed: int = 0) -> None:
    """Make a folder with the questions: ``train.jsonl``, ``valid.jsonl`` and ``test.jsonl``.

    The test questions are those of the package. A tenth of its training images, drawn with
    ``seed``, and the questions about them are for validation. The type of a question is
    ``yes/no``, ``shape`` or ``colour``, depending on its answer. The images stay in the package
    (see :func:`easy_vqa_images`).

    Raises:
        UserError: if the package ``easy-vqa`` is not installed.
        FileExistsError: if there is a folder already.
        OutputError: if a file cannot be written.
    """
    package = _package()
    paths = package.get_train_image_paths()
    shuffled = Random(f"easy-VQA {seed}").sample(sorted(paths), len(paths))
    valid = set(shuffled[: len(paths) // _VALID])
    train = [*zip(*package.get_train_questions(), strict=True)]
    parts = {
        "train": (paths, [row for row in train if row[2] not in valid]),
        "valid": (paths, [row for row in train if row[2] in valid]),
        "test": (
            package.get_test_image_paths(),
            [*zip(*package.get_test_questions(), strict=True)],
        ),
    }
    folder.mkdir()
    for part, (images, rows) in parts.items():
        with atomic_write(folder / f"{part}.jsonl", "t") as file:
            file.writelines(_lines(images, rows))


def easy_vqa_images(size: int | None = None) -> ImageFolder:
    """Open the images, which are in the package, 64 by 64 pixels.

    Raises:
        UserError: if the package ``easy-vqa`` is not installed.
    """
    return ImageFolder(_root(_package().get_train_image_paths()), size)


def easy_vqa_questions(folder: Path, part: str) -> list[Question]:
    """``train``, ``valid`` or ``test`` of a folder made by :func:`write_easy_vqa`."""
    return read_questions([folder / f"{part}.jsonl"])


def _lines(paths: dict[int, str], rows: list[tuple[str, str, int]]) -> Iterator[str]:
    root = _root(paths)
    for text, answer, number in rows:
        kind = "yes/no" if answer in ("yes", "no") else "shape" if answer in _SHAPES else "colour"
        # Relative to the package, so that a run can be moved to another machine.
        image = Path(paths[number]).relative_to(root).as_posix()
        row = {"image": image, "question": text, "answer": answer, "type": kind}
        yield json.dumps(row) + "\n"


def _root(paths: dict[int, str]) -> Path:
    """The folder of the package with the folders ``train/images`` and ``test/images``."""
    return Path(next(iter(paths.values()))).parents[2]


def _package() -> Any:
    try:
        import easy_vqa
    except ImportError:
        raise UserError(
            'easy-VQA needs the package easy-vqa: pip install "pyro-align[vqa]"'
        ) from None
    return easy_vqa
