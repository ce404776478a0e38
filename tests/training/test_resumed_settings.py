"""Edited settings of a resumed fit are applied, or rejected by name."""

from __future__ import annotations

import json
import math
import re

import pandas as pd
import pytest
import torch
from runs import fitted, shared_corpus, silent, tiny_config

from pyro_align.errors import UserError
from pyro_align.inference import ExactMarginal
from pyro_align.runs import Run
from pyro_align.training.resumed import CHANGEABLE

CHANGES = {"network__cell": "gru", "training__epochs": 2}


@pytest.fixture
def run(tmp_path):
    return fitted(tiny_config(shared_corpus(), **CHANGES), tmp_path / "run").path


def edited(folder, **values):
    """Resume after replacing lines of config.toml."""
    path = folder / "config.toml"
    text = path.read_text()
    for key, value in values.items():
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.M)
        assert count == 1, key
    path.write_text(text)
    Run.resume(folder).fit(echo=silent, quiet=True)


REFUSED = {
    "optimizer": ('"adamw"', r"training\.optimizer = 'adamw', .* saved with 'adam'"),
    "batch_tokens": ("50", r"training\.batch_tokens = 50, .* saved with 100"),
    "accumulate": ("2", r"training\.accumulate = 2, .* saved with 1"),
    "seed": ("5", r"seed = 5, .* saved with 1"),
    "max_length": ("99", r"data\.max_length = 99, .* saved with 256"),
    "schedule": ('"constant"', r"training\.schedule = 'constant', .* saved with 'plateau'"),
    "embedding": ("16", r"network\.embedding = 16"),
    "epochs": ("1", r"training\.epochs = 1, but the fit is already in epoch 2"),
}


def test_settings_that_cannot_change_are_rejected_by_name(run):
    original = (run / "config.toml").read_text()
    for key, (value, match) in REFUSED.items():
        with pytest.raises(UserError, match=match):
            edited(run, **{key: value})
        (run / "config.toml").write_text(original)


def test_the_time_of_a_resumed_fit_includes_all_parts(run):
    path = run / "checkpoints" / "last.ckpt"
    saved = torch.load(path, weights_only=True)
    assert (
        0 < saved["fit_seconds"] <= json.loads((run / "run.json").read_text())["fit_seconds"] + 0.1
    )
    torch.save({**saved, "fit_seconds": 1000.0}, path)
    edited(run, epochs=3)
    assert 1000 < json.loads((run / "run.json").read_text())["fit_seconds"] < 1100


def test_a_finished_fit_is_not_trained_further(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    told = []
    resumed = Run.resume(run).fit(echo=told.append, quiet=True)
    assert told == ["already finished: increase training.epochs in config.toml to train further"]
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert not resumed.model.training
    # A fit that is killed after its settings were changed is not finished.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pyro_align.training.fit", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            edited(run, epochs=3)
    assert json.loads((run / "run.json").read_text())["status"] == "training"


def test_epochs_learning_rate_and_weight_decay_are_applied(run):
    before = pd.read_csv(run / "metrics.csv")["train/learning_rate"].dropna()
    assert set(before) == {0.02}
    edited(run, epochs=3, learning_rate=0.01, weight_decay=0.5)
    after = pd.read_csv(run / "metrics.csv")
    rates = after.dropna(subset="train/learning_rate").groupby("epoch")["train/learning_rate"]
    assert rates.last()[3] == 0.01
    saved = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    (group,) = saved["optimizer_states"][0]["param_groups"]
    assert (group["lr"], group["weight_decay"]) == (0.01, 0.5)


def test_changeable_settings_exist():
    config = tiny_config(shared_corpus())
    for key in CHANGEABLE:
        table, name = key.split(".")
        assert name in type(getattr(config, table)).model_fields


def test_the_line_of_an_epoch_covers_the_whole_epoch(tmp_path, capsys):
    changes = {**CHANGES, "objective__name": "exact", "guide__name": "none"}
    batches = []

    def summed(self, *arguments):
        found = terms(self, *arguments)
        if self.step is not None:
            batches.append((self.step, float(found.loss.detach()), arguments[2].num_targets))
        return found

    terms = ExactMarginal.terms
    run = Run.create(tiny_config(shared_corpus(), **changes), tmp_path / "run", echo=silent)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ExactMarginal, "terms", summed)
        patch.setattr("pyro_align.training.logs.LOG_EVERY", 2)
        run.fit(echo=silent)
    printed = re.findall(r"train perplexity +([\d.]+)", capsys.readouterr().err)
    per_epoch = len(batches) // 2
    assert per_epoch > 2
    for number, shown in enumerate(printed):
        epoch = batches[number * per_epoch : (number + 1) * per_epoch]
        nats = sum(loss for _, loss, _ in epoch) / sum(tokens for *_, tokens in epoch)
        assert float(shown) == pytest.approx(math.exp(nats), rel=1e-3)
    assert len(printed) == 2
