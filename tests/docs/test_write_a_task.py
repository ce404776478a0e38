"""The page "Write a task": its code is a task outside the package."""

import contextlib

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from pages import DOCS, Page

from pyro_align.cli import main
from pyro_align.runs import Run

PAGE = Page(DOCS / "how-to" / "write-a-task.md")
CODE, USE = PAGE.code("python")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the page's file and a run of its command, stopped after a few steps."""
    folder = tmp_path_factory.mktemp("task")
    (folder / "lookup.py").write_text(CODE)
    (arguments,) = PAGE.commands
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYRO_ALIGN_RUN", "nowhere")
        found = CliRunner().invoke(main, [*arguments, "--set", "training.max_steps=30"])
    assert found.exit_code == 0, found.output
    assert "exact perplexity" in found.stdout
    return folder


def test_the_code_that_uses_the_run_works(folder):
    names = {}
    with contextlib.chdir(folder):
        exec(USE, names)
    assert len(names["answers"]) == 200
    assert {*names["answers"]} <= set(range(6))
    assert names["alignment"].shape == (200, 5)
    torch.testing.assert_close(names["alignment"].sum(1), torch.ones(200))


def test_the_run_contains_the_task(folder):
    (folder / "lookup.py").unlink(missing_ok=True)
    run = Run.load(folder / "runs" / "lookup")
    assert run.config.data.size == 500
    assert type(run.task).__module__.startswith("pyro_align_file_")
    examples = run.task.examples("test")
    batch = examples.batch(np.arange(20))
    asked = examples.items[np.arange(20), :, :8].argmax(-1) == examples.question[:20, None]
    assert (asked.sum(1) == 1).all()  # as described on the page
    assert run.evaluate().sentences == 200
    assert batch.num_targets == 20


@pytest.mark.parametrize("command", ["evaluate", "diagnose --repeats 8 --only exact"])
def test_commands_that_need_no_text(folder, command):
    name, *options = command.split()
    with contextlib.chdir(folder):
        found = CliRunner().invoke(main, [name, "runs/lookup", *options])
        refused = CliRunner().invoke(main, [name, "runs/lookup", "--test", "lookup.py", "x"])
    assert found.exit_code == 0, found.output
    assert "log evidence" in found.stdout
    assert refused.exit_code == 2


def test_settings_of_the_task_are_checked(folder, tmp_path):
    (tmp_path / "lookup.py").write_text(CODE)
    with contextlib.chdir(tmp_path):
        command = ["fit", "--task", "lookup.py:Lookup", "--set", "data.sizes=3"]
        found = CliRunner().invoke(main, command)
    assert found.exit_code == 2
    assert "unknown key 'data.sizes'" in found.output
    assert "'size'" in found.output
