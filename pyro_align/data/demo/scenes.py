"""Built-in scenes: questions about pictures of simple objects, with a gold region each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyro_align.data.lines import read_lines
from pyro_align.data.questions import Question, read_questions
from pyro_align.files import atomic_write

SHAPES: Final = ("cube", "sphere", "cylinder")
SIZES: Final = ("small", "large")
COLOURS: Final = {
    "red": (214, 57, 51),
    "yellow": (244, 211, 62),
    "green": (63, 155, 72),
    "blue": (52, 101, 201),
    "purple": (139, 77, 181),
    "grey": (140, 144, 150),
}
"""Colours of the objects, as red, green and blue from 0 to 255."""

WIDTH: Final = 100
"""Width and height of a scene."""

PARTS: Final = ("train", "valid", "test")
_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class SceneObject:
    """An object of a scene, which is one region of its image.

    Attributes:
        shape: one of :data:`SHAPES`.
        colour: one of :data:`COLOURS`.
        size: one of :data:`SIZES`.
        box: left, top, right and bottom, from 0 to :data:`WIDTH`.
    """

    shape: str
    colour: str
    size: str
    box: tuple[int, int, int, int]


def write_scenes(folder: Path) -> None:
    """Make a folder with the built-in questions, region features and scenes.

    ``train.jsonl``, ``valid.jsonl`` and ``test.jsonl`` are questions (see
    :func:`~pyro_align.data.read_questions`), ``regions.npz`` the features of the regions of all
    images (see :func:`~pyro_align.data.open_regions`), and ``scenes.jsonl`` what is in the images
    (see :func:`read_scenes`).

    Raises:
        FileExistsError: if there is a folder already.
        OutputError: if a file cannot be written.
    """
    folder.mkdir()
    for name in (*PARTS, "scenes"):
        with atomic_write(folder / f"{name}.jsonl", "t") as file:
            file.writelines(f"{line}\n" for line in read_lines(_FOLDER / f"scenes.{name}.jsonl.gz"))
    with atomic_write(folder / "regions.npz") as file:
        file.write((_FOLDER / "scenes.regions.npz").read_bytes())


def demo_questions(folder: Path, part: str) -> list[Question]:
    """``train``, ``valid`` or ``test`` of a folder made by :func:`write_scenes`."""
    return read_questions([folder / f"{part}.jsonl"])


def read_scenes(path: Path) -> dict[str, tuple[SceneObject, ...]]:
    """Read the objects of each image from ``scenes.jsonl``, in the order of its regions."""
    scenes = {}
    for line in read_lines(path):
        row = json.loads(line)
        scenes[row["image"]] = tuple(
            SceneObject(shape, colour, size, tuple(box))
            for shape, colour, size, box in row["objects"]
        )
    return scenes
