"""Progress and notes on standard error, and ``--quiet``."""

import io
import re
import sys
import time

import click
import pytest
from click.testing import CliRunner
from lightning.pytorch import Trainer
from runs import copied, shared_corpus, shared_run, tiny_config

from pyro_align.cli import main, progress
from pyro_align.runs import Run
from pyro_align.training.fit import _progress
from pyro_align.training.logs import FitProgress


@pytest.fixture
def terminal(monkeypatch):
    """Make standard error a terminal for rich."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)


def invoke(function, *arguments):
    """Run a function as a command with ``--quiet``."""
    command = click.Command("x", callback=function)
    return CliRunner().invoke(progress.quiet_option(command), arguments)


def show_everything():
    progress.tell("a note")
    with progress.status("loading runs/a") as show:
        show("loading runs/b")
    with progress.counter("lines", 7) as show_done:
        print("a result")
        show_done(3)


def test_progress_is_shown_on_standard_error(terminal):
    result = invoke(show_everything)
    assert result.stdout == "a result\n"
    for text in ("a note", "loading runs/a", "lines", "3/7"):
        assert text in result.stderr


def test_notes_during_progress_have_their_own_line(terminal):
    def show():
        with progress.status("loading runs/a"):
            time.sleep(0.3)  # the spinner is drawn
            progress.tell("a note")

    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", invoke(show).stderr)
    assert re.search(r"[\r\n]a note\s*\n", shown), repr(shown)


def test_without_a_terminal_only_notes_are_shown():
    assert invoke(show_everything).stderr == "a note\n"


def test_quiet_shows_results_only(terminal):
    for flag in ("-q", "--quiet"):
        result = invoke(show_everything, flag)
        assert result.stdout == "a result\n"
        assert not result.stderr


def test_quiet_applies_to_one_command_only():
    invoke(show_everything, "-q")
    assert not progress.is_quiet()


def test_loading_is_shown_before_the_run_is_read(terminal, monkeypatch):
    seen = []
    monkeypatch.setattr(Run, "load", lambda path, **_: seen.append(sys.stderr.getvalue()))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    progress.load_run(shared_run())
    assert "loading" in seen[0]


@pytest.mark.parametrize(
    "command", ["fit", "evaluate", "translate", "align", "compare", "diagnose", "inspect"]
)
def test_commands_that_show_progress_can_be_quiet(command):
    options = main.get_command(click.Context(main), command).params
    assert any("--quiet" in option.opts for option in options)


def test_quiet_silences_notes_of_compare(tmp_path):
    run = copied(tmp_path)
    (run / "results.json").unlink(missing_ok=True)
    noted, quiet = (CliRunner().invoke(main, ["compare", str(run), *q]) for q in ([], ["-q"]))
    assert "no results yet" in noted.stderr
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_quiet_reaches_training(tmp_path, capsys):
    config = tiny_config(shared_corpus(), network__cell="gru", training__max_steps=1)
    noted = []
    Run.create(config, tmp_path / "run", echo=noted.append).fit(echo=noted.append, quiet=True)
    assert capsys.readouterr() == ("", "")
    assert any("sentence pairs" in line for line in noted)


def test_a_bar_is_shown_on_a_terminal_unless_quiet(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert _progress(True, "token") == []
    assert any(isinstance(each, FitProgress) for each in _progress(False, "token"))


def test_the_bar_counts_epochs_from_one(monkeypatch):
    described = []

    class Bar:
        total = initial = 0

        def reset(self):
            pass

        def set_description(self, text):
            described.append(text)

    bar = FitProgress()
    monkeypatch.setattr(FitProgress, "train_progress_bar", Bar())
    monkeypatch.setattr(FitProgress, "total_train_batches", 5)
    bar.on_train_epoch_start(Trainer(accelerator="cpu", devices=1, logger=False))
    assert described[-1] == "epoch 1"


class Typed(io.BytesIO):
    """Lines typed at a terminal: a line is read only after the previous one is translated."""

    def __init__(self, lines, shown):
        super().__init__()
        self.lines = lines
        self.shown = shown

    def __iter__(self):
        for number, line in enumerate(self.lines):
            assert self.shown().count("\n") == number
            yield line


def test_lines_typed_at_a_terminal_are_translated_as_they_come(monkeypatch):
    flushed = [""]

    class Output(io.StringIO):
        def flush(self):
            flushed[0] = self.getvalue()

    class Input:
        buffer = Typed([b"ein hund\n", b"\n", b"kein vogel\n"], lambda: flushed[0])

        def isatty(self):
            return True

    from pyro_align.cli.predict import predict

    monkeypatch.setattr(sys, "stdin", Input())
    monkeypatch.setattr(sys, "stdout", Output())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    predict.main([str(shared_run())], standalone_mode=False)
    assert flushed[0].count("\n") == 3
    assert "Ctrl-D" in sys.stderr.getvalue()
