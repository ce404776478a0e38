import os
import sys

import kill
import pytest
from click.testing import CliRunner
from runs import shared_run

import pyro_align
from pyro_align.cli import main

LINES = ["ein hund sieht", "", "kein vogel ruft eine katze", "  ", "klein"]
TEXT = "".join(f"{line}\n" for line in LINES)


def call(*arguments, text=None):
    return CliRunner().invoke(main, ["translate", *map(str, arguments)], input=text)


def expected(**options):
    run = pyro_align.load(shared_run())
    return list(run.task.translator(run.model, **options).translate(LINES))


def test_from_standard_input():
    result = call(shared_run(), text=TEXT)
    assert result.exit_code == 0, result.output
    assert result.stdout.split("\n")[:-1] == [t.text for t in expected(beam=5)]
    assert result.stdout.split("\n")[1] == result.stdout.split("\n")[3] == ""
    assert not result.stderr


def test_from_and_to_files(tmp_path):
    (tmp_path / "in.de").write_text(TEXT)
    out = tmp_path / "out.en"
    result = call(shared_run(), tmp_path / "in.de", "--out", out)
    assert result.exit_code == 0, result.output
    assert not result.output
    assert out.read_text() == call(shared_run(), text=TEXT).stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.de", "out.en"]


def test_a_dash_is_a_standard_stream(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(shared_run(), "-", "--out", "-", text=TEXT)
    assert result.exit_code == 0, result.output
    assert result.stdout == call(shared_run(), text=TEXT).stdout
    assert not list(tmp_path.iterdir())


def test_options_reach_the_search():
    options = {"beam": 3, "length_penalty": 0.2, "top_k": 2, "n_best": 2}
    flags = ["--beam", 3, "--length-penalty", 0.2, "--top-k", 2, "--n-best", 2, "--scores"]
    lines = call(shared_run(), *flags, text=TEXT).stdout.split("\n")[:-1]
    wanted = []
    for translation in expected(**options):
        wanted += [
            f"{h.score:.4f}\t{h.log_probability:.4f}\t{h.text}" for h in translation.hypotheses
        ] or [""]
    assert lines == wanted
    assert len(lines) == 3 * 2 + 2


def test_a_line_with_only_unknown_tokens():
    result = call(shared_run(), text="日本語 中文\nein hund\n")
    assert result.exit_code == 0
    assert len(result.stdout.split("\n")) == 3
    assert "warning: 1 line" in result.stderr
    assert "unreliable" in result.stderr


def test_empty_input():
    result = call(shared_run(), text="")
    assert (result.exit_code, result.output) == (0, "")


@pytest.fixture
def untouched(tmp_path):
    """A file of translations that must not change after a failure."""
    out = tmp_path / "out.en"
    out.write_text("kept")
    yield out
    assert out.read_text() == "kept"
    assert not list(tmp_path.glob(".*"))


def refused(match, *arguments, text=None):
    result = call(*arguments, text=text)
    assert result.exit_code == 2, result.output
    assert match in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (b"ein\n" + b"ein " * 10_000 + b"\n", "<stdin>:2: "),
        (b"ein\nh\xfcnd\n", "<stdin>:2: not UTF-8"),
    ],
)
def test_bad_text(untouched, text, match):
    refused(match, shared_run(), "--out", untouched, text=text)


def test_bad_files_and_options(tmp_path, untouched):
    run = shared_run()
    refused("no.de: no such file", run, "no.de", "--out", untouched)
    refused("folder", run, tmp_path, "--out", untouched)
    refused("nothing: not a run folder", "nothing", "--out", untouched)
    refused(
        "raise --max-length",
        run,
        "--max-length",
        3,
        "--out",
        untouched,
        text=TEXT,
    )
    refused("--n-best", run, "--n-best", 0, text=TEXT)
    refused("beam", run, "--n-best", 9, "--beam", 2, "--out", untouched, text=TEXT)
    refused("top", run, "--top-k", 0, "--out", untouched, text=TEXT)
    refused("no does not exist: create it first", run, "--out", tmp_path / "no" / "out", text=TEXT)


def into_a_closed_pipe(arguments, source):
    """A command whose output pipe is closed."""
    read, write = os.pipe()
    os.close(read)
    os.dup2(write, 1)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stdin = source.open()
    main(arguments)


def test_a_reader_that_closes_the_pipe(tmp_path, capfd):
    source = tmp_path / "in.de"
    source.write_text(TEXT * 10)
    assert kill.run(into_a_closed_pipe, ["translate", str(shared_run())], source) == 0
    assert not capfd.readouterr().err
