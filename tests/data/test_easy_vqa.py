import sys
from collections import Counter

import easy_vqa
import numpy as np
import pytest
from PIL import Image

from pyro_align.data import check_images
from pyro_align.data.easy_vqa import easy_vqa_images, easy_vqa_questions, write_easy_vqa
from pyro_align.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("easy") / "data"
    write_easy_vqa(folder)
    return folder


@pytest.fixture(scope="module")
def parts(folder):
    return {part: easy_vqa_questions(folder, part) for part in ("train", "valid", "test")}


def test_sizes(parts):
    # 4,000 and 1,000 images, 38,575 and 9,673 questions, of which 28,407 and 7,136 are yes/no
    assert len(parts["train"]) + len(parts["valid"]) == 38_575
    assert len(parts["test"]) == 9_673
    kinds = {part: Counter(question.kind for question in parts[part]) for part in parts}
    assert kinds["train"]["yes/no"] + kinds["valid"]["yes/no"] == 28_407
    assert kinds["test"]["yes/no"] == 7_136
    assert kinds["test"].keys() == {"yes/no", "shape", "colour"}
    answers = {question.answer for part in parts.values() for question in part}
    assert answers == set(easy_vqa.get_answers())


def test_no_image_is_in_two_parts(parts):
    images = {part: {question.image for question in parts[part]} for part in parts}
    assert {part: len(each) for part, each in images.items()} == {
        "train": 3600,
        "valid": 400,
        "test": 1000,
    }
    assert len(set.union(*images.values())) == 5000


def test_images_are_those_of_the_package(parts):
    folder = easy_vqa_images()
    for part, questions in parts.items():
        check_images(questions[::50], folder)
        paths = (
            easy_vqa.get_test_image_paths() if part == "test" else easy_vqa.get_train_image_paths()
        )
        texts, answers, numbers = (
            easy_vqa.get_test_questions() if part == "test" else easy_vqa.get_train_questions()
        )
        given = {
            (text, answer, paths[number])
            for text, answer, number in zip(texts, answers, numbers, strict=True)
        }
        assert given.issuperset(
            (each.text, each.answer, str(folder.path(each.image))) for each in questions[::50]
        )
    image = parts["test"][0].image
    with Image.open(folder.path(image)) as opened:
        np.testing.assert_array_equal(
            folder[image].permute(1, 2, 0), np.asarray(opened.convert("RGB"))
        )
    assert folder[image].shape == (3, 64, 64)
    assert easy_vqa_images(size=32)[image].shape == (3, 32, 32)


def test_the_seed_decides_the_validation_images(folder, tmp_path):
    for seed, is_same in ((0, True), (1, False)):
        write_easy_vqa(tmp_path / str(seed), seed)
        one, other = ((path / "valid.jsonl").read_text() for path in (folder, tmp_path / str(seed)))
        assert (one == other) == is_same
    assert (folder / "test.jsonl").read_text() == (tmp_path / "1" / "test.jsonl").read_text()


def test_the_package_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "easy_vqa", None)
    for use in (easy_vqa_images, lambda: write_easy_vqa(tmp_path / "data")):
        with pytest.raises(UserError, match=r'pip install "pyro-align\[vqa\]"'):
            use()
    assert not (tmp_path / "data").exists()
