"""Commands that do not compute import neither torch nor Lightning, which take seconds."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from runs import shared_run

import pyro_align
from pyro_align.config import outline
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, Registry

HEAVY = ("torch", "pyro", "lightning", "pandas", "matplotlib", "sacrebleu")

COMMANDS = {
    "--help": 0,
    "fit --help": 0,
    "list": 0,
    "compare run": 0,
    "compare run --format latex": 0,
    "score links links": 0,
    "evaluate nosuchrun": 2,
    "translate nosuchrun": 2,
    "align nosuchrun a b": 2,
    "diagnose nosuchrun": 2,
    "inspect nosuchrun a b": 2,
    "fit --resume nosuchrun": 2,
    "fit --from nosuchrun": 2,
    "fit --config nosuchfile": 2,
    "fit --set training.epoch=2": 2,
    "fit --guide nosuchguide": 2,
    "fitt": 2,
}
"""Exit status by command; the folder has a run and links."""

PROGRAM = """
import json, sys
from click.testing import CliRunner
import pyro_align
from pyro_align.cli import main

found = {}
for command in json.loads(sys.argv[1]):
    before = {*sys.modules}
    result = CliRunner().invoke(main, command.split())
    shown = f"{result.stderr}{result.exception!r}"
    found[command] = result.exit_code, shown, sorted({*sys.modules} - before)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Outcome of each command; all run in one process without heavy imports."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "links").write_text("0-0 1-1\n")
    run = folder / "run"
    run.mkdir()
    (run / "run.json").write_text('{"format": 2, "pyro_align": "0.1.0", "status": "finished"}')
    (run / "config.toml").write_text("seed = 1\n")
    (run / "results.json").write_text('{"perplexity": 7.0, "sentences": 1, "tokens": 2}')
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps([*COMMANDS])],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_that_do_not_compute_import_nothing_heavy(outcomes, command):
    status, error, modules = outcomes[command]
    assert status == COMMANDS[command], error
    assert {*HEAVY} & {*modules} == set()


@pytest.mark.parametrize("registry", [MODELS, GUIDES, OBJECTIVES], ids=lambda one: one.kind)
def test_attributes_read_from_source_agree_with_the_classes(registry):
    name_of_fact = "pairs" if registry is OBJECTIVES else "latents"
    for name, place in registry.places().items():
        cls = registry.get(name)
        assert outline.attribute(place, name_of_fact) == getattr(cls, name_of_fact)
        assert outline.summary(place) == sys.modules[cls.__module__].__doc__.partition("\n")[0]


def test_classes_of_other_packages_are_imported():
    assert outline.summary("json:JSONDecoder") is None
    assert outline.attribute("pyro_align.inference.vimco:VIMCO", "nothing") is None
    assert Registry("decoder", "json:JSONDecoder", {"a": "json:JSONDecoder"}).summary("a")


def test_a_run_is_loaded_without_lightning():
    program = "import sys, pyro_align.runs.run; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=True
    )
    modules = done.stdout.split()
    assert "torch" in modules
    assert {"lightning", "pandas", "matplotlib"} & {*modules} == set()


def test_a_translation_imports_only_what_it_needs():
    program = """
import sys
from click.testing import CliRunner
from pyro_align.cli import main

result = CliRunner().invoke(main, ["predict", sys.argv[1]], input="ein hund")
assert result.exit_code == 0, result.output
print(*sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, shared_run()],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    heavy = {"lightning", "pandas", "matplotlib", "sacrebleu", "sympy", "torch._dynamo"}
    assert heavy & {*done.stdout.split()} == set()


LAZY = sorted(stub.parent.name for stub in Path(pyro_align.__file__).parent.glob("*/__init__.pyi"))


@pytest.mark.parametrize("part", LAZY)
def test_lazy_packages_agree_with_their_stubs(part):
    package = importlib.import_module(f"pyro_align.{part}")
    for name in package.__all__:
        assert getattr(package, name).__class__.__name__ != "module", name
