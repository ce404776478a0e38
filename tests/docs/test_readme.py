"""The Python code and the guide of README are run, and its commands are parsed."""

import contextlib
import re
import shutil

import pytest
from commands import run_commands
from pages import ROOT, Page, code, commands, named, parsed
from runs import sentence_pairs, shared_run

import pyro_align
from pyro_align.guides import AlignmentGuide
from pyro_align.runs import Run

README = Page(ROOT / "README.md")
LOADED = re.compile(r"pyro_align\.load\(\"([^\"]+)\"\)")
GUIDE = "sharpened.py"


def python_blocks():
    """Python blocks that are not a separate file."""
    return [block for block in README.code("python") if not re.match(r"# \S+\.py\n", block)]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a run at every path that README loads."""
    for path in set(LOADED.findall(README.text)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(shared_run(), tmp_path / path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_readme_has_python_blocks():
    assert len(python_blocks()) >= 2
    assert any(LOADED.search(block) for block in python_blocks())
    assert any("SVI(" in block for block in python_blocks())


@pytest.mark.parametrize("index", range(len(python_blocks())))
def test_a_python_block_runs(index, place, capsys):
    block = python_blocks()[index]
    exec(compile(block, f"README.md, Python block {index + 1}", "exec"), {})
    if "translate(" in block:
        line = re.search(r"translate\(\[\"([^\"]+)\"\]", block)[1]
        run = pyro_align.load(LOADED.search(block)[1])
        first = capsys.readouterr().out.splitlines()[0]
        assert first.strip() == next(iter(run.translate([line]))).strip()


def test_a_wrong_block_fails():
    with pytest.raises(ImportError):
        exec("from pyro_align.guides import NoSuchGuide", {})


def test_the_example_guide_can_be_fitted(tmp_path):
    (block,) = [block for block in README.code("python") if block.startswith(f"# {GUIDE}\n")]
    name, text = named(block)
    (tmp_path / name).write_text(text, encoding="utf-8")
    (fit,) = [arguments for arguments in README.commands if any(GUIDE in a for a in arguments)]
    run_commands([[*fit, "--out", "run"]], tmp_path)
    run = Run.load(tmp_path / "run")
    assert type(run.guide).__name__ == "SharpenedGuide"
    assert isinstance(run.guide, AlignmentGuide)
    assert run.config.guide.options == {"start": 2.0}
    assert run.config.objective.name == "score-function"
    sentences = [f"{source}\t{target}\n" for source, target in sentence_pairs(5, seed=9)]
    (tmp_path / "test.tsv").write_text("".join(sentences), encoding="utf-8")
    with contextlib.chdir(tmp_path):
        means = run.evaluate(pyro_align.data.ParallelText.open(["test.tsv"]), translate=False)
    assert means.positions.elbo < means.positions.log_evidence


def test_commands_can_be_parsed():
    assert len(README.commands) >= 5
    for arguments in README.commands:
        parsed(arguments)


def test_a_wrong_command_fails():
    (arguments,) = commands("pyro-align fit --no-such-option 3 > out")
    with pytest.raises(Exception, match="no-such-option"):
        parsed(arguments)


def test_named_files_exist():
    for path in re.findall(r"(?:recipes|benchmarks)/[\w./-]+", README.text):
        assert (ROOT / path).exists(), path


def test_code_is_found_by_language():
    assert code("```sh\na\n```\n```python\nb\n```\n", "python") == ["b\n"]
