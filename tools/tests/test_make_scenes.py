"""The built-in scenes: their files, and the answers and gold regions of the questions."""

from __future__ import annotations

import gzip
import io
import json
import re
from collections import Counter

import make_scenes
import numpy as np
import pytest
from make_scenes import make

from pyro_align.data.demo import scenes


@pytest.fixture(scope="module")
def files():
    return make()


@pytest.fixture(scope="module")
def drawn(files):
    rows = gzip.decompress(files["scenes.scenes.jsonl.gz"]).decode().splitlines()
    names = ("shape", "colour", "size", "box")
    return {
        row["image"]: [dict(zip(names, each, strict=True)) for each in row["objects"]]
        for row in map(json.loads, rows)
    }


@pytest.fixture(scope="module")
def questions(files):
    return {
        part: [
            json.loads(line)
            for line in gzip.decompress(files[f"scenes.{part}.jsonl.gz"]).decode().splitlines()
        ]
        for part in scenes.PARTS
    }


def test_package_files_match_the_generator(files):
    folder = scenes._FOLDER
    assert set(files) == {path.name for path in folder.glob("scenes.*.gz")} | {"scenes.regions.npz"}
    for name, content in files.items():
        shipped = (folder / name).read_bytes()
        if name.endswith(".gz"):  # compressed sizes depend on the version of zlib
            assert gzip.decompress(shipped) == gzip.decompress(content), name
        else:
            made, kept = (np.load(io.BytesIO(each)) for each in (content, shipped))
            for array in made.files:
                np.testing.assert_array_equal(made[array], kept[array])
    assert sum(map(len, files.values())) < 500_000


def test_sizes(questions, drawn):
    assert {part: len(rows) for part, rows in questions.items()} == {
        "train": 10_000,
        "valid": 500,
        "test": 1000,
    }
    assert Counter(map(len, drawn.values())).keys() == set(range(4, 10))
    kinds = Counter(row["type"] for row in questions["train"])
    assert kinds.keys() == {"attribute", "several", "relation", "yes/no", "count"}
    assert min(kinds.values()) > 400
    answers = Counter(row["answer"] for row in questions["train"] if row["type"] == "yes/no")
    assert 0.4 < answers["yes"] / answers.total() < 0.6
    # The answers of validation and test are known.
    known = {row["answer"] for row in questions["train"]}
    assert {row["answer"] for part in questions.values() for row in part} == known


def test_objects_do_not_touch(drawn):
    for things in drawn.values():
        for number, (left, top, right, bottom) in enumerate(thing["box"] for thing in things):
            assert 0 <= left < right <= scenes.WIDTH
            assert 0 <= top < bottom <= scenes.WIDTH
            for other in things[:number]:
                a, b, c, d = other["box"]
                assert left > c or right < a or top > d or bottom < b


NOUN = r"(?:(small|large) )?(?:(red|yellow|green|blue|purple|grey) )?(cube|sphere|cylinder|thing)s?"
REFERRING = re.compile(
    rf"what(?: (\w+))? is the {NOUN}(?: (left of|right of|above|below) the {NOUN})?\?"
)
EXISTENCE = re.compile(rf"is there an? {NOUN}\?")
COUNT = re.compile(rf"how many {NOUN} are there\?")


def those(things, size, colour, shape):
    wanted = {"size": size, "colour": colour, "shape": None if shape == "thing" else shape}
    return [
        number
        for number, thing in enumerate(things)
        if all(value is None or thing[name] == value for name, value in wanted.items())
    ]


def test_questions_are_true(questions, drawn):
    """Answers are worked out again from the words of each question."""
    for row in (row for part in questions.values() for row in part):
        things = drawn[row["image"]]
        if found := EXISTENCE.fullmatch(row["question"]):
            assert row["answer"] == ("yes" if those(things, *found.groups()) else "no")
            assert "region" not in row
        elif found := COUNT.fullmatch(row["question"]):
            assert row["answer"] == str(len(those(things, *found.groups())))
            assert "region" not in row
        else:
            found = REFERRING.fullmatch(row["question"])
            asked, size, colour, shape, relation, *anchor = found.groups()
            numbers = those(things, size, colour, shape)
            assert (relation is not None) == (row["type"] == "relation")
            if relation:
                (place,) = those(things, *anchor)
                numbers = [each for each in numbers if each != place]
                assert len(numbers) > 1  # otherwise the relation is not needed
                numbers = [each for each in numbers if lies(things[each], things[place], relation)]
                assert len(numbers) == 1
            names = ("colour", "shape") if asked is None else (asked,)
            answers = {each: " ".join(things[each][name] for name in names) for each in numbers}
            fitting = [each for each, answer in answers.items() if answer == row["answer"]]
            assert fitting
            assert fitting == row["region"]
            assert (row["type"] == "several") == (len(fitting) < len(numbers))


def lies(one, other, relation):
    axis = 0 if relation in ("left of", "right of") else 1
    one, other = (each["box"][axis] + each["box"][axis + 2] for each in (one, other))
    return one < other if relation in ("left of", "above") else one > other


def test_features_tell_the_attributes(files, drawn):
    """A linear least-squares classifier of the training regions reads them off the test regions."""
    arrays = np.load(io.BytesIO(files["scenes.regions.npz"]))
    features = np.c_[arrays["features"].astype(float), np.ones(len(arrays["features"]))]
    is_train = np.repeat(
        [image.startswith("train") for image in arrays["images"]], np.diff(arrays["offsets"])
    )
    for name, values in make_scenes._VALUES.items():
        true = np.array([values.index(thing[name]) for each in drawn.values() for thing in each])
        weights, *_ = np.linalg.lstsq(
            features[is_train], np.eye(len(values))[true[is_train]], rcond=None
        )
        right = ((features[~is_train] @ weights).argmax(1) == true[~is_train]).mean()
        assert right > 0.97, name
