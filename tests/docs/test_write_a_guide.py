"""The page "Write a guide": its code and commands are run."""

import inspect

import pytest
from commands import run_commands
from pages import DOCS, Page, written_class
from pyro.infer import TraceEnum_ELBO, config_enumerate
from runs import shared_corpus
from support import evidence

from pyro_align.data import ParallelText
from pyro_align.data.batch import TextBatch
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.runs import Run

PAGE = Page(DOCS / "how-to" / "write-a-guide.md")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The run that the page's commands create, and their output."""
    folder = tmp_path_factory.mktemp("guide")
    written_class(PAGE, folder, "--guide")
    printed = run_commands(PAGE.commands, folder)
    return Run.load(folder / "runs" / "lexical"), printed


def test_at_most_forty_lines():
    assert len(PAGE.text.splitlines()) <= 40


def test_the_commands_fit_and_evaluate():
    assert [arguments[0] for arguments in PAGE.commands] == ["fit", "evaluate"]


def test_the_runs_guide_is_the_class_of_the_page(finished):
    run, _ = finished
    (block,) = PAGE.code("python")
    assert type(run.guide).__name__ == "LexicalGuide"
    assert inspect.getsource(type(run.guide)) in block
    assert run.config.guide.name == "code/lexical.py:LexicalGuide"
    assert {side.out_features for side in run.guide.sides} == {32}
    assert run.guide.model is run.model


def test_bound_is_below_the_evidence(finished):
    run, _ = finished
    pairs = list(ParallelText.open(shared_corpus()["valid"]))
    batch = TextBatch.from_ids(
        run.source_vocabulary.encode_all([pair.source for pair in pairs]),
        run.target_vocabulary.encode_all([pair.target for pair in pairs]),
    )
    elbo = TraceEnum_ELBO(max_plate_nesting=MAX_PLATE_NESTING)
    bound = -elbo.loss(run.model, config_enumerate(run.guide), batch)
    exact = evidence(run.model, batch).item()
    assert bound < exact
    means = run.evaluate(ParallelText.open(shared_corpus()["valid"]), translate=False).positions
    assert means.elbo * batch.num_targets == pytest.approx(bound, rel=1e-5)
    assert means.log_evidence * batch.num_targets == pytest.approx(exact, rel=1e-5)
    # A difference of two sums in fp32.
    assert means.gap * batch.num_targets == pytest.approx(exact - bound, rel=1e-2, abs=1e-3)


def test_the_commands_print_the_line_that_the_page_explains(finished):
    _, printed = finished
    assert "`KL(guide ‖ exact posterior)`" in PAGE.text
    for table in printed:
        assert "KL(guide ‖ exact posterior)" in table
