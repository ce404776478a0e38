"""Several runs that predict together."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner
from forms import settings, shared_forms_run, words, write
from runs import WORKPLACE, shared_run

import pyro_align
from pyro_align.cli import main
from pyro_align.config import Config
from pyro_align.decoding import BeamSearch, Ensemble
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.runs import Run, RunEnsemble


@cache
def another(name="other", train=None, epochs=2) -> Path:
    """A run with another seed, hardly trained, on the same words unless others are given."""
    folder = WORKPLACE / f"ensemble-{name}"
    folder.mkdir()
    changes = {"seed": 5, "training.epochs": epochs}
    if train is not None:
        changes["data.train"] = [str(write(folder / "own.tsv", train))]
    config = Config.load(None, settings(folder, **changes))
    run = Run.create(config, folder / name, echo=lambda line: None)
    return run.fit(echo=lambda line: None, quiet=True).path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "test.tsv", words(20, 3))


def call(*arguments, text=None):
    result = CliRunner().invoke(main, [*map(str, arguments)], input=text)
    assert "Traceback" not in result.output
    return result


@pytest.mark.parametrize("average", ["linear", "log"])
def test_predictions_are_those_of_the_averaged_models(file, average):
    paths = shared_forms_run(), another()
    runs = [pyro_align.load(path) for path in paths]
    pairs = list(runs[0].task.read([file]))
    search = BeamSearch(Ensemble([run.model for run in runs], average), beam=5)
    source, target = runs[0].vocabularies
    ids = [source.encode(pair.source, pair.tags) for pair in pairs]
    expected = [target.decode(found[0].tokens) for found in search.search(ids)]

    lines = file.read_text().splitlines()
    assert list(RunEnsemble.load(paths, average).predict(lines)) == expected
    flags = [] if average == "linear" else ["--average", average]
    result = call("predict", paths[0], file, "--with", paths[1], *flags)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == expected
    alone = call("predict", paths[1], file).stdout.splitlines()
    assert alone != expected


def test_a_run_with_itself_predicts_and_evaluates_as_alone(file):
    run = another()
    for command in (
        ["predict", run, file, "--scores"],
        ["evaluate", run, "--test", file, "--json"],
    ):
        alone, together = call(*command), call(*command, "--with", run)
        assert alone.exit_code == together.exit_code == 0, together.output
        if command[0] == "predict":
            assert alone.stdout == together.stdout
        else:
            one, both = json.loads(alone.stdout), json.loads(together.stdout)
            assert both["perplexity"] == pytest.approx(one["perplexity"], rel=1e-4)
            assert both["languages"] == one["languages"]
            assert "elbo" not in both


def test_an_evaluation_shows_the_runs_and_edits(file):
    runs = shared_forms_run(), another()
    result = call("evaluate", runs[1], "--with", runs[0], "--test", file, "--edits", 3)
    assert result.exit_code == 0, result.output
    shown = " ".join(result.stdout.split())
    for part in ("forms", "other", "exact perplexity", "word error rate", "Most frequent edits"):
        assert part in shown
    assert "alignments summed out" not in shown


def test_sentences_are_translated_together():
    run = shared_run()
    alone = call("translate", run, text="ein hund\n\nkatze\n")
    together = call("translate", run, "--with", run, "--average", "log", text="ein hund\n\nkatze\n")
    assert together.exit_code == 0, together.output
    assert together.stdout == alone.stdout


def test_runs_that_cannot_be_averaged_are_named():
    small = another("small", tuple(words(2, 1)), epochs=1)
    for first, other, message in (
        (shared_forms_run(), small, "have different source vocabularies"),
        (shared_forms_run(), shared_run(), "an ensemble needs runs of one task"),
    ):
        result = call("predict", first, "--with", other, text="abd\tN;PL\n")
        assert result.exit_code == 2
        found = " ".join(result.stderr.split())
        assert message in found
        assert str(first) in found
        assert str(other) in found
    with pytest.raises(IncompatibleError, match="different source vocabularies"):
        RunEnsemble.load([shared_forms_run(), small])


def test_bad_options_are_rejected(tmp_path):
    run = shared_forms_run()
    assert "add runs --with RUN" in call("predict", run, "--average", "log", text="").stderr
    assert "nothing: not a run folder" in call("evaluate", run, "--with", "nothing").stderr
    with pytest.raises(ConfigError, match="at least one run"):
        RunEnsemble([])
