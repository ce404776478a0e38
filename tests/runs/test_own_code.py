"""Code in a run is executed only with the user's consent."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from runs import shared_corpus, silent, tiny_config

import pyro_align
from pyro_align.cli import main
from pyro_align.errors import RunError
from pyro_align.runs import Run, own_code

CODE = """
from pathlib import Path
from pyro_align.guides import PriorGuide

Path(__file__).with_name("executed").touch()

class Own(PriorGuide):
    pass
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with code that this user wrote."""
    monkeypatch.setenv("PYRO_ALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(own_code, "_trusted_here", set())
    (tmp_path / "own.py").write_text(CODE)
    config = tiny_config(
        shared_corpus(), guide__name=f"{tmp_path / 'own.py'}:Own", objective__name="exact"
    )
    return Run.create(config, tmp_path / "run", echo=silent)


def forget(run):
    """Make the run look as if another user had created it."""
    own_code._record().unlink()
    own_code._trusted_here.clear()
    (run.path / "code" / "executed").unlink(missing_ok=True)


def test_own_code_is_trusted(run):
    own_code._trusted_here.clear()  # as in another process
    assert type(Run.resume(run.path).guide).__name__ == "Own"


def test_code_of_others_is_not_executed(run):
    forget(run)
    match = r"run/code/own\.py: loading this run executes this file.*--trust \(in Python trust=True"
    for load in (pyro_align.load, Run.load, Run.resume):
        with pytest.raises(RunError, match=match):
            load(run.path)
    assert not (run.path / "code" / "executed").exists()


def test_trust_is_remembered(run):
    forget(run)
    Run.resume(run.path, trust=True)
    own_code._trusted_here.clear()
    Run.resume(run.path)
    # Changed code is not trusted.
    with (run.path / "code" / "own.py").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(RunError, match="executes this file"):
        Run.resume(run.path)


@pytest.mark.parametrize("place", ["{}/own.py", "../own.py", "code/../../own.py", "code/link.py"])
@pytest.mark.parametrize("is_trusted", [False, True])
def test_code_outside_the_run_is_rejected(run, place, is_trusted):
    (run.path / "code" / "link.py").symlink_to(run.path.parent / "own.py")
    config = run.path / "config.toml"
    place = place.format(run.path.parent)
    config.write_text(config.read_text().replace("code/own.py", place))
    with pytest.raises(RunError, match=r"guide\.name = .* is not a file of this run"):
        Run.resume(run.path, trust=is_trusted)


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "--resume"],
        ["fit", "--guide", "none", "--from"],
        ["evaluate"],
        ["translate"],
        ["diagnose"],
        ["inspect"],
        ["align"],
    ],
)
def test_every_command_that_loads_a_run_needs_trust(run, arguments):
    forget(run)
    takes_text = arguments[0] in ("align", "inspect")
    files = [str(path) for path in shared_corpus()["valid"]] if takes_text else []
    if arguments == ["inspect"]:
        files += ["--out", str(run.path.parent / "report.html")]
    result = CliRunner().invoke(main, [*arguments, str(run.path), *files])
    assert result.exit_code == 2
    assert "error: " in result.stderr
    assert "executes this file" in result.stderr
    allowed = CliRunner().invoke(main, [*arguments, str(run.path), *files, "--trust"], input="")
    assert "executes this file" not in allowed.output
    assert "No such option" not in allowed.output
