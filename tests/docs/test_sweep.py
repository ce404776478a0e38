"""The page "Sweep": its loops are run."""

import subprocess

from commands import run_commands
from pages import DOCS, Page
from runs import settings, shared_corpus

from pyro_align.config import Config

PAGE = Page(DOCS / "how-to" / "sweep.md")

RECORD = """
pyro-align() { printf '%s\\n' "$#" "$@" >> commands; }
"""
"""A shell function that replaces the program."""


def expanded(block, folder):
    """Arguments of every ``pyro-align`` that a shell calls for a block."""
    (folder / "commands").write_text("")
    subprocess.run(["bash", "-ec", RECORD + block], cwd=folder, check=True)
    words = iter((folder / "commands").read_text().splitlines())
    return [[next(words) for _ in range(int(count))] for count in words]


def test_the_loop_fits_every_setting_and_one_table_compares_them(tmp_path):
    loop, table, *_ = PAGE.code("sh")
    fits = expanded(loop, tmp_path)
    assert len(fits) == 4
    run_commands(fits, tmp_path)
    made = {
        (config.training.learning_rate, config.seed)
        for config in map(Config.load, (tmp_path / "runs" / "sweep").glob("*/config.toml"))
    }
    assert made == {(0.001, 1), (0.001, 2), (0.002, 1), (0.002, 2)}
    shown, csv = expanded(table, tmp_path)
    output, as_csv = run_commands([shown, csv], tmp_path)
    assert all(name.name in output for name in (tmp_path / "runs" / "sweep").iterdir())
    assert len(as_csv.splitlines()) == 1 + len(fits)


def test_the_python_loop(tmp_path, monkeypatch, capsys):
    (block,) = PAGE.code("python")
    sizes = settings(network__cell="gru", training__max_steps=2)
    sizes += [f"data.{name}={[*map(str, paths)]}" for name, paths in shared_corpus().items()]
    load = Config.load

    def small(path=None, settings=()):
        return load(path, [*sizes, *settings] if path is None else settings)

    monkeypatch.setattr(Config, "load", small)
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "sweep.md", "exec"), {})
    assert "0.001 " in capsys.readouterr().out
