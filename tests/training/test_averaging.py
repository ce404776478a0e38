"""Moving averages of weights: their values, and what they change."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from runs import checkpoint, fitted, shared_corpus, silent, tiny_config
from safetensors.torch import load_file

import pyro_align
from pyro_align.runs import Run
from pyro_align.training import TrainingModule

CHANGES = {
    "network__cell": "gru",
    "guide__name": "none",
    "objective__name": "exact",
    "training__schedule": "constant",
}


def weights_of(module):
    return {name: weight.detach().clone() for name, weight in module.named_parameters()}


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_is_saved_and_the_weights_are_trained(tmp_path, monkeypatch, decay, accumulate):
    config = tiny_config(
        shared_corpus(),
        **CHANGES,
        training__average=decay,
        training__accumulate=accumulate,
        training__epochs=1,
    )
    run = Run.create(config, tmp_path / "run", echo=silent)
    average, trained = weights_of(run.model), {}

    def watched(self, outputs, batch, batch_idx):
        step = self.trainer.global_step
        if step not in trained:
            trained[step] = weights_of(self.elbo.model)

    monkeypatch.setattr(TrainingModule, "on_train_batch_end", watched)
    run.fit(echo=silent, quiet=True)
    trained.pop(0, None)
    assert len(trained) > 2
    for step, weights in sorted(trained.items()):
        kept = min(decay, step / (step + 9))
        average = {name: kept * average[name] + (1 - kept) * weights[name] for name in weights}
    saved = load_file(tmp_path / "run" / "weights.safetensors")
    for name, expected in average.items():
        torch.testing.assert_close(saved[f"model.{name}"], expected, rtol=1e-4, atol=1e-6)
    # Otherwise this test could not fail.
    last = trained[max(trained)]
    assert any((last[name] - average[name]).abs().max() > 1e-3 for name in last)


def test_the_average_is_validated_and_does_not_change_training(tmp_path):
    runs = {
        decay: fitted(
            tiny_config(shared_corpus(), **CHANGES, training__average=decay, training__epochs=3),
            tmp_path / str(decay),
        ).path
        for decay in (0.0, 0.9)
    }
    metrics = {decay: pd.read_csv(path / "metrics.csv") for decay, path in runs.items()}
    trained = [frame["train/perplexity"].dropna().tolist() for frame in metrics.values()]
    assert trained[0] == trained[1]
    states = [checkpoint(path)["state_dict"] for path in runs.values()]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    plain, averaged = (frame["valid/perplexity"].dropna() for frame in metrics.values())
    assert (plain.array != averaged.array).all()
    found = pyro_align.load(runs[0.9]).evaluate(translate=False).positions.perplexity
    assert found == pytest.approx(averaged.min(), rel=1e-5)


def test_a_frozen_model_stays_exactly_as_it_is(tmp_path):
    start = fitted(
        tiny_config(shared_corpus(), network__cell="gru", training__epochs=1), tmp_path / "run"
    )
    swapped = start.swap_guide("amortized", training__average=0.9, training__epochs=2)
    before = weights_of(start.model)
    swapped.fit(echo=silent, quiet=True)
    assert all(torch.equal(before[name], one) for name, one in weights_of(swapped.model).items())
