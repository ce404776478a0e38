"""Gradient statistics against their definitions and against known distributions."""

from __future__ import annotations

import math

import pytest
import torch
from support import random_batch
from tables import SOURCE, World
from torch import nn

from pyro_align.inference import ScoreFunctionELBO
from pyro_align.inference.diagnostics import (
    GROUPS,
    GradientDraws,
    effective_sample_size,
    flat_gradient,
    kept_bytes,
    without_dropout,
)


def statistics(draws, reference=None):
    held = GradientDraws(reference)
    for row in draws:
        held.add(row)
    return held.statistics()


def pairs_mean(vectors):
    """Mean inner product of different vectors, by loops."""
    products = [a @ b for i, a in enumerate(vectors) for j, b in enumerate(vectors) if i != j]
    return (sum(products) / len(products)).item()


@pytest.mark.parametrize("count", [3, GROUPS - 1, GROUPS, GROUPS + 5, 4 * GROUPS])
def test_statistics_match_their_definitions(count):
    reference = torch.randn(7).double()
    draws = reference + 1 + torch.randn(count, 7).double()
    found = statistics(draws, reference)
    assert found.signal == pytest.approx(reference.norm().item())
    assert found.noise == pytest.approx(draws.var(0).sum().sqrt().item())
    means = [draws[group::GROUPS].mean(0) for group in range(min(count, GROUPS))]
    assert found.bias == pytest.approx(math.sqrt(pairs_mean([m - reference for m in means])))
    assert found.noise_to_signal == pytest.approx(found.noise / found.signal)
    assert found.relative_bias == pytest.approx(found.bias / found.signal)
    without = statistics(draws)
    assert without.signal == pytest.approx(math.sqrt(pairs_mean(means)))
    assert without.noise == pytest.approx(found.noise)
    assert (without.bias, without.biased, without.relative_bias) == (None, None, None)


def test_standard_errors_match_repeated_experiments():
    """100 experiments of 48 samples in 20 dimensions, with norm 3 and bias 1."""
    reference = torch.full((20,), 3 / 20**0.5).double()
    expected = reference + torch.eye(20)[0].double()
    runs = [expected + 0.5 * torch.randn(48, 20).double() for _ in range(100)]
    with_reference = [statistics(draws, reference) for draws in runs]
    without = [statistics(draws) for draws in runs]
    for found, name, truth in (
        (with_reference, "noise", 0.5 * 20**0.5),
        (with_reference, "bias", 1.0),
        (without, "signal", expected.norm().item()),
    ):
        values = torch.tensor([getattr(each, name) for each in found])
        errors = torch.tensor([getattr(each, f"{name}_error") for each in found])
        # The standard deviation of 100 values is accurate to 7 %, and so is the jackknife.
        assert 0.7 < errors.mean() / values.std() < 1.4
        assert abs(values.mean() - truth) < 5 * values.std() / 100**0.5 + 0.003


@pytest.mark.parametrize("dimensions", [1, 3, 1000])
def test_bias_is_detected_only_if_present(dimensions):
    """A false alarm needs 6 standard deviations with 15 degrees of freedom: P < 3·10⁻⁵."""
    reference = torch.randn(dimensions).double()
    for _ in range(4):
        noise = torch.randn(64, dimensions).double()
        assert statistics(reference + noise, reference).biased is False
        # The mean of 64 samples deviates by an eighth of their standard deviation.
        biased = statistics(reference + noise + 2.0, reference)
        assert biased.biased is True
        assert biased.bias > biased.detectable


def test_rounding_is_not_reported_as_bias_but_a_constant_difference_is():
    reference = torch.randn(50)
    exact = statistics([reference] * 8, reference)
    assert (exact.noise, exact.noise_error, exact.bias, exact.biased) == (0, 0, 0, False)
    assert statistics([reference * (1 + 1e-6)] * 8, reference).biased is False
    different = statistics([reference * 1.25] * 8, reference)
    assert different.relative_bias == pytest.approx(0.25, rel=1e-4)
    assert different.bias_error == pytest.approx(0, abs=1e-3)
    assert different.biased is True


def test_ratios_are_none_without_signal():
    silent = statistics(torch.randn(10, 4), torch.zeros(4))
    assert silent.noise > 0
    assert silent.noise_to_signal is silent.noise_to_signal_error is silent.relative_bias is None


def test_statistics_need_three_samples():
    with pytest.raises(ValueError, match="at least three samples, got 2"):
        statistics(torch.randn(2, 4))


def test_score_function_noise_matches_enumeration():
    """With one position the estimator has one value per alignment."""
    world, batch = World(1, 1), random_batch((SOURCE,), (1,))
    prior, guide, likelihood = (part[0, 0] for part in world.parts(batch))
    q = guide.exp()
    divergence = (q * (guide - prior)).sum()
    losses = divergence - likelihood.detach() * guide
    values = torch.stack(
        [
            torch.autograd.grad(loss, world.posterior, retain_graph=True)[0].reshape(-1)
            for loss in losses
        ]
    )
    weights = q.detach()
    mean = weights @ values
    exact = (weights @ (values - mean).square().sum(-1)).sqrt().item()
    reference = flat_gradient(-world.bound(batch), [world.posterior])
    torch.testing.assert_close(mean, reference)

    objective, held = ScoreFunctionELBO(baseline="none"), GradientDraws(reference)
    for _ in range(300):
        loss = objective.differentiable_loss(world.model, world.guide, batch)
        held.add(flat_gradient(loss, [world.posterior]))
    found = held.statistics()
    # Six standard errors with 15 degrees of freedom: P < 5·10⁻⁵.
    assert abs(found.noise - exact) < 6 * found.noise_error
    assert found.noise_error < 0.1 * exact
    assert not found.biased


def test_flat_gradient_does_not_change_grad():
    used, unused = (torch.ones(2, 2, requires_grad=True) for _ in range(2))
    assert flat_gradient((used**2).sum(), [used, unused]).tolist() == [2] * 4 + [0] * 4
    assert used.grad is None


def test_effective_sample_size():
    """``(E_q w)² / E_q w²``, by its definition; padding has arbitrary values."""
    q, p = (torch.randn(2, 3, 4).double().softmax(-1) for _ in range(2))
    mask = torch.tensor([[True, True, True, False], [True] * 4]).unsqueeze(1)
    q, p = ((each * mask) / (each * mask).sum(-1, keepdim=True) for each in (q, p))
    weight = torch.where(mask, p / q, 0.0) * 17
    expected = (q * weight).sum(-1) ** 2 / (q * weight**2).sum(-1)
    padded = (each.log().where(mask, filler) for each, filler in ((p, -3.0), (q, -1e9)))
    found = effective_sample_size(*padded, mask)
    torch.testing.assert_close(found, expected)
    assert ((found > 0) & (found < 1)).all()
    torch.testing.assert_close(
        effective_sample_size(p.log(), p.log(), mask), torch.ones(2, 3).double()
    )


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.GRU(3, 3, num_layers=2, dropout=0.5)
        self.dropout = nn.Dropout(0.5)

    def forward(self, inputs):
        return self.dropout(self.network(inputs)[0])


@pytest.mark.parametrize("training", [True, False])
def test_without_dropout_restores_the_modes(training):
    module, inputs = Recurrent().train(training), torch.randn(5, 2, 3)
    assert torch.equal(module(inputs), module(inputs)) is not training
    with without_dropout(module, len):
        assert torch.equal(module(inputs), module(inputs))
        assert not module.dropout.training
        # cuDNN has no backward pass in evaluation mode.
        assert module.network.training
    with pytest.raises(ValueError, match="mine"), without_dropout(module):
        raise ValueError("mine")
    assert all(each.training is training for each in module.modules())
    assert module.network.dropout == 0.5


def test_kept_bytes():
    weight = torch.randn(10, 4, requires_grad=True)
    inputs = torch.randn(7, 10)

    def forward():
        hidden = (inputs @ weight).exp()
        return (hidden * hidden[:, :2].sum()).sum()

    # The inputs, the exponential (saved by three operations) and a scalar; not the weight.
    assert kept_bytes(forward, [weight]) == 4 * (7 * 10 + 7 * 4 + 1)
