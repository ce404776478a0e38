"""Diagnoses against enumeration of all samples, and on every kind of program."""

from __future__ import annotations

import copy

import pyro
import pyro.distributions as dist
import pytest
import torch
from support import gradient, padded, random_batch, tiny_guide, tiny_model
from tables import SOURCE, Fixed, World
from torch import nn

from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.evaluation.diagnosis import diagnose, fitting_objectives
from pyro_align.guides import (
    AmortizedDirichletGuide,
    AmortizedGuide,
    ExactGuide,
    GumbelGuide,
    NoGuide,
    PriorGuide,
)
from pyro_align.inference import (
    AverageBaseline,
    EnumeratedELBO,
    RelaxedELBO,
    ReweightedWakeSleep,
    ScoreFunctionELBO,
    TopKMarginal,
    alignment_plates,
    score_positions,
)
from pyro_align.inference.reweighted_wake_sleep import wake_phase
from pyro_align.models import CategoricalModel, DirichletModel, SoftModel


def pair(model=CategoricalModel, guide=AmortizedGuide, **settings):
    made = tiny_model(model, **settings)
    return made, tiny_guide(made, guide)


def one(objective, *programs, batch, **options):
    """Diagnosis of a single objective."""
    found = diagnose(*programs, batch, {"it": objective}, **options)
    return found.objectives["it"]


def test_noise_matches_enumeration_of_all_samples():
    """With one target position the score function has one gradient per alignment."""
    model, guide = pair()
    batch = random_batch((3,), (1,))
    objective = ScoreFunctionELBO(baseline="none")
    q = guide.scores(batch).softmax(-1).reshape(-1).detach()
    losses = [
        objective.differentiable_loss(model, Fixed(torch.full((1, 1), s))(guide), batch)
        for s in range(3)
    ]
    found = one(objective, model, guide, batch=batch, repeats=64)
    assert found.target == "ELBO"
    assert found.enumerated
    for name, program in (("guide", guide), ("model", model)):
        values = torch.stack([gradient(loss, program) for loss in losses])
        mean = q @ values
        exact = (q @ (values - mean).square().sum(-1)).sqrt().item()
        statistics = getattr(found, name)
        assert statistics.signal == pytest.approx(mean.norm().item())
        # Six standard errors with 15 degrees of freedom: P < 5·10⁻⁵.
        assert abs(statistics.noise - exact) < 6 * statistics.noise_error
        assert statistics.noise_error < 0.3 * exact
        assert statistics.biased is False


def test_unbiased_estimators_and_variance_reduction():
    model, guide = pair()
    batch = padded(random_batch((3, 2), (3, 2)), source=1, target=1)
    kinds = {
        "enumerated": EnumeratedELBO(),
        "none": ScoreFunctionELBO(baseline="none"),
        "soft-attention": ScoreFunctionELBO(baseline="soft-attention"),
        "RLOO": ScoreFunctionELBO(baseline="leave-one-out", samples=4),
    }
    result = diagnose(model, guide, batch, kinds, repeats=16)
    found = result.objectives
    signal = gradient(EnumeratedELBO().differentiable_loss(model, guide, batch), guide).norm()
    for each in found.values():
        assert each.guide.signal == pytest.approx(signal.item())
        assert each.guide.biased is each.model.biased is False
        assert each.seconds > 0
        assert each.memory > 0
    assert found["enumerated"].guide.noise == found["enumerated"].model.noise == 0
    assert 0 < 3 * found["soft-attention"].guide.noise < found["none"].guide.noise
    assert found["RLOO"].guide.noise < found["none"].guide.noise


@pytest.mark.parametrize("kind", [EnumeratedELBO, ScoreFunctionELBO])
def test_a_bias_is_flagged_with_its_size(kind):
    """Omits half of the KL divergence, so that the bias is half of its gradient."""
    model, guide = pair()
    batch = random_batch((3, 2), (3, 2))
    objective = kind()
    objective.kl_weight = 0.5
    without = EnumeratedELBO()
    without.kl_weight = 0.0
    full, likelihood = (
        gradient(each.differentiable_loss(model, guide, batch), guide)
        for each in (EnumeratedELBO(), without)
    )
    expected = (0.5 * (full - likelihood).norm() / full.norm()).item()
    found = one(objective, model, guide, batch=batch, repeats=32).guide
    assert found.biased is True
    assert abs(found.relative_bias - expected) < 6 * found.relative_bias_error + 1e-6
    assert found.relative_bias_error < 0.3 * expected


def test_reweighted_wake_sleep_is_compared_with_its_exact_updates():
    world, batch = World(3, 4), random_batch((SOURCE,) * 3, (4, 2, 3))
    p, q, likelihood = world.parts(batch)
    joint = p + likelihood
    cells = joint.detach().softmax(-1) * (joint + q) * batch.target_mask.unsqueeze(-1)
    expected = torch.autograd.grad(-cells.sum(), world.leaves)
    found = torch.autograd.grad(wake_phase(world.model, world.guide, batch), world.leaves)
    torch.testing.assert_close(found, expected)

    model, guide = pair()
    batch = random_batch((3, 2), (3, 2))
    few, many = (
        one(ReweightedWakeSleep(samples=k), model, guide, batch=batch, repeats=64) for k in (2, 64)
    )
    assert few.target == "wake phase"
    assert few.guide.biased
    assert few.guide.bias > 3 * many.guide.bias
    assert few.guide.noise > 3 * many.guide.noise


def test_diagnosis_of_a_run():
    model, guide = pair()
    batch = padded(random_batch(), source=1, target=1)
    found = diagnose(model, guide, batch, {"it": EnumeratedELBO()}, repeats=8)
    scores = score_positions(model, guide, batch)
    for name in ("log_evidence", "elbo", "kl", "gap", "prior_entropy", "posterior_entropy"):
        expected = getattr(scores, name).sum().item() / batch.num_targets
        assert getattr(found.positions, name) == pytest.approx(expected), name
    assert found.positions.tokens == batch.num_targets
    # The weights of a guide that differs from the posterior have a large variance.
    q, p = scores.log_guide.exp(), scores.log_posterior.exp()
    real = batch.source_mask.unsqueeze(1)
    fraction = 1 / torch.where(real, p**2 / q, 0.0).sum(-1)
    expected = fraction[batch.target_mask].mean().item()
    assert found.effective_sample_size == pytest.approx(expected)
    assert 0 < expected < 1
    exact = diagnose(model, ExactGuide(model), batch, {"it": EnumeratedELBO()}, repeats=8)
    assert exact.effective_sample_size == pytest.approx(1)
    assert exact.positions.gap == pytest.approx(0, abs=1e-12)


def test_all_compatible_objectives_are_measured():
    model, guide = pair()
    names = []
    found = diagnose(model, guide, random_batch((2,), (2,)), repeats=8, progress=names.append)
    assert {
        "enumerated",
        "score-function, none",
        "score-function, average",
        "score-function, network",
        "score-function, soft-attention",
        "score-function, leave-one-out, K=2",
        "score-function, leave-one-out, K=3",
        "score-function, leave-one-out, K=4",
        "rws, K=5",
        "importance-weighted, K=5",
        "vimco, K=5",
    } <= set(names)
    assert list(found.objectives) == names
    assert not found.skipped
    frame = found.to_frame()
    assert list(frame.index) == names
    assert frame["guide_bias"].isna().equals(~frame["enumerated"])
    row, kept = frame.loc["score-function, none"], found.objectives["score-function, none"]
    assert row["guide_noise_to_signal"] == kept.guide.noise / kept.guide.signal
    assert row["model_bias_error"] == kept.model.bias_error / kept.model.signal
    assert row["seconds"] == kept.seconds


def test_options_of_the_objective_in_use_are_kept():
    model, guide = pair()
    batch = random_batch((2,), (2,))

    def named(name, **options):
        return fitting_objectives(model, guide, batch, (name, options))

    assert "rws, K=9" in named("rws", samples=9)
    assert "rws, K=5" not in named("rws", samples=9)
    kinds = named("score-function", baseline="leave-one-out", samples=8, free_bits=0.2)
    assert {"score-function, leave-one-out, K=8", "score-function, none, K=8"} <= set(kinds)
    assert kinds["score-function, leave-one-out, K=2"].free_bits == 0.2
    assert kinds["enumerated"].free_bits == 0


def test_free_bits_are_part_of_the_target():
    model, guide = pair()
    batch = random_batch((3, 2), (3, 2))
    objective = ScoreFunctionELBO(baseline="soft-attention", free_bits=0.1)
    found = one(objective, model, guide, batch=batch, repeats=32)
    reference = EnumeratedELBO(free_bits=0.1).differentiable_loss(model, guide, batch)
    assert found.target == "ELBO, 0.1 free bits"
    assert found.guide.signal == pytest.approx(gradient(reference, guide).norm().item())
    assert found.guide.biased is False


@pytest.mark.parametrize("straight_through", [False, True])
def test_gumbel_softmax_is_compared_with_the_bound_of_its_categorical(straight_through):
    model = tiny_model()
    guide = tiny_guide(model, GumbelGuide, straight_through=straight_through)
    batch = random_batch((3, 2), (3, 2))
    found = diagnose(model, guide, batch, repeats=128)
    ((name, it),) = found.objectives.items()
    assert name == "gumbel-softmax"
    reference = EnumeratedELBO().differentiable_loss(model, guide.amortized, batch)
    assert it.guide.signal == pytest.approx(gradient(reference, guide).norm().item())
    assert it.guide.biased
    assert 0 < found.effective_sample_size < 1


def test_a_simplex_is_not_enumerated():
    model, guide = pair(DirichletModel, AmortizedDirichletGuide)
    found = diagnose(model, guide, random_batch((3, 2), (3, 2)), repeats=16)
    it = found.objectives["relaxed"]
    assert not it.enumerated
    assert it.guide.bias is it.model.biased is None
    assert it.guide.noise > 0
    assert it.model.signal > 0
    assert 0 < found.effective_sample_size <= 1
    assert found.positions.posterior_entropy is None
    # More samples reduce the noise.
    many = one(
        RelaxedELBO(samples=16), model, guide, batch=random_batch((3, 2), (3, 2)), repeats=16
    )
    assert many.model.noise < 0.6 * it.model.noise


@pytest.mark.parametrize(
    ("kind", "objective"), [(SoftModel, "likelihood"), (CategoricalModel, "exact")]
)
def test_time_and_memory_are_measured_without_a_guide(kind, objective):
    model = tiny_model(kind)
    found = diagnose(model, NoGuide(model), random_batch(), repeats=8)
    it = found.objectives[objective]
    assert (it.target, it.enumerated, it.guide) == ("log evidence", False, None)
    assert it.model.noise == 0
    assert it.model.signal > 0
    assert it.memory > 0
    assert found.effective_sample_size is found.positions.kl is None
    assert found.positions.log_evidence < 0


@pytest.mark.parametrize(("k", "is_biased"), [(1, True), (9, False)])
def test_top_k_is_compared_with_the_exact_marginal(k, is_biased):
    model = tiny_model()
    found = one(TopKMarginal(k=k), model, NoGuide(model), batch=random_batch(), repeats=8)
    assert (found.target, found.enumerated) == ("log evidence", True)
    assert found.model.noise < 1e-6
    assert found.model.biased is is_biased


def test_a_guide_without_parameters():
    model = tiny_model()
    found = one(
        ScoreFunctionELBO(baseline="none"),
        model,
        PriorGuide(model),
        batch=random_batch(),
        repeats=8,
    )
    assert found.guide is None
    assert found.model.noise > 0
    assert found.model.biased is False


def plain_model(batch):
    """A program that is not a module and has no attribute ``latents``."""
    prior = pyro.param("prior", lambda: torch.randn(batch.source.shape[1]).double())
    emission = pyro.param("emission", lambda: torch.randn(4, 9).double())
    with alignment_plates(batch):
        alignment = pyro.sample("alignment", dist.Categorical(logits=prior))
        pyro.sample("tokens", dist.Categorical(logits=emission[alignment]), obs=batch.target)


def plain_guide(batch):
    # Constrained, so the trained parameter differs from the value in the program.
    weights = pyro.param(
        "weights",
        lambda: torch.rand(batch.source.shape[1]).double() + 0.1,
        constraint=dist.constraints.positive,
    )
    with alignment_plates(batch):
        pyro.sample("alignment", dist.Categorical(logits=weights.log()))


def test_plain_programs():
    batch = random_batch((3, 3), (3, 2))
    found = diagnose(plain_model, plain_guide, batch, repeats=16)
    assert {"enumerated", "score-function, none", "rws, K=5"} <= set(found.objectives)
    assert set(found.skipped) == {
        "score-function, soft-attention",
        "score-function, network",
        "wake-sleep",
    }
    assert (
        "needs a model with the attributes states"
        in found.skipped["score-function, soft-attention"]
    )
    loss = EnumeratedELBO().differentiable_loss(plain_model, plain_guide, batch)
    store = pyro.get_param_store()
    inner = [pyro.param(name).unconstrained() for name in ("prior", "emission", "weights")]
    slopes = torch.autograd.grad(loss, inner)
    it = found.objectives["score-function, none"]
    assert it.guide.signal == pytest.approx(slopes[2].norm().item())
    both = torch.cat([slope.reshape(-1) for slope in slopes[:2]])
    assert it.model.signal == pytest.approx(both.norm().item())
    assert it.guide.biased is it.model.biased is False
    assert set(store) == {"prior", "emission", "weights"}


class Third(nn.Module):
    """A guide of another package, with the model among its children."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.bias = nn.Parameter(torch.zeros(()).double())

    def forward(self, batch):
        place = torch.arange(batch.source.shape[1]).double()
        with alignment_plates(batch):
            pyro.sample("alignment", dist.Categorical(logits=self.bias * place))


def test_the_models_parameters_are_excluded_from_the_guides():
    model = tiny_model()
    guide, batch = Third(model), random_batch((3, 3), (2, 2))
    found = one(EnumeratedELBO(), model, guide, batch=batch, repeats=8)
    loss = EnumeratedELBO().differentiable_loss(model, guide, batch)
    slope = torch.autograd.grad(loss, guide.bias)[0].abs().item()
    assert found.guide.signal == pytest.approx(slope)


def test_diagnosis_is_reproducible_and_changes_nothing():
    model, guide = pair(dropout=0.5)
    batch = random_batch((3, 2), (2, 2))
    model.train()
    weights = copy.deepcopy([model.state_dict(), guide.state_dict()])
    objective = ScoreFunctionELBO(baseline="average")
    state = torch.get_rng_state()
    results = [one(objective, model, guide, batch=batch, repeats=8, seed=s) for s in (3, 3, 4)]
    assert torch.equal(torch.get_rng_state(), state)
    first, second, third = (result.guide for result in results)
    assert first == second != third
    assert isinstance(objective.baseline, AverageBaseline)
    assert objective.baseline.steps == 0
    torch.testing.assert_close([model.state_dict(), guide.state_dict()], weights, rtol=0, atol=0)
    assert model.training
    assert model.networks.dropout.training
    assert all(each.grad is None for each in (*model.parameters(), *guide.parameters()))
    # Dropout would add noise.
    assert one(EnumeratedELBO(), model, guide, batch=batch, repeats=8).model.noise == 0


def test_learnt_baselines_are_fitted_first():
    model, guide = pair()
    batch = random_batch((3, 2), (3, 2))
    none, average, network = (
        one(ScoreFunctionELBO(baseline=name), model, guide, batch=batch, repeats=16).guide.noise
        for name in ("none", "average", "network")
    )
    assert network < average < none


def test_invalid_requests_are_rejected():
    model, guide = pair()
    batch = random_batch((2,), (2,))
    with pytest.raises(ConfigError, match="8 repeats or more, got 7"):
        diagnose(model, guide, batch, repeats=7)
    with pytest.raises(IncompatibleError, match=r"no objective supports.*RelaxedELBO needs"):
        diagnose(model, guide, batch, {"relaxed": RelaxedELBO()}, repeats=8)
    with pytest.raises(IncompatibleError, match="there is none for their latent variables"):
        diagnose(*pair(SoftModel), batch)
    for parameter in (*model.parameters(), *guide.parameters()):
        parameter.requires_grad_(False)
    with pytest.raises(IncompatibleError, match="neither model nor guide has trainable parameters"):
        diagnose(model, guide, batch)
