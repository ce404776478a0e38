"""Training, evaluation and translation with every kind of latent alignment."""

from __future__ import annotations

import math

import pytest
from runs import fitted, shared_corpus, tiny_config

from pyro_align.config.registry import choose
from pyro_align.data import ParallelText
from pyro_align.distributions import LabelSmoothing
from pyro_align.runs import Run

METHODS = [
    ("dirichlet", "amortized-dirichlet", "relaxed"),
    ("categorical", "gumbel", "gumbel-softmax"),
    ("categorical", "exact", "enumerated"),
    ("categorical", "transformer", "enumerated"),
    ("categorical", "posterior-mixture", "score-function"),
    ("categorical", "corrected-prior", "exact"),
]


@pytest.mark.parametrize(("model", "guide", "objective"), METHODS)
def test_fit_evaluate_translate(model, guide, objective, tmp_path):
    corpus = shared_corpus()
    config = tiny_config(
        corpus,
        network__cell="gru",
        training__epochs=1,
        model__name=model,
        guide__name=guide,
        objective__name=objective,
    )
    run = fitted(config, tmp_path / "run")
    text = ParallelText.open(corpus["valid"])
    result = run.evaluate(text, translate=False)
    positions = result.positions
    for value in (positions.perplexity, positions.elbo, positions.kl, positions.gap):
        assert math.isfinite(value)
    assert positions.kl >= -1e-6
    assert positions.log_evidence == pytest.approx(positions.elbo + positions.gap, abs=1e-5)
    assert len(list(run.translate(["ein hund sieht"], beam=2))) == 1


def test_a_transformer_is_trained_with_smoothed_labels(tmp_path, monkeypatch):
    """Of all that is computed only the loss is smoothed."""
    smoothed = []
    log_prob = LabelSmoothing.log_prob
    monkeypatch.setattr(
        LabelSmoothing,
        "log_prob",
        lambda self, *a: smoothed.append(self.rate) or log_prob(self, *a),
    )
    config = tiny_config(
        shared_corpus(),
        network__kind="transformer",
        network__encoder_hidden=8,
        network__decoder_hidden=8,
        network__heads=2,
        training__epochs=1,
        training__max_steps=3,
        training__label_smoothing=0.2,
        training__schedule="inverse-square-root",
        training__warmup_steps=2,
        model__name="categorical",
        objective__name="exact",
    )
    run = fitted(config, tmp_path / "run")
    assert smoothed == [0.2] * 4  # a trial and three steps
    assert "1 layer of Transformer, 8" in dict(run.task.described())["encoder"]
    assert len(list(run.translate(["ein hund sieht"], beam=2))) == 1


def test_the_warm_up_ends_at_its_step(tmp_path):
    """Training sets the objective's step."""
    config = tiny_config(
        shared_corpus(),
        network__cell="gru",
        training__epochs=1,
        model__name="dirichlet",
        guide__name="amortized-dirichlet",
        objective__name="relaxed",
        objective__warmup_steps=2,
    )
    seen = []

    def watch(run):
        terms, traces = run.objective.terms, run.objective._traces

        def watched(*args):
            seen.append(0)
            return terms(*args)

        def counted(*args):
            seen[-1] += 1
            return traces(*args)

        run.objective.terms, run.objective._traces = watched, counted

    run = Run.create(config, tmp_path / "run", echo=lambda line: None)
    watch(run)
    run.fit(echo=lambda line: None)
    # Warming up the objective draws from the prior as well.
    assert seen[:2] == [2, 2]
    assert len(seen) > 2
    assert set(seen[2:]) == {1}


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        (("soft", None, None), ("none", "likelihood")),
        (("categorical", None, None), ("corrected-prior", "exact")),
        (("dirichlet", None, None), ("amortized-dirichlet", "relaxed")),
        (("categorical", "gumbel", None), ("gumbel", "gumbel-softmax")),
        (("categorical", None, "gumbel-softmax"), ("gumbel", "gumbel-softmax")),
        (("categorical", "exact", None), ("exact", "exact")),
    ],
)
def test_defaults_of_guide_and_objective(given, chosen):
    assert choose(*given) == chosen
