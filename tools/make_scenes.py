"""Make the built-in scenes and the questions about them, from a seed.

    python tools/make_scenes.py

A scene has 4 to 9 objects. The features of an object are integers: a code of each attribute, a code
of its shape and colour together, and noise. Arithmetic is exact, so the files are the same on every
machine. Each part has its own scenes.

Most questions refer to one object by its attributes or by its place. As people do, others refer to
one of several objects that fit equally well: "what colour is the cube?" where a cube is red and
another one blue. Their answer is that of an object drawn at random, so that its distribution given
the question is a mixture over regions, and only the answer tells which region is meant.
"""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import numpy as np

from pyro_align.data.demo.scenes import COLOURS, PARTS, SHAPES, SIZES, WIDTH, SceneObject

SEED: Final = 1
IMAGES: Final = {"train": 1000, "valid": 50, "test": 100}
QUESTIONS: Final = 10
"""Number of questions about an image."""
FEATURES: Final = 24
"""Number of features of a region."""
NOISE: Final = 14
"""Largest absolute value of each of the four uniform integers that make up the noise."""
SCALE: Final = 64
"""Features are divided by this."""

_EXTENTS: Final = {"small": 13, "large": 22}
_GAP: Final = 2
"""Smallest distance between two objects."""
_CLEAR: Final = 8
"""Smallest difference between the centres of two objects of which one is left of or above the
other."""
_VALUES: Final = {"size": SIZES, "colour": tuple(COLOURS), "shape": SHAPES}
_RELATIONS: Final = {"left of": (0, -1), "right of": (0, 1), "above": (1, -1), "below": (1, 1)}
"""Coordinate and direction in which an object differs from another one."""

Description = dict[str, str]
"""Attributes by which objects are referred to; in the order of words: size, colour, shape."""


@dataclass(frozen=True)
class MadeQuestion:
    """A question about a scene; ``regions`` are the objects that the answer can be read off."""

    text: str
    answer: str
    kind: str
    regions: tuple[int, ...] = ()


def make_scene(random: Random) -> tuple[SceneObject, ...]:
    """Draw objects at places that do not touch."""
    objects: list[SceneObject] = []
    count = random.choice(range(4, 10))
    while len(objects) < count:
        drawn = {name: random.choice(values) for name, values in _VALUES.items()}
        extent = _EXTENTS[drawn["size"]]
        width, height = (extent + random.choice((-1, 0, 1)) for _ in range(2))
        left, top = random.choice(range(WIDTH - width)), random.choice(range(WIDTH - height))
        box = (left, top, left + width, top + height)
        if not any(_touch(box, other.box) for other in objects):
            objects.append(SceneObject(**drawn, box=box))
    return tuple(objects)


def _touch(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    return all(
        one[axis] < other[axis + 2] + _GAP and other[axis] < one[axis + 2] + _GAP for axis in (0, 1)
    )


def matches(scene: tuple[SceneObject, ...], description: Description) -> list[int]:
    """Numbers of the objects with all attributes of a description."""
    return [
        number
        for number, each in enumerate(scene)
        if all(getattr(each, name) == value for name, value in description.items())
    ]


def noun(description: Description, plural: bool = False) -> str:
    """Words for a description, such as ``small red cube`` or ``large things``."""
    words = [description[name] for name in ("size", "colour") if name in description]
    return " ".join([*words, description.get("shape", "thing") + "s" * plural])


def _describe(random: Random, thing: SceneObject, names: list[str], most: int = 3) -> Description:
    """Draw a description, by some of the named attributes, that an object matches."""
    chosen = random.sample(names, random.choice(range(1, min(most, len(names)) + 1)))
    return {name: getattr(thing, name) for name in _VALUES if name in chosen}


def _asked(random: Random) -> tuple[tuple[str, ...], str, list[str]]:
    """Draw attributes to ask for; return them, a question, and the attributes to refer by.

    Objects are referred to by their size, but it is not asked for: half of them have it.
    """
    asked = random.choice((("colour", "shape"), ("colour",), ("shape",)))
    what = "what" if len(asked) > 1 else f"what {asked[0]}"
    return asked, what, [name for name in _VALUES if name not in asked]


def _answer(thing: SceneObject, asked: tuple[str, ...]) -> str:
    return " ".join(getattr(thing, name) for name in asked)


def by_attributes(random: Random, scene: tuple[SceneObject, ...]) -> MadeQuestion:
    """Ask for attributes of an object with others, which others may have as well."""
    asked, what, names = _asked(random)
    thing = random.choice(scene)
    description = _describe(random, thing, names)
    answer, found = _answer(thing, asked), matches(scene, description)
    regions = tuple(each for each in found if _answer(scene[each], asked) == answer)
    kind = "attribute" if len(regions) == len(found) else "several"
    return MadeQuestion(f"{what} is the {noun(description)}?", answer, kind, regions)


def by_relation(random: Random, scene: tuple[SceneObject, ...]) -> MadeQuestion | None:
    """Ask for attributes of the one of several similar objects that is left of another one.

    The similar objects differ in the attributes.
    """
    asked, what, names = _asked(random)
    number, anchor = random.sample(range(len(scene)), 2)
    description = _describe(random, scene[number], names, most=1)
    whose = _describe(random, scene[anchor], list(_VALUES))
    relation = random.choice(tuple(_RELATIONS))
    places = [_place(scene[anchor], other, relation) for other in scene]
    others = [each for each in matches(scene, description) if each not in (anchor, number)]
    answer = _answer(scene[number], asked)
    if (
        matches(scene, whose) != [anchor]
        or places[number] < _CLEAR
        or not others
        or any(places[other] > -_CLEAR for other in others)
        or any(_answer(scene[other], asked) == answer for other in others)
    ):
        return None
    text = f"{what} is the {noun(description)} {relation} the {noun(whose)}?"
    return MadeQuestion(text, answer, "relation", (number,))


def _place(anchor: SceneObject, other: SceneObject, relation: str) -> float:
    """How far an object is in the direction of a relation from another one."""
    axis, sign = _RELATIONS[relation]
    one, two = ((each.box[axis] + each.box[axis + 2]) / 2 for each in (anchor, other))
    return sign * (two - one)


def existence(random: Random, scene: tuple[SceneObject, ...]) -> MadeQuestion | None:
    """Ask whether there is an object; if not, there is one that differs in one attribute."""
    description = _describe(random, random.choice(scene), list(_VALUES))
    if len(description) == 1:
        return None
    answer = random.choice(("yes", "no"))
    if answer == "no":
        changed = [description | {name: value} for name in description for value in _VALUES[name]]
        absent = [each for each in changed if not matches(scene, each)]
        if not absent:
            return None
        description = random.choice(absent)
    words = noun(description)
    article = "an" if words[0] in "aeiou" else "a"
    return MadeQuestion(f"is there {article} {words}?", answer, "yes/no")


def number_of(random: Random, scene: tuple[SceneObject, ...]) -> MadeQuestion | None:
    """Ask how many objects have one or two attributes."""
    thing = SceneObject(
        **{name: random.choice(values) for name, values in _VALUES.items()}, box=(0,) * 4
    )
    description = _describe(random, thing, list(_VALUES), most=2)
    text = f"how many {noun(description, plural=True)} are there?"
    return MadeQuestion(text, str(len(matches(scene, description))), "count")


_KINDS: Final = [*[by_attributes] * 10, *[by_relation] * 7, *[existence] * 2, number_of]


def make_questions(random: Random, scene: tuple[SceneObject, ...]) -> list[MadeQuestion] | None:
    """Draw different questions about a scene; None if it has too few."""
    questions: dict[str, MadeQuestion] = {}
    for _ in range(QUESTIONS):
        kind = random.choice(_KINDS)
        drawn = (kind(random, scene) for _ in range(300))
        new = next((each for each in drawn if each and each.text not in questions), None)
        if new is None:
            return None
        questions[new.text] = new
    return list(questions.values())


def make_part(part: str) -> Iterator[tuple[str, tuple[SceneObject, ...], list[MadeQuestion]]]:
    """Name, objects and questions of each image of a part."""
    # Strings are hashed by SHA-512 into the seed, and Random.choice is the same everywhere.
    random = Random(f"scenes {SEED} {part}")
    made = 0
    while made < IMAGES[part]:
        scene = make_scene(random)
        if questions := make_questions(random, scene):
            yield f"{part}-{made}", scene, questions
            made += 1


def make_features(scenes: list[tuple[SceneObject, ...]]) -> np.ndarray:
    """Features of all objects of all scenes, float16."""
    random = Random(f"features {SEED}")

    def uniform(rows: int, largest: int) -> np.ndarray:
        drawn = np.frombuffer(random.randbytes(4 * rows * FEATURES), "<u4")
        return (drawn % (2 * largest + 1)).astype(np.int64).reshape(rows, FEATURES) - largest

    codes = {name: uniform(len(values), 64) for name, values in _VALUES.items()}
    joint = uniform(len(SHAPES) * len(COLOURS), 32)
    things = [thing for scene in scenes for thing in scene]
    numbers = {
        name: np.array([values.index(getattr(thing, name)) for thing in things])
        for name, values in _VALUES.items()
    }
    features = joint[numbers["shape"] * len(COLOURS) + numbers["colour"]]
    features = features + sum(codes[name][numbers[name]] for name in _VALUES)
    features = features + sum(uniform(len(things), NOISE) for _ in range(4))
    # A multiple of 1/64 below 16 in absolute value is exact in half precision.
    return (features / SCALE).astype(np.float16)


def make() -> dict[str, bytes]:
    """Content of each file of the built-in scenes, by its name."""
    files: dict[str, str] = dict.fromkeys((*PARTS, "scenes"), "")
    scenes: dict[str, tuple[SceneObject, ...]] = {}
    for part in PARTS:
        for image, scene, questions in make_part(part):
            scenes[image] = scene
            for question in questions:
                row = {"image": image, "question": question.text, "answer": question.answer}
                row |= {"type": question.kind}
                row |= {"region": question.regions} if question.regions else {}
                files[part] += json.dumps(row) + "\n"
            objects = [(each.shape, each.colour, each.size, each.box) for each in scene]
            files["scenes"] += json.dumps({"image": image, "objects": objects}) + "\n"
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        images=np.array(list(scenes)),
        offsets=np.cumsum([0, *map(len, scenes.values())]),
        features=make_features(list(scenes.values())),
        boxes=np.array([thing.box for scene in scenes.values() for thing in scene], np.uint8),
        sizes=np.full((len(scenes), 2), WIDTH, np.uint8),
    )
    texts = {f"scenes.{name}.jsonl.gz": text for name, text in files.items()}
    return {
        **{name: gzip.compress(text.encode(), mtime=0) for name, text in texts.items()},
        "scenes.regions.npz": stream.getvalue(),
    }


if __name__ == "__main__":
    folder = Path(__file__).parents[1] / "pyro_align" / "data" / "demo"
    for name, content in make().items():
        (folder / name).write_bytes(content)
        print(f"{name}: {len(content) / 1000:.0f} kB")
