"""The importance-weighted bound and its gradients against sums over all K-tuples of alignments."""

from __future__ import annotations

import math

import pytest
import torch
from support import random_batch, repeated
from tables import ONE, POSITIONS, Tuples, World, flat_gradient, gradients, worst_error

from pyro_align.errors import ConfigError
from pyro_align.inference import VIMCO, ImportanceWeightedBound

ROWS = 20_000

ESTIMATORS = {
    "plain": lambda samples: ImportanceWeightedBound(samples=samples),
    "geometric": lambda samples: VIMCO(samples=samples),
    "arithmetic": lambda samples: VIMCO(samples=samples, mean="arithmetic"),
}


def exact(samples, kl_weight=1.0):
    """Gradient of the expected bound, by the product rule."""
    world = World(1, POSITIONS)
    tuples = Tuples.of(world, ONE, samples, kl_weight)
    return flat_gradient(tuples.expectation(tuples.bound), world)


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize(("samples", "kl_weight"), [(2, 1.0), (3, 1.0), (3, 0.4)])
def test_gradient_is_unbiased(name, samples, kl_weight):
    objective = ESTIMATORS[name](samples)
    objective.kl_weight = kl_weight
    assert worst_error(gradients(objective, ROWS), exact(samples, kl_weight)) < 6


@pytest.mark.parametrize("kl_weight", [1.0, 0.4])
def test_bound_with_one_sample_is_the_evidence_lower_bound(kl_weight):
    world, objective = World(1, POSITIONS), ImportanceWeightedBound(samples=1)
    objective.kl_weight = kl_weight
    expected = flat_gradient(world.bound(ONE, kl_weight), world)
    assert worst_error(gradients(objective, ROWS), expected) < 6


def test_the_tolerance_detects_a_wrong_gradient():
    class ItselfIncluded(VIMCO):
        """A wrong estimator, whose learning signal depends on its own sample."""

        def _without_each(self, log_weight):
            return log_weight

    class Pathwise(VIMCO):
        """A wrong estimator without a score."""

        def _surrogate(self, draws):
            return draws.log_mean_weight

    for wrong in (ItselfIncluded, Pathwise):
        assert worst_error(gradients(wrong(samples=3), ROWS), exact(3)) > 20
    assert worst_error(gradients(VIMCO(samples=2), ROWS), exact(3)) > 20


@pytest.mark.parametrize("samples", [2, 3, 5])
def test_learning_signals_match_the_paper(samples):
    log_weight = 3 * torch.randn(samples, 2, 3, dtype=torch.float64)
    weight = log_weight.exp()
    for mean in ("geometric", "arithmetic"):
        found = VIMCO(samples=samples, mean=mean)._without_each(log_weight)
        for k in range(samples):
            others = torch.cat([weight[:k], weight[k + 1 :]])
            stand_in = (
                others.prod(0) ** (1 / (samples - 1)) if mean == "geometric" else others.mean(0)
            )
            torch.testing.assert_close(found[k], ((others.sum(0) + stand_in) / samples).log())


def test_learning_signals_do_not_overflow():
    log_weight = torch.tensor([-900.0, -1000.0, -2000.0]).reshape(3, 1, 1)
    for mean in ("geometric", "arithmetic"):
        found = VIMCO(samples=3, mean=mean)._without_each(log_weight)
        assert torch.isfinite(found).all()
    # Without the largest of three weights, the second remains and the mean of the two others.
    assert found[0].item() == pytest.approx(-1000 + math.log(1.5 / 3))


@pytest.mark.parametrize("samples", [2, 4])
def test_vimco_reduces_the_variance(samples):
    variance = {
        name: gradients(make(samples), 4000).var(0).sum().item()
        for name, make in ESTIMATORS.items()
    }
    assert variance["geometric"] < 0.2 * variance["plain"]
    assert variance["arithmetic"] < 0.2 * variance["plain"]


@pytest.mark.parametrize("seed", range(3))
def test_bound_increases_with_the_samples_up_to_the_evidence(seed):
    batch = random_batch((3, 3), (3, 2), seed=seed)
    world = World(*batch.target.shape, seed=seed)
    bounds = []
    for samples in (1, 2, 3, 4):
        tuples = Tuples.of(world, batch, samples)
        bounds.append(tuples.expectation(tuples.bound).item())
    torch.testing.assert_close(bounds[0], world.bound(batch).item())
    assert bounds == sorted(bounds)
    assert bounds[0] + 0.01 < bounds[-1] < world.evidence(batch).item() - 0.001


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("samples", [2, 3])
def test_loss_is_the_negative_bound(name, samples):
    world = World(1, POSITIONS)
    tuples = Tuples.of(world, ONE, samples)
    expected = -tuples.expectation(tuples.bound).detach().reshape(1)
    rows = 400
    many = World(rows, POSITIONS)
    draws = [
        ESTIMATORS[name](samples).loss(many.model, many.guide, repeated(ONE, rows)) / rows
        for _ in range(50)
    ]
    assert worst_error(torch.tensor(draws, dtype=torch.float64).unsqueeze(1), expected) < 8


@pytest.mark.parametrize("name", ESTIMATORS)
def test_bound_equals_the_evidence_if_the_guide_is_the_posterior(name):
    batch = random_batch((3, 3), (3, 2))
    world = World(*batch.target.shape)
    for samples in (2, 5):
        loss = ESTIMATORS[name](samples).loss(world.model, world.exact_posterior, batch)
        assert -loss == pytest.approx(world.evidence(batch).item(), rel=1e-12)


@pytest.mark.parametrize(
    ("objective", "options", "least"),
    [(ImportanceWeightedBound, {"samples": 0}, 1), (VIMCO, {"samples": 1}, 2)],
)
def test_too_few_samples_are_rejected(objective, options, least):
    with pytest.raises(ConfigError, match=f"{objective.__name__} needs samples = {least} or more"):
        objective(**options)


def test_an_unknown_mean_is_rejected_with_a_suggestion():
    with pytest.raises(ConfigError, match=r"'harmonic'; .*arithmetic"):
        VIMCO(mean="harmonic")
