import numpy as np
import pytest
import torch

from pyro_align.word_alignment.hmm.store import LEAST, BatchFile, PosteriorStore


def test_numbers_are_read_as_they_were_written_in_any_order(tmp_path):
    parts = [np.arange(size, dtype=np.int32) + size for size in (3, 0, 5, 1)]
    file = BatchFile(tmp_path / "numbers", np.int32, map(len, parts[:3]))
    for batch in (2, 0, 1):
        file.write(batch, parts[batch])
    file.append(parts[3])
    for batch, part in enumerate(parts):
        assert file.read(batch).tolist() == part.tolist()
    assert file.read_part(2, 1, 3).tolist() == [6, 7, 8]
    assert (tmp_path / "numbers").stat().st_size == 4 * 9


def test_a_full_disk_is_an_error(tmp_path, monkeypatch):
    file = BatchFile(tmp_path / "numbers", np.int32, [3])
    monkeypatch.setattr("os.pwrite", lambda *_: 8)
    with pytest.raises(OSError, match=r"No space left on device: .*numbers"):
        file.write(0, np.ones(3))


def test_posteriors_are_stored_in_half_precision_without_the_smallest(tmp_path):
    shapes = [(2, 3, 4), (1, 2, 1)]
    store = PosteriorStore(tmp_path / "states", shapes, directions=2)
    written = []
    for batch, (b, s, t) in enumerate(shapes):
        states = [torch.rand(b, t, 1 + s), torch.rand(b, s, 1 + t)]
        states[0][0, 0, 0] = LEAST / 2
        written.append(store.write(batch, [each.clone() for each in states]))
        for found, expected in zip(written[-1], states, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-3)
        assert written[-1][0][0, 0, 0] == 0.0
    for batch, expected in enumerate(written):
        for found, one in zip(store.read(batch), expected, strict=True):
            assert torch.equal(found, one)
        for row in range(shapes[batch][0]):
            for found, one in zip(store.read_row(batch, row), expected, strict=True):
                assert found.tolist() == one[row].tolist()
