"""Checkpoints of runs with one optimiser step per epoch, or a single step in all."""

from __future__ import annotations

import csv

import pytest
import torch
from runs import (
    assert_same,
    checkpoint,
    fitted,
    shared_corpus,
    silent,
    tiny_config,
    unfinished,
)

from pyro_align.errors import TrainingError
from pyro_align.inference import EnumeratedELBO
from pyro_align.runs import Run
from pyro_align.training.resumed import is_unchanged, plain

EPOCHS = 3
CHANGES = {
    "network__cell": "gru",
    "objective__name": "enumerated",
    "training__epochs": EPOCHS,
    "training__average": 0.9,
}
FINISHED = ["already finished: increase training.epochs in config.toml to train further"]


@pytest.fixture(
    scope="module",
    params=[{"training__batch_tokens": 5000}, {"training__accumulate": 99}],
    ids=["one batch", "one step of many batches"],
)
def config(request):
    """Configuration of a fit with one step per epoch."""
    return tiny_config(shared_corpus(), **CHANGES, **request.param)


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """A complete run."""
    return fitted(config, tmp_path_factory.mktemp("short") / "run").path


def rows(folder):
    """Metrics by step, without those of time."""
    with (folder / "metrics.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    return [{name: value for name, value in row.items() if "second" not in name} for row in found]


def resumed(folder):
    told = []
    Run.resume(folder).fit(echo=told.append, quiet=True)
    return told


def interrupted_in(epoch, made, monkeypatch):
    """Interrupt a fit in the first batch of an epoch, counted from 1."""
    terms = EnumeratedELBO.terms

    def interrupting(self, *arguments):
        if self.step == epoch - 1:
            raise KeyboardInterrupt
        return terms(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(EnumeratedELBO, "terms", interrupting)
        with pytest.raises(TrainingError, match="interrupted"):
            made.fit(echo=silent)


def test_an_interrupted_run_continues_at_its_epoch(config, whole, tmp_path, monkeypatch):
    assert [row["step"] for row in rows(whole) if row["valid/elbo"]] == ["1", "2", "3"]
    assert checkpoint(whole)["global_step"] == EPOCHS
    made = Run.create(config, tmp_path / "run", echo=silent)
    for epoch in (2, 3):
        interrupted_in(epoch, made, monkeypatch)
        assert checkpoint(made.path)["global_step"] == epoch - 1
        made = Run.resume(made.path)
    resumed(made.path)
    weights = "weights.safetensors"
    assert (made.path / weights).read_bytes() == (whole / weights).read_bytes()
    assert rows(made.path) == rows(whole)
    assert_same(checkpoint(made.path), checkpoint(whole))


def test_a_finished_run_is_not_trained_again(whole):
    before = {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    assert resumed(whole) == FINISHED
    assert {path: path.read_bytes() for path in whole.rglob("*") if path.is_file()} == before


def test_a_run_killed_at_its_end(whole):
    weights, before = (whole / "weights.safetensors").read_bytes(), rows(whole)
    assert resumed(unfinished(whole)) != FINISHED
    assert (whole / "weights.safetensors").read_bytes() == weights
    assert rows(whole) == before
    assert resumed(whole) == FINISHED


def test_seconds_of_training_do_not_include_validation(whole):
    saved = torch.load(whole / "checkpoints" / "last.ckpt", weights_only=True)
    with (whole / "metrics.csv").open(newline="") as file:
        seconds = [float(row["train/seconds"] or 0) for row in csv.DictReader(file)]
    assert saved["seconds"] == max(seconds)


@pytest.mark.parametrize("tokens", [100, 5000])
def test_a_single_step(tmp_path, tokens):
    changes = {**CHANGES, "training__batch_tokens": tokens, "training__max_steps": 1}
    run = fitted(tiny_config(shared_corpus(), **changes), tmp_path / "run").path
    assert checkpoint(run)["global_step"] == 1
    assert resumed(run) == FINISHED
    weights = (run / "weights.safetensors").read_bytes()
    resumed(unfinished(run))
    assert (run / "weights.safetensors").read_bytes() == weights
    assert checkpoint(run)["global_step"] == 1
    config = run / "config.toml"
    config.write_text(config.read_text().replace("max_steps = 1", "max_steps = 2"))
    resumed(run)
    assert [row["step"] for row in rows(run) if row["valid/elbo"]] == ["1", "2"]


def test_a_limit_of_steps_at_the_end_of_an_epoch(tmp_path):
    changes = {**CHANGES, "training__batch_tokens": 5000, "training__max_steps": 2}
    run = fitted(tiny_config(shared_corpus(), **changes), tmp_path / "run").path
    before = (run / "weights.safetensors").read_bytes(), rows(run)
    assert resumed(run) == FINISHED
    resumed(unfinished(run))
    assert ((run / "weights.safetensors").read_bytes(), rows(run)) == before


def test_a_setting_that_is_newer_than_the_checkpoint():
    config = tiny_config(shared_corpus(), **CHANGES)
    saved = plain(config)
    assert is_unchanged(config, saved)
    del saved["training"]["keep"]
    assert is_unchanged(config, saved)
    assert not is_unchanged(config.changed({"training.keep": "last"}), saved)
    assert not is_unchanged(config.changed({"training.epochs": EPOCHS + 1}), saved)
    assert not is_unchanged(config, {**saved, "seed": 9})
