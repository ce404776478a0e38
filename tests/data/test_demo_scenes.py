import numpy as np
import pytest

from pyro_align.data import check_regions, open_regions
from pyro_align.data.demo import scenes
from pyro_align.data.demo.scene_pictures import draw_scene
from pyro_align.data.demo.scenes import COLOURS, SHAPES, SIZES, SceneObject


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "data"
    scenes.write_scenes(folder)
    return folder


def test_questions_regions_and_scenes_go_together(folder):
    store, drawn = (
        open_regions([folder / "regions.npz"]),
        scenes.read_scenes(folder / "scenes.jsonl"),
    )
    assert list(store) == list(drawn)
    seen = set()
    for part in scenes.PARTS:
        questions = scenes.demo_questions(folder, part)
        check_regions(questions, store)
        images = {question.image for question in questions}
        assert not images & seen
        seen |= images
    assert seen == set(drawn)
    for image, things in drawn.items():
        regions = store[image]
        np.testing.assert_array_equal(regions.boxes, [thing.box for thing in things])
        assert (regions.width, regions.height) == (scenes.WIDTH, scenes.WIDTH)


def test_a_folder_is_not_overwritten(folder):
    with pytest.raises(FileExistsError):
        scenes.write_scenes(folder)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("colour", COLOURS)
def test_an_object_is_drawn_in_its_box_and_colour(shape, colour):
    box = (20, 30, 44, 52)
    picture = np.asarray(draw_scene([SceneObject(shape, colour, "large", box)], 200)).astype(int)
    background = picture[0, 0]
    differs = np.abs(picture - background).max(-1) > 24
    rows, columns = np.nonzero(differs)
    found = columns.min() / 2, rows.min() / 2, (columns.max() + 1) / 2, (rows.max() + 1) / 2
    np.testing.assert_allclose(found, box, atol=1)
    # More of its pixels are nearest to its own colour than to any other.
    distances = np.stack([np.abs(picture[differs] - rgb).sum(-1) for rgb in COLOURS.values()])
    nearest = np.bincount(distances.argmin(0), minlength=len(COLOURS)).argmax()
    assert list(COLOURS)[nearest] == colour


def test_shapes_are_drawn_differently():
    pictures = {
        draw_scene([SceneObject(shape, "red", "large", (20, 20, 44, 44))]).tobytes()
        for shape in SHAPES
    }
    assert len(pictures) == len(SHAPES)
    assert SIZES == ("small", "large")
