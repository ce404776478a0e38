import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from pyro_align.data import ImageFolder, Question, check_images
from pyro_align.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "images"
    (root / "sub").mkdir(parents=True)
    Image.fromarray(PIXELS).save(root / "a.png")
    Image.fromarray(PIXELS[:, :, 0]).save(root / "sub" / "grey.png")
    return root


def test_pixels(folder):
    images = ImageFolder(folder)
    for name in ("a.png", "a", str(folder / "a.png")):
        assert name in images
        pixels = images[name]
        assert pixels.dtype == torch.uint8
        np.testing.assert_array_equal(pixels.permute(1, 2, 0), PIXELS)
    assert pickle.loads(pickle.dumps(images))["a"].shape == (3, 5, 7)


def test_every_kind_of_picture_becomes_rgb(folder):
    images = ImageFolder(folder)
    np.testing.assert_array_equal(images["sub/grey"], np.stack([PIXELS[:, :, 0]] * 3))
    see_through = np.concatenate([PIXELS, np.full((5, 7, 1), 0, np.uint8)], -1)
    see_through[0, 0, 3] = 255
    Image.fromarray(see_through).save(folder / "alpha.png")
    pixels = images["alpha"].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(pixels[0, 0], PIXELS[0, 0])
    assert (pixels.reshape(-1, 3)[1:] == 255).all()
    Image.fromarray(PIXELS).quantize(256).save(folder / "palette.png")
    assert images["palette"].shape == (3, 5, 7)


def test_resizing(folder):
    Image.new("RGB", (30, 20), (10, 200, 30)).save(folder / "plain.png")
    pixels = ImageFolder(folder, size=8)["plain"]
    assert pixels.shape == (3, 8, 8)
    assert (pixels == torch.tensor([10, 200, 30]).view(3, 1, 1)).all()


def test_numeric_ids_of_vqa(folder):
    Image.fromarray(PIXELS).save(folder / "COCO_val2014_000000000042.jpg")
    Image.fromarray(PIXELS).save(folder / "0007.png")
    images = ImageFolder(folder)
    assert images.path("42").name == "COCO_val2014_000000000042.jpg"
    assert images.path("7").name == "0007.png"
    assert "4" not in images
    assert "grey" not in images


def test_questions_without_an_image(folder):
    images = ImageFolder(folder)
    questions = [Question("a", "?", place="q.tsv:2"), Question("b", "?", place="q.tsv:3")]
    check_images(questions[:1], images)
    with pytest.raises(DataError, match=rf"q.tsv:3: there is no image b in {folder}"):
        check_images(questions, images)
    with pytest.raises(DataError, match=rf"{folder}: there is no image b"):
        images["b"]
    with pytest.raises(DataError, match="nowhere: no such folder"):
        ImageFolder(folder / "nowhere")


def test_files_outside_the_folder_are_not_opened(folder):
    Image.fromarray(PIXELS).save(folder.parent / "out.png")
    images = ImageFolder(folder / "sub")
    for name in ("../a.png", "../a", "../../out", str(folder.parent / "out.png")):
        assert name not in images
    assert "../sub/grey" in images
    with pytest.raises(DataError, match=r"out.png: this is a file: give the folder"):
        ImageFolder(folder.parent / "out.png")


def _truncate(path):
    Image.fromarray(np.tile(PIXELS, (9, 9, 1))).save(path)
    path.write_bytes(path.read_bytes()[:120])


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("no picture"),
        _truncate,
        lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 50),
        lambda path: Image.new("1", (20_000, 9_000)).save(path),  # too many pixels
    ],
)
def test_images_that_cannot_be_decoded(damage, folder):
    damage(folder / "bad.png")
    images = ImageFolder(folder)
    assert "bad" in images
    with pytest.raises(DataError, match=r"bad.png: image bad cannot be decoded"):
        images["bad"]


def test_the_content_decides_the_fingerprint(folder):
    images = ImageFolder(folder)
    first = images.fingerprint(["a", "sub/grey", "a"])
    Image.fromarray(PIXELS).save(folder / "unused.png")
    assert images.fingerprint(["sub/grey", "a"]) == first
    assert images.fingerprint(["a"]) != first
    Image.fromarray(255 - PIXELS).save(folder / "a.png")
    assert images.fingerprint(["a", "sub/grey"]) != first
    with pytest.raises(DataError, match="no image b"):
        images.fingerprint(["b"])
