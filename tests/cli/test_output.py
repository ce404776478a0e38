"""Standard streams of the command line, and text that is safe to print."""

import os
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from pyro_align.cli import main
from pyro_align.cli.output import printable


def shell(line, encoding="utf-8", **environment):
    """Run a shell command in which ``pa`` is the command line."""
    line = line.replace("pa ", f"{sys.executable} -m pyro_align ")
    environment = {**os.environ, **environment}
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, env=environment, encoding=encoding
    )


@pytest.fixture
def links(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "links").write_text("0-0 1-1\n")
    (tmp_path / "gold").write_text("0-0 1?1\n")
    return tmp_path


def test_a_closed_standard_output(links):
    result = shell("pa score links gold >&-")
    assert result.returncode == 2
    assert result.stderr == (
        "error: standard output is closed: redirect it to a file or to /dev/null\n"
    )


def test_a_full_standard_output(links):
    result = shell("pa score links gold > /dev/full")
    assert result.returncode == 2
    assert result.stderr == "error: No space left on device; no incomplete file was left\n"


def test_a_closed_standard_error(links):
    result = shell("pa score links gold 2>&-")
    assert result.returncode == 0
    assert "AER" in result.stdout
    assert shell("pa score links none 2>&-").returncode == 2


def test_a_closed_pipe(links):
    result = shell("pa score links gold | true; exit ${PIPESTATUS[0]}")
    assert (result.returncode, result.stderr) == (0, "")


def test_an_encoding_without_the_characters_of_tables(links):
    """They are replaced."""
    name = "ä – ‖"
    run = links / name
    run.mkdir()
    (run / "run.json").write_text('{"format": 2}')
    (run / "results.json").write_text('{"perplexity": 2.5}')
    (run / "config.toml").write_text("")
    line = f"pa compare {shlex.quote(name)}"
    result = shell(line, encoding="iso-8859-1", PYTHONIOENCODING="iso-8859-1")
    assert (result.returncode, result.stderr) == (0, "")
    assert "ä ? ?" in result.stdout
    assert name in shell(line).stdout


@pytest.mark.parametrize("side", ["links", "gold"])
def test_links_from_standard_input(links, side):
    names = ["-" if name == side else name for name in ("links", "gold")]
    result = shell(f"cat {side} | pa score {' '.join(names)}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == CliRunner().invoke(main, ["score", "links", "gold"]).stdout
    assert not Path("-").exists()


def test_printable():
    assert printable("a\n\x1b[31mb\u2028\x7f\udc80") == r"a\n\x1b[31mb\u2028\x7f\udc80"
    emoji = "👩\u200d👧 Grüße ‖ ا"  # joined by a format character, which is no control character
    assert unicodedata.category(emoji[1]) == "Cf"
    assert printable(emoji) == emoji
