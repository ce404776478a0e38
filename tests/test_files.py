"""Atomic writes."""

import errno
import os
import stat
import threading
from multiprocessing import get_context
from pathlib import Path

import pytest

from pyro_align.errors import OutputError
from pyro_align.files import atomic_write, delete_abandoned, sibling_path


def write(path, content):
    with atomic_write(path) as file:
        file.write(content)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    return path


def test_content_appears_at_the_end(path):
    with atomic_write(path, "t") as file:
        print("ä\r", file=file)
        file.flush()
        assert path.read_text() == "old"
    assert path.read_bytes() == "ä\r\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_nothing(path):
    def fail(target):
        with atomic_write(target) as file:
            file.write(b"half")
            raise KeyError

    for target in (path, path.with_name("y")):
        with pytest.raises(KeyError):
            fail(target)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["open", "replace"])
def test_a_full_disk_keeps_the_existing_file(path, monkeypatch, step):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, step, full)
    with pytest.raises(OutputError, match=r"x: cannot be written: No space left.*unchanged"):
        write(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_about_another_file_is_not_converted(path):
    with pytest.raises(FileNotFoundError), atomic_write(path):
        path.with_name("another").read_text()


def test_writers_of_one_path_do_not_mix(path):
    """The content is the complete content of one writer, the last to finish."""
    with atomic_write(path, "t") as first, atomic_write(path, "t") as second:
        for number in range(3):
            print("first", number, file=first, flush=True)
            print("second", number, file=second, flush=True)
    assert path.read_text() == "first 0\nfirst 1\nfirst 2\n"
    assert list(path.parent.iterdir()) == [path]


def killed(path):
    with atomic_write(path) as file:
        file.write(b"half")
        file.flush()
        os.kill(os.getpid(), 9)


def test_a_write_deletes_only_partial_files_of_killed_processes(path):
    other = path.with_name("other")
    for target in (path, other):
        process = get_context("fork").Process(target=killed, args=(target,))
        process.start()
        process.join()
    left = sorted(entry.name.partition(".")[2].partition(".")[0] for entry in path.parent.iterdir())
    assert left == ["", "other", "x"]
    with atomic_write(path) as file:
        file.write(b"first")
        write(path, b"second")  # does not delete the partial file of the first, which is in use
    assert path.read_bytes() == b"first"
    assert {entry.name.split(".")[1] for entry in path.parent.glob(".*")} == {"other"}
    delete_abandoned(path.parent)
    assert list(path.parent.iterdir()) == [path]


def test_a_symbolic_link_stays_and_its_target_is_replaced(tmp_path, path):
    folder = tmp_path / "folder"
    folder.mkdir()
    link = folder / "link"
    link.symlink_to("../x")
    write(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert sorted(tmp_path.rglob("*")) == sorted([path, folder, link])


def test_a_link_to_nothing_makes_its_target(tmp_path):
    (tmp_path / "link").symlink_to("target")
    write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


def test_a_loop_of_links(tmp_path):
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OutputError, match="link: cannot be written: Too many levels"):
        write(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("mode", [0o600, 0o444, 0o755])
def test_permissions_are_kept(path, mode):
    path.chmod(mode)
    write(path, b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_permissions_of_a_new_file_are_the_default(path):
    new = path.with_name("new")
    write(new, b"")
    assert new.stat().st_mode == path.stat().st_mode


def test_a_named_pipe_is_written_to(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()), daemon=True)
    reader.start()
    with atomic_write(pipe, "t") as file:
        file.write("ä\n")
    reader.join(10)
    assert got == ["ä\n"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_reader_that_leaves_a_named_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    def write_to_nobody():
        with atomic_write(pipe) as file:
            os.close(reader)
            file.write(b"x")

    with pytest.raises(OutputError, match="pipe: cannot be written: Broken pipe"):
        write_to_nobody()


def test_a_device_is_written_to():
    write(Path("/dev/null"), b"x")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(OutputError, match="/dev/full: cannot be written: No space left"):
        write(Path("/dev/full"), b"x")


def to_standard_output(path):
    log = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    for target in (Path("/dev/stdout"), path):
        write(target, b" new")
    os.write(1, b" last")


def test_a_file_that_standard_output_goes_to_is_appended_to(path):
    process = get_context("fork").Process(target=to_standard_output, args=(path,))
    process.start()
    process.join()
    assert path.read_text() == "old new new last"


def test_a_folder(tmp_path):
    for folder in (tmp_path, Path("/"), Path()):
        with pytest.raises(OutputError, match="is a folder"):
            write(folder, b"x")
    with pytest.raises(OutputError, match="no/file: cannot be written: No such file"):
        write(tmp_path / "no" / "file", b"x")
    assert not list(tmp_path.iterdir())


def test_long_names(tmp_path):
    for path in (tmp_path / ("x" * 255), tmp_path / ("🙂" * 63)):
        write(path, b"x")
        assert path.read_bytes() == b"x"
        assert len(sibling_path(path).name.encode()) < 255
