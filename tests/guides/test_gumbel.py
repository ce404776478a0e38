"""Gumbel-softmax guide."""

from __future__ import annotations

import pyro
import pytest
import torch
from pyro import poutine
from runs import checkpoint, fitted, shared_corpus, silent, tiny_config, unfinished
from support import evidence, padded, random_batch, tiny_guide, tiny_model

import pyro_align
from pyro_align.errors import ConfigError
from pyro_align.guides import GumbelGuide
from pyro_align.inference import EnumeratedELBO, score_positions
from pyro_align.runs import Run
from pyro_align.testing import GuideContract
from pyro_align.training import load_weights, save_weights

BATCH = padded(random_batch(), source=1, target=1)


class TestGumbelGuide(GuideContract):
    has_parameters = True

    def create_model(self, **settings):
        return tiny_model(**settings)

    def create(self, model, *, seed=1):
        return tiny_guide(model, GumbelGuide, seed=seed)

    def test_bound_is_below_the_evidence(self):
        """Uses the bound of the Categorical that the guide relaxes."""
        model, guide = self.pair()
        scores = score_positions(model, guide, BATCH)
        assert scores.elbo.sum() < evidence(model, BATCH)
        bound = -EnumeratedELBO().loss(model, guide.amortized, BATCH)
        assert scores.elbo.sum().item() == pytest.approx(bound)


class TestStraightThroughGumbelGuide(TestGumbelGuide):
    def create(self, model, *, seed=1):
        return tiny_guide(model, GumbelGuide, seed=seed, straight_through=True)


def test_site_has_the_scores_and_the_temperature():
    guide = tiny_guide(tiny_model(), GumbelGuide, temperature=0.8)
    site = poutine.trace(guide).get_trace(BATCH).nodes["alignment"]
    expected = guide.amortized.scores(BATCH).log_softmax(-1)
    torch.testing.assert_close(site["fn"].logits, expected)
    assert site["fn"].temperature == pytest.approx(0.8)
    guide.temperature.fill_(0.6)
    fn = poutine.trace(guide).get_trace(BATCH).nodes["alignment"]["fn"]
    assert fn.temperature == pytest.approx(0.6)


def test_straight_through_values_are_one_hot_and_relaxed_ones_are_not():
    model = tiny_model()
    hard = tiny_guide(model, GumbelGuide, straight_through=True)(BATCH)["alignment"]
    assert ((hard == 0) | (hard == 1)).all()
    soft = tiny_guide(model, GumbelGuide, temperature=5.0)(BATCH)["alignment"]
    assert ((soft > 0) & (soft < 1)).any()


def test_the_temperature_halves_until_it_reaches_the_floor():
    guide = tiny_guide(tiny_model(), GumbelGuide, temperature=2.0, floor=0.3, half_life=10)
    found = []
    for step in (0, 10, 20, 25, 30, 1000, 0):
        guide.anneal(step)
        found.append(guide.temperature.item())
    assert found == pytest.approx([2.0, 1.0, 0.5, 2 ** (1 - 2.5), 0.3, 0.3, 2.0])


def test_a_loaded_guide_samples_like_the_saved_one(tmp_path):
    model = tiny_model()
    saved, loaded = (tiny_guide(model, GumbelGuide, seed=seed, floor=0.1) for seed in (1, 2))
    saved.anneal(12_000)
    save_weights(tmp_path / "weights", {"guide": saved}, {})
    load_weights(tmp_path / "weights", {"guide": loaded})
    assert loaded.temperature.item() == pytest.approx(0.5**2.4)
    draws = []
    for guide in (saved, loaded):
        pyro.set_rng_seed(3)
        draws.append(guide(BATCH)["alignment"])
    assert torch.equal(*draws)


def test_a_run_saves_and_resumes_the_temperature(tmp_path, monkeypatch):
    """Loading restores the temperature of the best weights; resuming continues the schedule."""
    config = tiny_config(
        shared_corpus(),
        network__cell="gru",
        guide__name="gumbel",
        guide__half_life=2,
        guide__floor=0.01,
        training__max_steps=5,
        training__checkpoint_every=1,
        # Makes the first validation the best.
        training__learning_rate=1e-30,
    )
    run = fitted(config, tmp_path / "run")
    best = int(load_weights(run.path / "weights.safetensors", run.programs)["step"])
    expected = 0.5 ** ((best - 1) / 2)
    assert 0.01 < expected < 1
    assert run.guide.temperature.item() == pytest.approx(expected)
    assert torch.equal(pyro_align.load(run.path).guide.temperature, run.guide.temperature)

    told = []
    anneal = GumbelGuide.anneal

    def watched(guide, step):
        anneal(guide, step)
        told.append((step, guide.temperature.item()))

    monkeypatch.setattr(GumbelGuide, "anneal", watched)
    Run.resume(unfinished(run.path)).fit(echo=silent)
    first = checkpoint(run.path)["global_step"]
    assert told == [(step, pytest.approx(0.5 ** (step / 2))) for step in range(first, 5)]
    assert first > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"floor": 0.0}, "above 0"),
        ({"temperature": 0.4}, "temperature 0.4 and floor 0.5"),
        ({"half_life": 0}, "half_life must be 1 or more"),
    ],
)
def test_invalid_schedules_are_rejected(options, message):
    with pytest.raises(ConfigError, match=message):
        GumbelGuide(tiny_model(), **options)
