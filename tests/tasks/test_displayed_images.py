"""What is displayed of the images of a run: scenes, pixels, boxes with and without pictures."""

import numpy as np
import pytest
from answering import shared_answering_run
from PIL import Image

import pyro_align
from pyro_align.data import ImageFolder, open_regions
from pyro_align.data.demo.scenes import COLOURS, write_scenes
from pyro_align.errors import DataError, UserError
from pyro_align.inference import score_positions
from pyro_align.tasks.displayed_images import DisplayedImages


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_answering_run())


def overlap(box, other):
    """Whether two boxes overlap, so that one object may hide another."""
    low, high = np.maximum(box[:2], other[:2]), np.minimum(box[2:], other[2:])
    return bool((low < high).all())


def test_scenes_are_drawn_and_their_regions_have_names(tmp_path):
    folder = tmp_path / "data"
    write_scenes(folder)
    store = open_regions([folder / "regions.npz"])
    displayed = DisplayedImages(store, 1, scenes=folder / "scenes.jsonl")
    for image in ("test-0", "test-7"):
        found = displayed[image]
        assert found is displayed[image]
        assert found.boxes == pytest.approx(store[image].relative_boxes)
        pixels = found.picture.pixels()
        height, width = pixels.shape[:2]
        free = [
            (name, box)
            for name, box in zip(found.names, found.boxes, strict=True)
            if sum(overlap(box, other) for other in found.boxes) == 1  # with itself
        ]
        assert len(free) > 1
        for name, box in free:
            _, colour, shape = name.split()
            assert shape in ("cube", "sphere", "cylinder")
            # The nearest of the colours in shade and in light, at the lower middle of the object.
            x, y = box[0] + 0.4 * (box[2] - box[0]), box[1] + 0.6 * (box[3] - box[1])
            pixel = 255 * pixels[int(y * height), int(x * width)]
            shades = {
                each: min(
                    np.abs(np.array(rgb) + share * (end - np.array(rgb)) - pixel).sum()
                    for end in (0, 255)
                    for share in (0.0, 0.1, 0.2)
                )
                for each, rgb in COLOURS.items()
            }
            assert min(shades, key=shades.get) == colour, (image, name)


def test_pixels_are_a_grid_over_their_own_picture(tmp_path):
    Image.new("RGB", (60, 30), "red").save(tmp_path / "a.png")
    found = DisplayedImages(ImageFolder(tmp_path, 16), 4)["a"]
    assert len(found) == 4
    assert found.names[2] == "row 2, column 1"
    assert found.boxes[2].tolist() == [0, 0.5, 0.5, 1]
    assert (found.width, found.height) == (60, 30)
    assert found.picture.pixels().shape == (30, 60, 3)
    with pytest.raises(DataError, match="there is no image b"):
        DisplayedImages(ImageFolder(tmp_path, 16), 4)["b"]


def test_regions_are_boxes_without_a_picture(run, tmp_path):
    first, second = run.task.questions("test")[0].image, run.task.questions("test")[-1].image
    Image.new("RGB", (60, 30), "red").save(tmp_path / f"{first}.png")
    store = run.task.data.images("test")
    plain, pictured = run.task.displayed(), run.task.displayed(pictures=tmp_path)
    for displayed, image, has_picture in (
        (plain, first, False),
        (pictured, first, True),
        (pictured, second, False),
    ):
        assert displayed[image].boxes == pytest.approx(store[image].relative_boxes)
        assert (displayed[image].picture is not None) == has_picture
        assert displayed[image].names[0] == "region 0"
    with pytest.raises(UserError, match="no such folder"):
        run.task.displayed(pictures=tmp_path / "nowhere")


def test_the_posterior_of_a_run_is_exact(run):
    """In another order than the batches: each question has its own regions."""
    asked = run.task.test_pairs()[::-1]
    found = run.posterior(asked, title="mine")
    assert found.title == "mine"
    answers = run.task.vocabularies[1].answers
    for index in (0, 7, len(asked) - 1):
        one, question = found[index], asked[index]
        assert one.question == question
        batch = run.task.encoded([question], run.task.data.images("test")).batch([0])
        scores = score_positions(run.model, run.guide, batch)
        joint = (scores.log_prior + scores.log_emission)[0, 0].exp().numpy()
        assert one.observed == question.answer
        assert one.regions("posterior") == pytest.approx(joint / joint.sum(), abs=1e-5)
        assert one.regions("guide") == pytest.approx(scores.log_guide[0, 0].exp(), abs=1e-5)
        by_answer = dict(zip(one.answers, one.probabilities, strict=True))
        assert by_answer[question.answer] == pytest.approx(joint.sum(), abs=1e-5)
        assert set(one.answers) <= set(answers)
    assert "data-pyro-align" in found._repr_html_()
