"""Paths on the command line that cannot be used."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from pyro_align.cli import main
from pyro_align.cli.paths import InputPath, OutputFile, OutputFolder

EMPTY = "the path is empty; is a variable not set?"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a file and a folder, which must not change."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x\n")
    (tmp_path / "folder").mkdir()
    yield tmp_path
    assert {path.name for path in tmp_path.rglob("*")} == {"file", "folder"}
    assert (tmp_path / "file").read_text() == "x\n"


@pytest.mark.parametrize("kind", [InputPath(), OutputFile(), OutputFolder()])
@pytest.mark.parametrize(("value", "reason"), [("", EMPTY), ("-", "give")])
def test_empty_paths(kind, value, reason):
    with pytest.raises(click.BadParameter, match=reason):
        kind.convert(value, None, None)


def test_standard_streams():
    assert InputPath(stdin=True).convert("-", None, None) is None
    assert OutputFile(stdout=True).convert("-", None, None) is None
    assert InputPath().convert("./-", None, None).name == "-"


@pytest.mark.parametrize("value", [".", "/", "folder", "folder/", "new/", "..", "~/"])
def test_a_folder_is_not_a_file(value):
    with pytest.raises(click.BadParameter, match="is a folder"):
        OutputFile().convert(value, None, None)


def test_a_file_in_a_missing_folder():
    with pytest.raises(click.BadParameter, match="the folder a/b does not exist: create it first"):
        OutputFile().convert("a/b/c", None, None)
    with pytest.raises(click.BadParameter, match="the folder file does not exist: create it first"):
        OutputFile().convert("file/c", None, None)


@pytest.mark.parametrize("value", [".", "/", "..", "a/..", "//"])
def test_a_new_folder_needs_a_name(value):
    with pytest.raises(click.BadParameter, match="is not the name of a new folder"):
        OutputFolder(new=True).convert(value, None, None)
    assert OutputFolder().convert(value, None, None)


def test_a_file_is_not_a_folder():
    with pytest.raises(click.BadParameter, match="is a file"):
        OutputFolder().convert("file", None, None)


def options_of_paths():
    """Every option and argument of every command that takes a path."""
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        for one in getattr(command, "commands", {"": command}).values():
            for parameter in one.params:
                if isinstance(parameter.type, click.Path):
                    yield pytest.param(one, parameter, id=f"{one.name} {parameter.name}")


@pytest.mark.parametrize(("command", "parameter"), [*options_of_paths()])
def test_every_path_of_every_command_is_checked(command, parameter):
    assert isinstance(parameter.type, InputPath | OutputFile | OutputFolder)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("fit --out .", "is not the name of a new folder"),
        ("fit --out / --overwrite", "is not the name of a new folder"),
        ("fit --out -", "give its name"),
        ("fit --train - -", "--train needs text"),
        ("translate run --out .", "is a folder"),
        ("translate run --out folder", "is a folder"),
        ("translate run --beam 99999999999", "1<=x<=1000"),
        ("evaluate run --gold -", "standard input is not supported here"),
        ("align run file file --out .", "is a folder"),
        ("align run --shards folder --out file", "is a file"),
        ("align run --shards folder --out -", "give its name"),
        ("align --train file file --save file", "is a file"),
        ("inspect run file file --out folder", "is a folder"),
        ("inspect run file file --out no/report.html", "the folder no does not exist"),
        ("inspect run file file --out -", "standard output is not supported here"),
        ("diagnose run --plot folder", "is a folder"),
        ("score - -", "only one of LINKS and GOLD"),
    ],
)
def test_commands(arguments, reason):
    result = CliRunner().invoke(main, arguments.split())
    assert result.exit_code == 2, result.output
    # Boxes break lines.
    assert reason in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "--out", ""],
        ["translate", ""],
        ["translate", "run", "", "--out", "x"],
        ["translate", "run", "--out", ""],
        ["evaluate", "run", "--gold", ""],
        ["align", "", "file", "file"],
        ["align", "run", "file", "file", "--out", ""],
        ["compare", ""],
        ["inspect", "run", ""],
    ],
)
def test_empty_arguments(arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert "is empty" in " ".join(result.stderr.split())


@pytest.mark.parametrize("name", ["file", "./file", "folder/../file", "link", "hard link"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "run", "file", "--out", "OUT"],
        ["predict", "--out", "OUT", "run", "file"],
        ["predict", "run", "--images", "file", "--out", "OUT"],
        ["encode", "run", "file", "--out", "OUT"],
        ["align", "run", "file", "--out", "OUT"],
        ["align", "run", "other", "file", "--out", "OUT"],
        ["align", "--train", "file", "other", "--out", "OUT"],
        ["inspect", "run", "file", "--out", "OUT"],
        ["inspect", "run", "other", "--gold", "file", "--out", "OUT"],
        ["diagnose", "run", "--test", "file", "--plot", "OUT"],
    ],
    ids=" ".join,
)
def test_an_input_is_not_overwritten(folder, arguments, name):
    (folder / "link").symlink_to("file")
    (folder / "hard link").hardlink_to(folder / "file")
    result = CliRunner().invoke(main, [name if each == "OUT" else each for each in arguments])
    for link in ("link", "hard link"):
        (folder / link).unlink()
    assert result.exit_code == 2, result.output
    assert "is also an input, which would be overwritten" in " ".join(
        result.stderr.replace("│", "").split()
    )


def test_standard_input_is_not_overwritten(folder):
    command = [sys.executable, "-m", "pyro_align", "predict", "run", "--out", "file"]
    with (folder / "file").open("rb") as file:
        result = subprocess.run(command, cwd=folder, stdin=file, capture_output=True, text=True)
    assert result.returncode == 2
    assert "is also an input, which would be overwritten" in " ".join(result.stderr.split())


@pytest.mark.parametrize(("read", "written"), [("file", "new"), ("/dev/null", "/dev/null")])
def test_other_files_and_devices_can_be_written(read, written):
    context = click.Context(main)
    InputPath().convert(read, None, context)
    assert str(OutputFile().convert(written, None, context)) == written
