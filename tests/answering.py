"""What tests of question answering share: small made-up scenes, and a run of seconds.

An image is a few objects, whose features are the colour and the shape, one-hot with noise. Each
question names a shape, and asks for the colour of the one object that has it.
"""

from __future__ import annotations

import json
import random
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import runs  # sets the cache folder

from pyro_align.config import Config
from pyro_align.runs import Run

COLOURS = ("red", "green", "blue")
SHAPES = ("cube", "ball", "cone", "ring")
FEATURES = len(COLOURS) + len(SHAPES)


def scenes(count: int, seed: int) -> list[list[tuple[str, str]]]:
    """Colour and shape of 1 to 4 objects per scene; no shape occurs twice in a scene."""
    generator = random.Random(seed)
    return [
        [(generator.choice(COLOURS), shape) for shape in generator.sample(SHAPES, 1 + number % 4)]
        for number in range(count)
    ]


def write_regions(path: Path, objects: dict[str, list[tuple[str, str]]], seed: int = 0) -> Path:
    """Write the features of the objects of each image, with boxes."""
    generator = np.random.default_rng(seed)
    rows = [each for several in objects.values() for each in several]
    features = 0.05 * generator.standard_normal((len(rows), FEATURES))
    for row, (colour, shape) in enumerate(rows):
        features[row, COLOURS.index(colour)] += 1
        features[row, len(COLOURS) + SHAPES.index(shape)] += 1
    corners = generator.uniform(0, 0.5, (len(rows), 2))
    np.savez(
        path,
        images=np.array([*objects]),
        offsets=np.cumsum([0, *map(len, objects.values())]),
        features=features.astype(np.float32),
        boxes=np.concatenate([corners, corners + 0.3], 1).astype(np.float32),
    )
    return path


def questions(objects: dict[str, list[tuple[str, str]]]) -> list[dict[str, object]]:
    """One question about each object."""
    return [
        {
            "image": image,
            "question": f"What colour is the {shape}?",
            "answer": colour,
            "type": shape,
            "region": region,
        }
        for image, several in objects.items()
        for region, (colour, shape) in enumerate(several)
    ]


def write_questions(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write questions as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def named(count: int, seed: int) -> dict[str, list[tuple[str, str]]]:
    """Scenes by id of the image."""
    return {f"image{seed}-{number}": each for number, each in enumerate(scenes(count, seed))}


def settings(folder: Path, **changes: object) -> list[tuple[str, object]]:
    """Write training, validation and test questions; return the settings of a short fit."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = {part: named(count, seed) for part, count, seed in PARTS}
    files = {
        part: [str(write_questions(folder / f"{part}.jsonl", questions(objects)))]
        for part, objects in parts.items()
    }
    every = {image: each for objects in parts.values() for image, each in objects.items()}
    values: dict[str, object] = {
        "task": "vqa",
        **{f"data.{part}": paths for part, paths in files.items()},
        "data.images": [str(write_regions(folder / "regions.npz", every))],
        **SIZES,
        "training.epochs": 8,
        "training.batch_tokens": 16,
        "training.learning_rate": 0.02,
    }
    return [*{**values, **changes}.items()]


PARTS = (("train", 160, 1), ("valid", 16, 2), ("test", 24, 3))

SIZES = {
    "network.embedding": 8,
    "network.hidden": 16,
    "network.region_size": 16,
    "network.glimpses": 1,
    "network.answer": 8,
    "network.dropout": 0.0,
    "guide.name": "corrected-prior",
    "guide.hidden": 8,
}


@cache
def shared_answering_run() -> Path:
    """A trained run, which tests must not change."""
    folder = Path(tempfile.mkdtemp(dir=runs.WORKPLACE))
    run = Run.create(Config.load(None, settings(folder)), folder / "answers", echo=runs.silent)
    run.fit(echo=runs.silent, quiet=True)
    return run.path
