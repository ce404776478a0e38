"""The expected score-function gradient equals the enumerated gradient."""

from __future__ import annotations

import pytest
import torch
from support import (
    SIGMAS,
    VOCABULARY,
    assert_unbiased,
    collected_gradient,
    gradient,
    mean_error,
    random_batch,
    randomise,
    repeated,
    row_variance,
    tiny_guide,
    tiny_model,
)

from pyro_align.distributions import TokenSubset, token_subset
from pyro_align.errors import ConfigError
from pyro_align.guides import AmortizedGuide, PriorGuide
from pyro_align.inference import EnumeratedELBO, ScoreFunctionELBO

DRAWS, ROWS = 24, 200
"""Number of independent mean gradients, and how often each repeats the batch."""

BATCH = random_batch((3, 2), (2, 3))


def pair(kind=AmortizedGuide):
    """A model and a guide that disagree, so that KL divergence and gradients are large."""
    model = tiny_model()
    return model, tiny_guide(model, kind)


def draws(objective, model, guide, rows=ROWS):
    """Independent estimates of the gradient of one batch, for model and guide."""
    batch, grads = repeated(BATCH, rows), []
    for _ in range(DRAWS):
        objective.loss_and_grads(model, guide, batch)
        grads.append(collected_gradient(model, guide) / rows)
    return torch.stack(grads)


def weighted(objective, kl_weight):
    objective.kl_weight = kl_weight
    return objective


def enumerated(model, guide, kl_weight=1.0):
    loss = weighted(EnumeratedELBO(), kl_weight).differentiable_loss(model, guide, BATCH)
    return gradient(loss, model, guide)


@pytest.mark.parametrize(
    ("kind", "baseline", "samples", "kl_weight"),
    [
        (AmortizedGuide, "none", 1, 1.0),
        (AmortizedGuide, "none", 4, 0.3),
        (AmortizedGuide, "soft-attention", 1, 1.0),
        (AmortizedGuide, "soft-attention", 1, 0.3),
        (AmortizedGuide, "soft-attention", 4, 1.0),
        (AmortizedGuide, "average", 1, 1.0),
        (AmortizedGuide, "network", 1, 1.0),
        (AmortizedGuide, "network", 4, 0.3),
        (AmortizedGuide, "leave-one-out", 2, 1.0),
        (AmortizedGuide, "leave-one-out", 4, 0.3),
        (PriorGuide, "average", 4, 1.0),
        (PriorGuide, "network", 1, 1.0),
        (PriorGuide, "leave-one-out", 2, 1.0),
        (PriorGuide, "soft-attention", 1, 1.0),
        (PriorGuide, "none", 4, 1.0),
    ],
)
def test_gradient_is_unbiased(kind, baseline, samples, kl_weight):
    model, guide = pair(kind)
    objective = weighted(ScoreFunctionELBO(baseline=baseline, samples=samples), kl_weight)
    randomise(objective.module(model))
    estimates = draws(objective, model, guide, rows=ROWS // samples)
    assert_unbiased(estimates, enumerated(model, guide, kl_weight))


def test_the_tolerance_detects_a_missing_score_or_a_wrong_weight():
    model, guide = pair()

    class Scoreless(ScoreFunctionELBO):
        def _score(self, site, cost):
            return 0 * super()._score(site, cost)

    for objective in (Scoreless(), weighted(ScoreFunctionELBO(), 0.3)):
        error = mean_error(draws(objective, model, guide), enumerated(model, guide))
        assert error.max() > SIGMAS


@pytest.mark.parametrize("samples", [1, 4])
def test_loss_is_unbiased(samples):
    model, guide = pair()
    objective = weighted(ScoreFunctionELBO(samples=samples), 0.3)
    batch = repeated(BATCH, ROWS)
    terms = [objective.terms(model, guide, batch) for _ in range(DRAWS)]
    expected = weighted(EnumeratedELBO(), 0.3).terms(model, guide, BATCH)
    for name in ("loss", "log_likelihood", "total_kl"):
        values = torch.stack([getattr(each, name).detach() for each in terms]).unsqueeze(1) / ROWS
        assert_unbiased(values, getattr(expected, name).detach().unsqueeze(0))


@pytest.mark.parametrize("samples", [1, 4])
def test_kl_is_computed_in_closed_form(samples):
    model, guide = pair()
    expected = EnumeratedELBO().terms(model, guide, BATCH).total_kl
    for _ in range(3):
        terms = ScoreFunctionELBO(samples=samples).terms(model, guide, BATCH)
        torch.testing.assert_close(terms.total_kl, expected)
        torch.testing.assert_close(terms.loss.detach(), terms.total_kl - terms.log_likelihood)


def test_gradient_is_unbiased_with_an_estimated_normaliser(monkeypatch):
    monkeypatch.setattr(token_subset, "OTHERS", 1)
    model = tiny_model(vocabulary=4 * VOCABULARY)
    guide = tiny_guide(model)
    assert TokenSubset.with_required(BATCH.target, 4 * VOCABULARY) is not None
    estimates = draws(ScoreFunctionELBO(), model, guide)
    assert_unbiased(estimates, enumerated(model, guide))


@pytest.mark.parametrize("kind", [AmortizedGuide, PriorGuide])
def test_soft_attention_baseline_reduces_the_variance(kind):
    model, guide = pair(kind)
    scorer = model.networks.decoder.scorer.projection if kind is PriorGuide else guide.bilinear
    many = repeated(random_batch((3,), (3,)), 2000)
    variance = {
        name: row_variance(ScoreFunctionELBO(baseline=name), model, guide, many, scorer)
        for name in ("none", "soft-attention")
    }
    assert variance["soft-attention"] < 0.1 * variance["none"]


def test_leave_one_out_reduces_the_variance():
    model, guide = pair()
    many = repeated(random_batch((3,), (3,)), 2000)
    variance = {
        name: row_variance(
            ScoreFunctionELBO(baseline=name, samples=4), model, guide, many, guide.bilinear
        )
        for name in ("none", "leave-one-out")
    }
    assert variance["leave-one-out"] < 0.2 * variance["none"]


def test_leave_one_out_needs_two_samples():
    with pytest.raises(ConfigError, match=r"'leave-one-out' needs samples = 2 or more, got 1"):
        ScoreFunctionELBO(baseline="leave-one-out")


def test_more_samples_reduce_the_variance():
    model, guide = pair()
    many = repeated(random_batch((3,), (3,)), 2000)
    one, eight = (
        row_variance(ScoreFunctionELBO(samples=samples), model, guide, many, guide.bilinear)
        for samples in (1, 8)
    )
    assert eight / one == pytest.approx(1 / 8, rel=0.3)


def test_an_unknown_baseline_is_rejected():
    with pytest.raises(ConfigError, match=r"did you mean 'soft-attention'\?.*none"):
        ScoreFunctionELBO(baseline="soft_attention")


def test_loss_under_autocast_is_fp32_and_close():
    # A CPU without bf16 instructions has no bf16 LSTM, but every CPU has the GRU.
    model = tiny_model(cell="gru").float()
    guide, batch = tiny_guide(model).float(), repeated(BATCH, 500)
    expected = EnumeratedELBO().loss(model, guide, BATCH)
    with torch.autocast("cpu", torch.bfloat16):
        loss = ScoreFunctionELBO().differentiable_loss(model, guide, batch)
    assert loss.dtype == torch.float32
    assert loss.item() / 500 == pytest.approx(expected, rel=0.05)
