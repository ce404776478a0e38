"""The command group: help, lists, tables."""

import runpy
import sys

import click
import pytest
from click.testing import CliRunner
from rich.table import Table

import pyro_align
from pyro_align.cli import COMMANDS, main
from pyro_align.cli.options import TextCommand, chosen_device
from pyro_align.cli.tables import show
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, TASKS, fits
from pyro_align.errors import ConfigError


def call(*arguments):
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help(flag):
    result = call(flag)
    assert result.exit_code == 0
    positions = [result.output.index(f"\n  {name} ") for name in COMMANDS]
    assert positions == sorted(positions)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(name):
    result = call(name, "--help")
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"Usage: main {name}")
    assert len(result.output.splitlines()) > 5


def test_unknown_command():
    result = call("fitt")
    assert result.exit_code == 2
    assert "No such command 'fitt'" in result.output


def test_version():
    assert pyro_align.__version__ in call("--version").output


def test_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pyro_align", "--version"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("pyro_align", run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("pyro-align, version")


def test_list():
    result = call("list")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    for registry in (TASKS, MODELS, GUIDES, OBJECTIVES):
        for name in registry:
            assert any(
                line.startswith(f"  {name} ") and registry.summary(name)[:20] in line
                for line in lines
            )
    assert max(map(len, lines)) <= 80
    wide = CliRunner().invoke(main, ["list"], env={"COLUMNS": "200"}).output.splitlines()
    together = wide[wide.index(next(line for line in wide if "compatible combinations" in line)) :]
    rows = {tuple(line.split()[:2]): line for line in together if len(line.split()) > 2}
    for model in MODELS:
        for guide in GUIDES:
            fitting = {
                name
                for name in OBJECTIVES
                if fits(MODELS.get(model), GUIDES.get(guide), OBJECTIVES.get(name))
            }
            found = rows.get((model, guide), "").split()[2:]
            assert {name.strip(",") for name in found} == fitting


def test_tables_keep_brackets_and_all_text(capsys, monkeypatch):
    text = f"E_q[log p] [bold]x[/bold] :smile: {'y' * 90}"
    for columns in ("200", "80"):
        monkeypatch.setenv("COLUMNS", columns)
        table = Table("a")
        table.add_row(text)
        show(table)
        shown = capsys.readouterr().out
        assert max(map(len, shown.splitlines())) <= int(columns)
        assert (text in shown) is (columns == "200")
        assert shown.count("y") == 90
        assert "[bold]x[/bold] :smile:" in shown


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["--test", "a.de", "a.en", "run"], ["--test", "a.de", "--test", "a.en", "run"]),
        (["--test", "a.tsv", "run"], ["--test", "a.tsv", "run"]),
        (["--test", "a.jsonl.gz", "run"], ["--test", "a.jsonl.gz", "run"]),
        (["--test", "a.de.gz", "a.en.gz"], ["--test", "a.de.gz", "--test", "a.en.gz"]),
        (["--test", "D.TSV", "--json"], ["--test", "D.TSV", "--json"]),
        (["--test", "D.JSONL.GZ", "run"], ["--test", "D.JSONL.GZ", "run"]),
        (["--test", "a.tsv.xz", "run"], ["--test", "a.tsv.xz", "run"]),
        (["--test=a.de", "a.en", "run"], ["--test", "a.de", "--test", "a.en", "run"]),
        (["--json", "a.de"], ["--json", "a.de"]),
        (["run", "--test", "a.txt"], ["run", "--test", "a.txt"]),
        (["--train", "a.txt", "--valid", "b.txt"], ["--train", "a.txt", "--valid", "b.txt"]),
    ],
)
def test_text_options(monkeypatch, given, expected):
    seen = []
    monkeypatch.setattr("click.Command.parse_args", lambda self, ctx, args: seen.extend(args) or [])
    TextCommand("x").parse_args(None, given)
    assert seen == expected


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (["run", "--test"], r"--test needs text"),
        (["run", "--test", "--json"], r"--test needs text"),
    ],
)
def test_a_missing_file_is_named(given, match):
    with pytest.raises(click.UsageError, match=match):
        TextCommand("x").parse_args(None, given)


def test_devices(monkeypatch):
    assert chosen_device("cpu") == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert chosen_device("auto") == "cpu"
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert chosen_device("auto") == "cuda"
    for name in ("sofa", "meta", "", "cuda:99999999999"):
        with pytest.raises(ConfigError, match=f"--device {name}: not available on this machine"):
            chosen_device(name)
