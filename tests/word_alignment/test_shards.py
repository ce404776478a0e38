import os
import signal
from pathlib import Path

import kill
import pytest

from pyro_align.errors import DataError
from pyro_align.word_alignment import align_shards
from pyro_align.word_alignment.shards import align_each, align_shard


class Upper:
    """Writes the lines of a file in upper case; fails at a line `bad`."""

    def __init__(self):
        self.seen = []

    def __call__(self, path, file):
        self.seen.append(path.name)
        for line in path.read_text().splitlines():
            if line == "bad":
                raise DataError("bad line", path, 2)
            if line == "bug":
                raise KeyError("bug")
            print(line.upper(), file=file)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, text in {
        "a.tsv": "a\n",
        "b.tsv": "b\nbad\nb\n",
        "c.tsv": "c\nbug\n",
        "d": "d\n",
    }.items():
        (folder / name).write_text(text)
    (folder / ".hidden").write_text("x\n")
    (folder / "deeper").mkdir()
    return folder


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_other_files_are_aligned_after_a_failure(tmp_path, folder):
    told, align = [], Upper()
    failed = align_shards(align, folder, tmp_path / "out", told.append)
    assert contents(tmp_path / "out") == {"a.tsv.links": "A\n", "d.links": "D\n"}
    assert {path.name: reason for path, reason in failed.items()} == {
        "b.tsv": f"{folder / 'b.tsv'}:2: bad line",
        "c.tsv": f"{folder / 'c.tsv'}: KeyError: 'bug'",
    }
    assert told == ["1/4 a.tsv: done", "2/4 b.tsv: failed", "3/4 c.tsv: failed", "4/4 d: done"]


def test_a_restart_aligns_only_missing_files(tmp_path, folder):
    out, align = tmp_path / "out", Upper()
    align_shards(align, folder, out, str)
    (out / "a.tsv.links").write_text("mine\n")  # whole, so it stays
    (out / ".d.links.1").touch()
    (out / ".d.links.0123abcd.part").write_text("D and then it was kil")
    (out / "d.links").unlink()
    for name in ("b.tsv", "c.tsv"):
        (folder / name).write_text("mended\n")
    align.seen.clear()
    assert not align_shards(align, folder, out, str)
    assert align.seen == ["b.tsv", "c.tsv", "d"]
    assert contents(out) == {
        "a.tsv.links": "mine\n",
        "b.tsv.links": "MENDED\n",
        "c.tsv.links": "MENDED\n",
        "d.links": "D\n",
    }


def killed_within_d(source: Path, target: Path) -> None:
    """Align until the process is killed in the middle of the file ``d``."""

    def align(path, file):
        Upper()(path, file)
        if path.name == "d":
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)

    align_shards(align, source, target, str)


def test_a_killed_process_leaves_no_partial_files(tmp_path, folder):
    out = tmp_path / "out"
    assert kill.run(killed_within_d, folder, out) == -signal.SIGKILL
    assert {name: text for name, text in contents(out).items() if name.endswith(".links")} == {
        "a.tsv.links": "A\n"
    }
    align = Upper()
    align_shards(align, folder, out, str)
    assert align.seen == ["b.tsv", "c.tsv", "d"]
    assert contents(out) == {"a.tsv.links": "A\n", "d.links": "D\n"}


def test_a_file_is_given_up_after_three_killed_processes(tmp_path, folder):
    """Processes retry the file a limited number of times, and do not touch each other's output."""
    out = tmp_path / "out"
    out.mkdir()

    def killed_thrice(shards):
        for _ in range(3):
            assert kill.run(align_and_die, folder / "d", out) == -signal.SIGKILL
        yield folder / "d", align_shard(Upper(), folder / "d", out)

    told = []
    failed = align_each(killed_thrice, folder, out, told.append)
    assert list(failed) == [folder / "d"]
    assert f"{folder / 'd'}: the process that aligned it was killed 3 times" in failed[folder / "d"]
    assert told == ["1/4 d: failed"]
    assert contents(out) == {}
    # The next call is a new beginning.
    align_shards(Upper(), folder, out, str)
    assert contents(out) == {"a.tsv.links": "A\n", "d.links": "D\n"}


def align_and_die(shard: Path, target: Path) -> None:
    def align(path, file):
        Upper()(path, file)
        os.kill(os.getpid(), signal.SIGKILL)

    align_shard(align, shard, target)


def test_files_finished_by_another_process_are_kept(tmp_path, folder):
    (tmp_path / "d.links").write_text("mine\n")
    align = Upper()
    assert align_shard(align, folder / "d", tmp_path) is None
    assert not align.seen
    assert contents(tmp_path) == {"d.links": "mine\n"}


def test_into_the_same_folder(folder):
    for name in ("b.tsv", "c.tsv"):
        (folder / name).unlink()
    align = Upper()
    for _ in range(2):
        assert not align_shards(align, folder, folder, str)
    assert align.seen == ["a.tsv", "d"]  # links are no sentence pairs


def test_no_shards(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        align_shards(Upper(), tmp_path / "none", tmp_path, str)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no files of sentence pairs"):
        align_shards(Upper(), tmp_path / "empty", tmp_path, str)
