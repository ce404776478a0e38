import json
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import h5py
import numpy as np
import pytest
from region_files import WRITERS, random_regions, tsv_line, write_hdf5, write_npz, write_tsv

from pyro_align.data import Question, check_regions, open_regions
from pyro_align.errors import DataError, UserError

REGIONS = random_regions()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("PYRO_ALIGN_CACHE", str(folder))
    return folder


@pytest.fixture(params=WRITERS)
def path(request, tmp_path):
    return WRITERS[request.param](tmp_path / f"r{request.param}", REGIONS)


def test_every_format_returns_what_was_written(path):
    store = open_regions([path])
    assert (list(store), len(store), store.feature_size, store.has_boxes) == (
        ["10", "11", "12"],
        3,
        4,
        True,
    )
    assert store.paths == (path,)
    for image, (features, boxes) in REGIONS.items():
        assert image in store
        assert store.count(image) == len(store[image]) == len(features)
        np.testing.assert_array_equal(store[image].features, features)
        np.testing.assert_allclose(store[image].relative_boxes, boxes, atol=1e-6)
        assert store[image].features.dtype == store[image].boxes.dtype == np.float32


def test_an_image_that_is_missing(path):
    store = open_regions([path])
    assert "9" not in store
    for read in (store.count, store.__getitem__):
        with pytest.raises(DataError, match=rf"{path.name}: there are no features of image 9"):
            read("9")


def _features(store, image):
    return store[image].features


def test_stores_are_used_by_threads_and_processes(path):
    store = open_regions([path])
    images = ["12", "10", "11"] * 5
    expected = [REGIONS[image][0] for image in images]
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_equal(
            list(pool.map(lambda image: store[image].features, images)), expected
        )
    copy = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(copy["11"].features, REGIONS["11"][0])
    # The parent has the file open here.
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        np.testing.assert_equal(list(pool.map(_features, [store] * 15, images)), expected)


def test_the_content_decides_the_fingerprint(tmp_path):
    def fingerprint(ending, regions):
        return open_regions([WRITERS[ending](tmp_path / f"f{ending}", regions)]).fingerprint()

    exact = {image: (features, np.round(boxes, 0)) for image, (features, boxes) in REGIONS.items()}
    of_formats = {fingerprint(ending, exact) for ending in WRITERS}
    assert len(of_formats) == 1
    changed = exact | {"11": (exact["11"][0] + 1, exact["11"][1])}
    renamed = {image + "x": each for image, each in exact.items()}
    for other in (changed, renamed, random_regions((2, 3, 2))):
        assert fingerprint(".npz", other) not in of_formats


def test_several_files_of_several_formats(tmp_path):
    other = {"b": REGIONS["10"]}
    paths = [write_npz(tmp_path / "b.npz", other), write_hdf5(tmp_path / "a.h5", REGIONS)]
    store = open_regions(paths)
    assert (list(store), len(store), store.paths) == (["b", "10", "11", "12"], 4, tuple(paths))
    np.testing.assert_array_equal(store["b"].features, store["10"].features)
    assert store.count("11") == 3
    with pytest.raises(DataError, match=r"b.npz, .*a.h5: there are no features of image 9"):
        store["9"]


def test_files_that_do_not_go_together(tmp_path):
    one = write_npz(tmp_path / "a.npz", REGIONS)
    with pytest.raises(DataError, match=r"b.npz: image 10 is in .*a.npz too"):
        open_regions([one, write_npz(tmp_path / "b.npz", REGIONS)])
    wider = {"x": random_regions((1,), size=5)["10"]}
    with pytest.raises(DataError, match=r"c.npz: regions have 5 features, but 4 in .*a.npz"):
        open_regions([one, write_npz(tmp_path / "c.npz", wider)])
    bare = write_npz(tmp_path / "d.npz", {"x": REGIONS["10"]}, boxes=None)
    for paths in ([one, bare], [bare, one]):
        with pytest.raises(DataError, match=r"d.npz: regions have no boxes, but those in .*a.npz"):
            open_regions(paths)
    with pytest.raises(DataError, match="no files"):
        open_regions([])
    with pytest.raises(DataError, match=r"x.npz: no such file"):
        open_regions([tmp_path / "x.npz"])
    with pytest.raises(UserError, match="paths"):
        open_regions("a.npz")
    (tmp_path / "a.tsv.gz").touch()
    with pytest.raises(DataError, match=r"a.tsv.gz: region features are"):
        open_regions([tmp_path / "a.tsv.gz"])


@pytest.mark.parametrize("ending", WRITERS)
def test_a_file_that_ends_early(ending, tmp_path):
    path = WRITERS[ending](tmp_path / f"r{ending}", REGIONS)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=rf"r{ending}:.*ends? early"):
        open_regions([path])
    path.write_bytes(b"")
    with pytest.raises(DataError, match=rf"r{ending}: "):
        open_regions([path])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("ending", WRITERS)
def test_features_that_are_not_finite(ending, value, tmp_path):
    features, boxes = REGIONS["11"]
    features = features.copy()
    features[2, 1] = value
    path = WRITERS[ending](tmp_path / f"r{ending}", REGIONS | {"11": (features, boxes)})
    store = open_regions([path])
    store["10"]
    with pytest.raises(DataError, match=rf"r{ending}: image 11 has a .* not finite, in region 2"):
        store["11"]


@pytest.mark.parametrize(
    "box", [[0, 0, 1.1, 1], [-0.1, 0, 1, 1], [0.5, 0, 0.4, 1], [0, 0, 1, np.nan]]
)
@pytest.mark.parametrize("ending", WRITERS)
def test_boxes_outside_the_image(ending, box, tmp_path):
    features, boxes = REGIONS["11"]
    boxes = np.stack([boxes[0], np.array(box, np.float32), boxes[2]])
    path = WRITERS[ending](tmp_path / f"r{ending}", REGIONS | {"11": (features, boxes)})
    store = open_regions([path])
    store["12"]
    with pytest.raises(DataError, match=rf"r{ending}: image 11 has a box outside it, in region 1"):
        store["11"]


def test_boxes_rounded_beyond_the_edge_are_accepted(tmp_path):
    features, boxes = REGIONS["12"]
    boxes = np.array([[-0.0005, 0, 1.0005, 1]], np.float32)
    store = open_regions([write_npz(tmp_path / "r.npz", {"a": (features, boxes)})])
    np.testing.assert_array_equal(store["a"].relative_boxes, [[0, 0, 1, 1]])


def test_questions_without_an_image(path):
    store = open_regions([path])
    question = Question("11", "?", ("x",), regions=frozenset({0, 2}), place="q.tsv:2")
    check_regions([question], store)
    with pytest.raises(
        DataError, match=rf"q.tsv:3: there are no features of image 13 in .*{path.name}"
    ):
        check_regions([question, Question("13", "?", place="q.tsv:3")], store)
    with pytest.raises(DataError, match=r"q.tsv:4: region 2 of image 10 .* it has 2 regions"):
        check_regions([Question("10", "?", regions=frozenset({0, 2}), place="q.tsv:4")], store)


# HDF5


def test_hdf5_with_the_same_number_of_regions(tmp_path):
    regions = random_regions((3, 3))
    features, boxes = (np.stack(each) for each in zip(*regions.values(), strict=True))
    path = write_hdf5(
        tmp_path / "a.hdf5",
        regions,
        image_features=features,
        spatial_features=boxes,
        pos_boxes=None,
    )
    store = open_regions([path])
    np.testing.assert_array_equal(store["11"].features, features[1])
    np.testing.assert_array_equal(store["11"].boxes, boxes[1])
    positions = np.array([[0, 3], [3, 5]])
    path = write_hdf5(
        tmp_path / "b.hdf5",
        regions,
        image_features=features,
        spatial_features=boxes,
        pos_boxes=positions,
    )
    with pytest.raises(
        DataError, match=r"b.hdf5: pos_boxes contradicts image_features, .* 3 regions"
    ):
        open_regions([path])


def test_hdf5_without_boxes_and_in_half_precision_and_compressed(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", REGIONS, spatial_features=None, image_features=None)
    features = np.concatenate([each for each, _ in REGIONS.values()]).astype(np.float16)
    with h5py.File(path, "a") as file:
        file.create_dataset("image_features", data=features, compression="gzip")
    store = open_regions([path])
    assert not store.has_boxes
    assert store["10"].boxes is None
    assert store["10"].relative_boxes is None
    np.testing.assert_array_equal(store["10"].features, features[:2].astype(np.float32))
    assert store["10"].features.dtype == np.float32


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a_imgid2idx.json", lambda path: path.write_text('{"x": 2, "y": 0, "z": 1}')),
        ("a.json", lambda path: path.write_text('["y", "z", "x"]')),
        ("a.npz", lambda path: np.savez(path, image_ids=np.array(["y", "z", "x"]))),
        ("a.npz", lambda path: np.savez(path, image_ids=np.array([b"y", b"z", b"x"]))),
    ],
)
def test_ids_beside_an_hdf5_file(name, write, tmp_path):
    path = write_hdf5(tmp_path / "a.h5", REGIONS)
    (tmp_path / "a_imgid2idx.json").unlink()
    write(tmp_path / name)
    store = open_regions([path])
    for image, number in (("x", "12"), ("y", "10"), ("z", "11")):
        np.testing.assert_array_equal(store[image].features, REGIONS[number][0])


@pytest.mark.parametrize("name", ["image_features", "spatial_features", "pos_boxes"])
def test_hdf5_without_numbers(name, tmp_path):
    path = write_hdf5(tmp_path / "a.h5", REGIONS, **{name: None})
    with h5py.File(path, "a") as file:
        file.create_dataset(name, data=np.full((6, 4), b"x"))
    with pytest.raises(DataError, match=rf"a.h5: array '{name}' must have"):
        open_regions([path])


def test_ids_in_an_hdf5_file(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", REGIONS, image_ids=np.array([5, 3, 4]))
    assert list(open_regions([path])) == ["5", "3", "4"]
    path = write_hdf5(tmp_path / "a.h5", REGIONS, image_ids=["5", "é", "4"])
    assert list(open_regions([path])) == ["5", "é", "4"]


def test_ids_without_features_and_features_without_ids(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", REGIONS)
    ids = tmp_path / "a_imgid2idx.json"
    for content, message in (
        ('{"10": 0, "q": 3}', r"a_imgid2idx.json: image q is number 3, .* only 3 images in .*a.h5"),
        ('["a", "b", "c", "d"]', r"a_imgid2idx.json: image d is number 3, .* only 3 images"),
        ('["a", "b", "a"]', r"a_imgid2idx.json: image a is in the file twice"),
        ("[]", r"a_imgid2idx.json: there are no images"),
        ("3", r"a_imgid2idx.json: expected a list"),
        ('{"a": "0"}', r"a_imgid2idx.json: expected a list"),
        ("{", r"a_imgid2idx.json: not JSON"),
    ):
        ids.write_text(content)
        with pytest.raises(DataError, match=message):
            open_regions([path])
    ids.unlink()
    with pytest.raises(DataError, match=r"a.h5: the ids of the images are missing.*a.json"):
        open_regions([path])
    np.savez(tmp_path / "a.npz", ids=[1])
    with pytest.raises(DataError, match=r"a.npz: array 'image_ids' is missing"):
        open_regions([path])


def test_pickled_ids_are_not_read_but_the_command_that_converts_them_is_given(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", REGIONS)
    (tmp_path / "a_imgid2idx.json").unlink()
    (tmp_path / "a_imgid2idx.pkl").write_bytes(pickle.dumps({"x": 0, "y": 1, "z": 2}))
    with pytest.raises(DataError, match="python -c") as caught:
        open_regions([path])
    code = str(caught.value).partition('python -c "')[2].rstrip('"')
    subprocess.run([sys.executable, "-c", code], check=True)
    assert json.loads((tmp_path / "a_imgid2idx.json").read_text()) == {"x": 0, "y": 1, "z": 2}
    assert list(open_regions([path])) == ["x", "y", "z"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_features": None}, "'image_features' is missing; present: pos_boxes, spatial"),
        ({"pos_boxes": None}, "'pos_boxes' is missing"),
        ({"pos_boxes": [[0, 2], [2, 5], [5, 7]]}, "image 12: pos_boxes .* 5 to 7, .* 6 rows"),
        ({"pos_boxes": [[0, 2], [5, 2], [5, 6]]}, "image 11: pos_boxes .* 5 to 2"),
        ({"pos_boxes": [[-1, 2], [2, 5], [5, 6]]}, "image 10: pos_boxes .* -1 to 2"),
        ({"pos_boxes": [[0, 2], [2, 2], [5, 6]]}, "image 11: pos_boxes .* 2 to 2"),
        ({"pos_boxes": [0, 2, 5]}, r"pos_boxes must be \(images, 2\)"),
        ({"spatial_features": np.zeros((5, 6))}, r"\(6, 4\), but spatial_features \(5, 6\)"),
        ({"spatial_features": np.zeros((6, 3))}, r"\(6, 4\), but spatial_features \(6, 3\)"),
        ({"image_features": np.zeros(6)}, r"image_features must be .* got \(6,\)"),
    ],
)
def test_hdf5_datasets_that_contradict_each_other(changes, message, tmp_path):
    path = write_hdf5(tmp_path / "a.h5", REGIONS, **changes)
    with pytest.raises(DataError, match=rf"a.h5: .*{message}"):
        open_regions([path])


def test_hdf5_needs_h5py(tmp_path, monkeypatch):
    path = write_hdf5(tmp_path / "a.h5", REGIONS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r'a.h5: .*pip install "pyro-align\[vqa\]"'):
        open_regions([path])


# TSV


def test_the_index_of_a_tsv_file_is_made_once(tmp_path, cache, monkeypatch):
    path = write_tsv(tmp_path / "a.tsv", REGIONS)
    first = open_regions([path])
    (index,) = (cache / "regions").iterdir()
    written = index.stat().st_mtime_ns
    np.testing.assert_array_equal(open_regions([path])["12"].features, first["12"].features)
    assert index.stat().st_mtime_ns == written
    write_tsv(path, REGIONS | {"13": REGIONS["10"]})
    assert "13" in open_regions([path])
    with pytest.raises(DataError, match=r"a.tsv: image 11 .* the file has changed"):
        write_tsv(path, dict(reversed(REGIONS.items()))) and first["11"]


FEATURES, BOXES = REGIONS["11"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (tsv_line("9", FEATURES, BOXES, count=2), "num_boxes is 2, but the boxes have 48 bytes"),
        (tsv_line("9", FEATURES.ravel()[:-1], BOXES, count=3), "the features have 44 bytes"),
        (tsv_line("9", FEATURES[:, :2], BOXES), "has 2 features for each region, .* before it 4"),
        (tsv_line("9", FEATURES, BOXES, width=-1), "image_w must be a positive number, got '-1'"),
        (tsv_line("9", FEATURES, BOXES, count="x"), "num_boxes must be a positive number"),
        ("9\t200\t100\n", "expected the columns image_id, .* got 3"),
    ],
)
def test_lines_that_contradict_themselves(line, message, tmp_path, cache):
    path = tmp_path / "a.tsv"
    path.write_text(tsv_line("8", *REGIONS["10"]) + line + tsv_line("7", *REGIONS["10"]))
    with pytest.raises(DataError, match=rf"a.tsv:2: image 9:? .*{message}"):
        open_regions([path])
    assert not list(cache.rglob("*.npz"))


def test_an_image_twice(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(tsv_line("8", *REGIONS["10"]) * 2)
    with pytest.raises(DataError, match=r"a.tsv: image 8 is in the file twice"):
        open_regions([path])


def test_a_column_that_is_not_base64(tmp_path):
    path = tmp_path / "a.tsv"
    line = tsv_line("8", *REGIONS["10"])
    path.write_text(line[:-20] + "!" + line[-19:])
    with pytest.raises(DataError, match=r"a.tsv: image 8 has a column that is not base64"):
        open_regions([path])["8"]


# NumPy


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": None}, "array 'features' is missing"),
        ({"features": np.zeros(6)}, "features must be numbers"),
        ({"features": np.full((6, 4), "x")}, "array 'features' must have real numbers, got <U1"),
        ({"features": np.ones((6, 4), complex)}, "array 'features' must have real numbers"),
        ({"boxes": np.full((6, 4), b"x")}, "array 'boxes' must have real numbers"),
        ({"sizes": np.full((3, 2), "x")}, "array 'sizes' must have real numbers"),
        ({"offsets": ["a", "b", "c", "d"]}, "array 'offsets' must have integers"),
        ({"images": np.array(["a", "b"])}, r"offsets must have the shape \(3,\), got \(4,\)"),
        ({"images": np.array(["a", "b", "a"])}, "image a is in the file twice"),
        ({"offsets": [0, 2, 5, 7]}, "offsets must rise from 0 to .* 6, got 0 to 7"),
        ({"offsets": [0, 2, 2, 6]}, "image 11 has no regions"),
        ({"offsets": [0, 5, 2, 6]}, "image 11 has no regions"),
        ({"boxes": np.zeros((5, 4))}, r"boxes must have the shape \(6, 4\), got \(5, 4\)"),
        ({"sizes": np.zeros((2, 2))}, r"sizes must have the shape \(3, 2\)"),
        ({"images": np.array([None] * 3)}, "Python objects"),
    ],
)
def test_arrays_that_contradict_each_other(changes, message, tmp_path):
    path = write_npz(tmp_path / "a.npz", REGIONS, **changes)
    with pytest.raises(DataError, match=rf"a.npz: .*{message}"):
        open_regions([path])


def test_boxes_in_pixels(tmp_path):
    boxes = np.array([[0, 0, 100, 50]], np.float32)
    path = write_npz(tmp_path / "a.npz", {"a": (FEATURES[:1], boxes)}, sizes=[[200, 50]])
    regions = open_regions([path])["a"]
    assert (regions.width, regions.height) == (200, 50)
    np.testing.assert_array_equal(regions.boxes, boxes)
    np.testing.assert_array_equal(regions.relative_boxes, [[0, 0, 0.5, 1]])
