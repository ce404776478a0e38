"""Saving and loading; datasets of xarray."""

import io
import json
import sys
import zipfile

import numpy as np
import pytest
from posteriors import by_hand, dirichlet, some

from pyro_align.errors import UserError
from pyro_align.posterior import AlignmentPosterior
from pyro_align.posterior.storage import FORMAT


def fields(posterior):
    return [{name: plain(value) for name, value in vars(one).items()} for one in posterior]


def plain(value):
    """Return a key that compares values, dtype and shape."""
    return (value.dtype, value.shape, value.tolist()) if isinstance(value, np.ndarray) else value


def test_round_trip(tmp_path):
    three = some("Titel “ü”")
    three = AlignmentPosterior([*three, by_hand(), dirichlet()], three.title)
    path = tmp_path / "kept.npz"
    three.save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["kept.npz"]
    loaded = AlignmentPosterior.load(str(path))
    assert (loaded.title, loaded.units) == (three.title, "pieces")
    for one, two in zip(fields(three), fields(loaded), strict=True):
        assert one == two
    assert loaded[0].words == three[0].words
    assert loaded.to_frame().equals(three.to_frame())


def test_round_trip_of_words(tmp_path):
    some()[:2].words().save(tmp_path / "words")
    loaded = AlignmentPosterior.load(tmp_path / "words")
    assert loaded.units == "words"
    assert fields(loaded) == fields(some()[:2].words())


def test_round_trip_without_sentences(tmp_path):
    AlignmentPosterior([], "t").save(tmp_path / "x")
    assert len(AlignmentPosterior.load(tmp_path / "x")) == 0


def test_saving_is_deterministic(tmp_path):
    for name in "ab":
        some().save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_saved_files_contain_no_pickles(tmp_path):
    path = tmp_path / "x.npz"
    some().save(path)
    with np.load(path, allow_pickle=False) as archive:
        assert all(archive[name].dtype.kind in "fu" for name in archive.files)


@pytest.mark.parametrize("at", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_damaged_files_are_rejected(tmp_path, at):
    path = tmp_path / "x.npz"
    some().save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(at * len(whole))])
    with pytest.raises(UserError, match=r"x\.npz: damaged"):
        AlignmentPosterior.load(path)


def test_flipped_bytes_are_detected(tmp_path):
    path = tmp_path / "x.npz"
    some().save(path)
    whole = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("prior.npy")
    whole[member.header_offset + 60 + member.compress_size // 2] ^= 255
    path.write_bytes(whole)
    with pytest.raises(UserError, match=r"x\.npz: damaged"):
        AlignmentPosterior.load(path)


@pytest.mark.parametrize("content", [b"", b"something else", b"PK\x03\x04", b"\x93NUMPY\x01\x00"])
def test_another_file(tmp_path, content):
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged, or not a file of"):
        AlignmentPosterior.load(path)


def test_a_plain_array_and_a_foreign_archive(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.zeros(3))
    with pytest.raises(UserError, match="damaged, or not a file of"):
        AlignmentPosterior.load(path)
    np.savez(tmp_path / "y.npz", a=np.zeros(3))
    with pytest.raises(UserError, match="damaged, or not a file of"):
        AlignmentPosterior.load(tmp_path / "y.npz")
    np.savez(tmp_path / "z.npz", json=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="damaged, or not a file of"):
        AlignmentPosterior.load(tmp_path / "z.npz")


def changed(path, **changes):
    """Write the file with changed JSON."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    facts = {**json.loads(arrays["json"].tobytes()), **changes}
    arrays["json"] = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    path.write_bytes(buffer.getvalue())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": FORMAT + 1}, "newer version of pyro-align .* pip install -U"),
        ({"units": "letters"}, "damaged"),
        ({"sentences": []}, "damaged"),
        ({"sentences": [{}]}, "damaged"),
        ({"sentences": 3}, "damaged"),
    ],
)
def test_other_facts(tmp_path, changes, message):
    path = tmp_path / "x.npz"
    some().save(path)
    changed(path)
    assert AlignmentPosterior.load(path).title == some().title
    changed(path, **changes)
    with pytest.raises(UserError, match=message):
        AlignmentPosterior.load(path)


def test_no_file_and_no_folder(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        AlignmentPosterior.load(tmp_path / "missing")
    with pytest.raises(UserError, match="cannot be written: No such file"):
        some().save(tmp_path / "missing" / "x.npz")


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.npz"
    path.write_bytes(b"before")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(UserError, match="No space left"):
        some().save(path)
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == ["x.npz"]


def test_xarray():
    pytest.importorskip("xarray", reason="xarray is not installed")
    three = some()
    data = three.to_xarray()
    assert dict(data.sizes) == {"sentence": 3, "target": 4, "source": 4}
    assert data.attrs["title"] == three.title
    for number, one in enumerate(three):
        rows, columns = len(one.target), len(one.source)
        here = data.isel(sentence=number)
        assert here["source_token"].values[:columns].tolist() == list(one.source)
        assert here["target_token"].values.tolist() == [*one.target, *[""] * (4 - rows)]
        assert (here["prior"].values[:rows, :columns] == one.prior).all()
        assert np.isnan(here["prior"].values[rows:]).all()
        assert here["log_evidence"].values[:rows].tolist() == one.log_evidence.tolist()
    assert np.isnan(data["guide"].values[1]).all()
    assert "concentration_prior" not in data


def test_without_xarray(monkeypatch):
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(UserError, match="pip install xarray"):
        some().to_xarray()
