import pytest

from pyro_align.files import whole_file


def test_it_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with whole_file(path) as file:
        print("ä\r", file=file)
        assert path.read_text() == "old"
    assert path.read_bytes() == "ä\r\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_nothing(tmp_path):
    def fail():
        with whole_file(tmp_path / "x") as file:
            print("half", file=file)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())
