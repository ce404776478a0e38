"""Run folders when several processes create or train runs at the same time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pyro_align.errors import RunError
from pyro_align.runs.claims import locked, new_folder


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fill(new, text="new"):
    (new.partial / "run.json").write_text(text)


def text_of(path):
    return (path / "run.json").read_text()


def test_a_folder_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "runs" / "a"
    with new_folder(path) as new:
        fill(new)
        assert new.path == path
        assert not names(path)
    assert text_of(path) == "new"
    assert names(path.parent) == ["a"]


def test_after_an_error_nothing_is_left(tmp_path):
    def fail():
        with new_folder(tmp_path / "a") as new:
            fill(new)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not names(tmp_path)


def test_concurrent_fits_get_separate_folders(tmp_path):
    path = tmp_path / "a"
    with (
        new_folder(path, numbered=True) as first,
        new_folder(path, numbered=True) as second,
        new_folder(path, numbered=True) as third,
    ):
        for new in (third, first, second):
            fill(new, new.path.name)
    assert names(tmp_path) == ["a", "a-2", "a-3"]
    assert [text_of(tmp_path / name) for name in names(tmp_path)] == names(tmp_path)
    with new_folder(path, numbered=True) as fourth:
        assert fourth.path == tmp_path / "a-4"


@pytest.mark.parametrize("overwrite", [False, True])
def test_concurrent_use_of_one_path_is_rejected(tmp_path, overwrite):
    with new_folder(tmp_path / "a") as new:
        with (
            pytest.raises(RunError, match="a is being created by another process: choose another"),
            new_folder(tmp_path / "a", overwrite=overwrite),
        ):
            pass
        fill(new)
    assert text_of(tmp_path / "a") == "new"
    assert names(tmp_path) == ["a"]


def test_a_folder_created_meanwhile_is_kept(tmp_path):
    path = tmp_path / "a"

    def make():
        with new_folder(path) as new:
            fill(new)
            path.rmdir()
            path.mkdir()
            (path / "run.json").write_text("another")

    with pytest.raises(RunError, match="a: cannot create the run: "):
        make()
    assert text_of(path) == "another"
    assert names(tmp_path) == ["a"]


def test_a_run_is_replaced_only_with_overwrite(tmp_path):
    path = tmp_path / "a"
    with new_folder(path) as new:
        fill(new, "old")
    with pytest.raises(RunError, match=r"a exists: .*--resume .*--overwrite"), new_folder(path):
        pass
    with pytest.raises(KeyError), new_folder(path, overwrite=True) as new:
        raise KeyError
    assert text_of(path) == "old"
    with new_folder(path, overwrite=True) as new:
        fill(new)
        assert text_of(path) == "old"
    assert text_of(path) == "new"
    assert names(tmp_path) == ["a"]


def test_a_run_that_is_being_trained_is_not_replaced(tmp_path):
    path = tmp_path / "a"
    with new_folder(path) as new:
        fill(new, "old")
    with (
        locked(path),
        pytest.raises(RunError, match=f"process {os.getpid()} on .* is training this run"),
        new_folder(path, overwrite=True),
    ):
        pass
    assert text_of(path) == "old"


def test_a_folder_that_is_not_a_run_is_not_replaced(tmp_path):
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    (folder / "any").touch()
    file.touch()
    for path, match in ((folder, "is not a run, so it"), (file, "exists and is not a folder")):
        with pytest.raises(RunError, match=match), new_folder(path, overwrite=True):
            pass
    assert names(tmp_path) == ["file", "folder"]


def test_a_link_stays_and_the_folder_it_points_to_is_replaced(tmp_path):
    link, path = tmp_path / "link", tmp_path / "runs" / "a"
    link.symlink_to(path)
    for text in ("old", "new", "newer"):
        with new_folder(link, overwrite=True) as new:
            fill(new, text)
        assert link.is_symlink()
        assert text_of(path) == text


def test_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with new_folder(Path()) as new:
        fill(new)
        assert new.path == tmp_path.resolve()
    assert text_of(tmp_path) == "new"
    monkeypatch.chdir(tmp_path)  # the empty folder was replaced
    with pytest.raises(RunError, match="exists"), new_folder(Path()):
        pass


def started(code, *arguments):
    """A process that runs some code, after it has printed a line."""
    process = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_lock_names_its_process_and_ends_with_it(tmp_path):
    code = (
        "import pathlib, sys, time\n"
        "from pyro_align.runs.claims import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n"
        "    print(flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = started(code, str(tmp_path))
    holder = f"process {process.pid} on {socket.gethostname()} is training this run"
    with pytest.raises(RunError, match=rf"{holder}.*fit --resume {tmp_path}"), locked(tmp_path):
        pass
    kill(process)
    with locked(tmp_path):
        pass


def test_leftovers_of_a_killed_process_are_reused_or_deleted(tmp_path):
    path = tmp_path / "a"
    code = (
        "import pathlib, sys, time\n"
        "from pyro_align.runs.claims import new_folder\n"
        "with new_folder(pathlib.Path(sys.argv[1])):\n"
        "    print(flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = started(code, str(path))
    with pytest.raises(RunError, match="is being created by another process"), new_folder(path):
        pass
    kill(process)
    assert len(names(tmp_path)) == 2
    with new_folder(path) as new:
        fill(new)
    assert names(tmp_path) == ["a"]
    assert text_of(path) == "new"


def test_a_kill_between_the_two_renamings_loses_nothing(tmp_path):
    path = tmp_path / "a"
    with new_folder(path) as new:
        fill(new, "old")
    path.rename(tmp_path / ".a.old")
    with pytest.raises(RunError, match="a exists"), new_folder(path):
        pass
    assert text_of(path) == "old"
