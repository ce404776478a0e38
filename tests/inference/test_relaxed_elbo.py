"""The ELBO for alignments on the simplex against numerical integration, and its warm-up."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from support import (
    assert_unbiased,
    collected_gradient,
    gradient,
    random_batch,
    repeated,
    tiny_guide,
    tiny_model,
)
from torch.distributions import kl_divergence

from pyro_align.distributions import PaddedDirichlet
from pyro_align.errors import ConfigError
from pyro_align.guides import AmortizedDirichletGuide
from pyro_align.inference import RelaxedELBO, alignment_plates, score_positions
from pyro_align.models import DirichletModel

BATCH = random_batch((2, 2), (2, 3))
DRAWS, ROWS = 24, 200


def pair(seed=0):
    """Model and guide with small parameters, so that concentrations are not all at their bounds."""
    model = tiny_model(DirichletModel, seed=seed)
    guide = tiny_guide(model, AmortizedDirichletGuide, seed=seed + 1)
    with torch.no_grad():
        for parameter in [*model.parameters(), *guide.parameters()]:
            parameter.mul_(0.4)
    return model, guide


def parts(model, guide, batch=BATCH, points=400):
    """``E_q[log f]``, ``E_p[log f]``, ``KL(q ‖ p)``, ``log E_p[f]`` for two source positions.

    Integrates the logit of the first weight with the trapezoidal rule; all densities decay fast.
    """
    logit = torch.linspace(-1, 1, points + 1, dtype=torch.float64) * 2.5
    logit = torch.sinh(2 * logit)  # dense at the centre, reaching far into the tails
    value = torch.stack([logit, torch.zeros_like(logit)], -1).log_softmax(-1)
    z = value.exp().reshape(-1, 1, 1, 2).expand(-1, *batch.target.shape, 2)
    states = model.states(batch)
    p, q = model.prior(states), guide.posterior(batch)["alignment"]
    log_f = model.emission(states, z).log_prob(batch.target)
    jacobian = value.sum(-1).reshape(-1, 1, 1)

    def log_density(fn):
        # Unlike log_prob it does not clamp weights at 1e-30.
        log_z = value.reshape(-1, 1, 1, 2)
        concentration = fn.concentration
        log_normalizer = concentration.lgamma().sum(-1) - concentration.sum(-1).lgamma()
        return ((concentration - 1) * log_z).sum(-1) - log_normalizer

    log_p, log_q = log_density(p), log_density(q)

    def expectation(log_weight, integrand):
        total = torch.trapezoid((log_weight + jacobian).exp() * integrand, logit, dim=0)
        return (total * batch.target_mask).sum()

    one = torch.ones_like(log_f)
    for log_weight in (log_p, log_q):
        count = expectation(log_weight, one).item()
        assert count == pytest.approx(batch.num_targets, abs=1e-3)
    evidence = torch.trapezoid((log_p + log_f + jacobian).exp(), logit, dim=0).log()
    return (
        expectation(log_q, log_f),
        expectation(log_p, log_f),
        expectation(log_q, log_q - log_p),
        (evidence * batch.target_mask).sum(),
    )


def estimates(objective, model, guide, rows=ROWS):
    """Independent estimates of loss and gradient."""
    losses, grads = [], []
    for _ in range(DRAWS):
        losses.append(objective.loss_and_grads(model, guide, repeated(BATCH, rows)) / rows)
        grads.append(collected_gradient(model, guide) / rows)
    return torch.tensor(losses, dtype=torch.float64).unsqueeze(1), torch.stack(grads)


def weighted(objective, kl_weight):
    objective.kl_weight = kl_weight
    return objective


@pytest.mark.parametrize(("samples", "kl_weight"), [(1, 1.0), (4, 1.0), (1, 0.3)])
def test_loss_and_gradient_are_unbiased(samples, kl_weight):
    model, guide = pair()
    likelihood, _, kl, _ = parts(model, guide)
    expected = kl_weight * kl - likelihood
    objective = weighted(RelaxedELBO(samples=samples), kl_weight)
    losses, grads = estimates(objective, model, guide, rows=ROWS // samples)
    assert_unbiased(losses, expected.detach().reshape(1))
    # At least the error of the numerical integration.
    slope = gradient(expected, model, guide)
    difference = (grads.mean(0) - slope).abs()
    error = grads.std(0) / DRAWS**0.5
    assert (difference < 10 * error + 1e-4).all()
    assert slope.abs().max() > 100 * 1e-4


def test_kl_is_computed_in_closed_form():
    model, guide = pair()
    _, _, kl, _ = parts(model, guide)
    for samples in (1, 3):
        terms = RelaxedELBO(samples=samples).terms(model, guide, BATCH)
        assert terms.total_kl.item() == pytest.approx(kl.item(), abs=1e-3)


def test_bound_is_below_the_evidence_and_above_the_jensen_bound():
    for seed in range(4):
        model, guide = pair(seed)
        likelihood, jensen, kl, evidence = parts(model, guide)
        assert likelihood - kl < evidence + 1e-6
        assert jensen < evidence


@pytest.mark.parametrize("kind", [TraceMeanField_ELBO, Trace_ELBO])
def test_agrees_with_stock_pyro_in_expectation(kind):
    model, guide = pair()
    ours, our_grads = estimates(RelaxedELBO(), model, guide)
    theirs, their_grads = estimates(kind(max_plate_nesting=2), model, guide)
    for a, b in ((ours, theirs), (our_grads, their_grads)):
        error = ((a.var(0) + b.var(0)) / DRAWS).sqrt()
        assert ((a.mean(0) - b.mean(0)).abs() < 10 * error + 1e-9).all()


def test_equals_stock_mean_field_for_the_same_samples():
    model, guide = pair()
    found = []
    for objective in (RelaxedELBO(), TraceMeanField_ELBO(max_plate_nesting=2)):
        pyro.set_rng_seed(3)
        loss = objective.differentiable_loss(model, guide, BATCH)
        found.append((loss, gradient(loss, model, guide)))
    torch.testing.assert_close(*found)


def test_warm_up_is_the_jensen_bound_plus_the_kl_to_the_prior():
    model, guide = pair()
    _, jensen, kl, _ = parts(model, guide)
    states = model.states(BATCH)
    prior = model.prior(states)
    fixed = PaddedDirichlet(prior.concentration.detach(), prior.inside)
    to_prior = kl_divergence(guide.posterior(BATCH)["alignment"], fixed)[BATCH.target_mask].sum()
    expected = to_prior - jensen
    objective = RelaxedELBO(warmup_steps=10)
    objective.step = 9
    losses, grads = estimates(objective, model, guide)
    assert_unbiased(losses, expected.detach().reshape(1))
    slope = gradient(expected, model, guide)
    difference = (grads.mean(0) - slope).abs()
    assert (difference < 10 * grads.std(0) / DRAWS**0.5 + 1e-4).all()
    terms = objective.terms(model, guide, BATCH)
    assert terms.total_kl.item() == pytest.approx(kl.item(), abs=1e-3)


class SeparateGuide:
    """A guide that is not built on the prior's scores."""

    def __init__(self):
        self.scores = torch.randn(len(BATCH), BATCH.target.shape[1], 2, dtype=torch.float64)
        self.scores.requires_grad_()

    def posterior(self, batch):
        rows = self.scores.repeat_interleave(len(batch) // len(BATCH), dim=0)
        return {"alignment": PaddedDirichlet(rows.exp(), batch.source_mask.unsqueeze(1))}

    def __call__(self, batch):
        with alignment_plates(batch):
            pyro.sample("alignment", self.posterior(batch)["alignment"])


def test_warm_up_does_not_move_the_prior_towards_the_guide():
    model, _ = pair()
    guide = SeparateGuide()
    _, jensen, kl, _ = parts(model, guide)
    objective = RelaxedELBO(warmup_steps=1)
    objective.step = 0
    grads = []
    for _ in range(DRAWS):
        loss = objective.differentiable_loss(model, guide, repeated(BATCH, ROWS)) / ROWS
        grads.append(gradient(loss, model))
    (slope,) = torch.autograd.grad(loss, guide.scores)
    draws, expected = torch.stack(grads), -gradient(jensen, model)
    error = 10 * draws.std(0) / DRAWS**0.5 + 1e-4
    assert ((draws.mean(0) - expected).abs() < error).all()
    # A gradient of the KL divergence for the prior would be detected.
    assert (gradient(kl, model).abs() > error).any()
    (pull,) = torch.autograd.grad(kl, guide.scores)
    torch.testing.assert_close(slope, pull, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("step", "warm"), [(None, False), (0, True), (6, True), (7, False), (1000, False)]
)
def test_warm_up_depends_on_the_step_only(step, warm):
    """So that a resumed run, which sets the step, continues exactly."""
    model, guide = pair()
    objective = RelaxedELBO(warmup_steps=7)
    objective.step = step
    terms = objective.terms(model, guide, BATCH)
    bound = terms.total_kl - terms.log_likelihood
    assert torch.allclose(terms.loss.detach(), bound) != warm


def test_warm_up_reports_the_terms_of_the_guide():
    model, guide = pair()
    objective, found = RelaxedELBO(warmup_steps=5), []
    for step in (0, 5):
        objective.step = step
        pyro.set_rng_seed(2)
        found.append(objective.terms(model, guide, BATCH).log_likelihood)
    assert found[0] == found[1]


def test_free_bits_are_not_penalised():
    model, guide = pair()
    p, q = (
        poutine.trace(program).get_trace(BATCH).nodes["alignment"]["fn"]
        for program in (model, guide)
    )
    kl = kl_divergence(q, p)[BATCH.target_mask]
    nats = kl.median().item()
    terms = RelaxedELBO(free_bits=nats).terms(model, guide, BATCH)
    assert (terms.loss + terms.log_likelihood).item() == pytest.approx(
        kl.clamp_min(nats).sum().item()
    )
    assert terms.total_kl.item() == pytest.approx(kl.sum().item())


@pytest.mark.parametrize("options", [{"warmup_steps": -1}, {"samples": 0}, {"free_bits": -1.0}])
def test_invalid_options_are_rejected(options):
    with pytest.raises(ConfigError):
        RelaxedELBO(**options)


def test_estimated_evidence_is_between_bound_and_evidence():
    model, guide = pair()
    likelihood, _, kl, evidence = parts(model, guide)
    rows = 300
    scores = score_positions(model, guide, repeated(BATCH, rows))
    estimate = scores.log_evidence.sum().item() / rows
    error = scores.log_evidence.sum(1).std().item() * 2 / (2 * rows) ** 0.5
    assert (likelihood - kl).item() - 10 * error < estimate < evidence.item() + 10 * error
    assert scores.elbo.sum().item() / rows == pytest.approx((likelihood - kl).item(), abs=0.1)
    assert scores.kl.sum().item() / rows == pytest.approx(kl.item(), abs=1e-3)
    # Twenty samples close most of the gap.
    assert evidence.item() - estimate < 0.5 * (evidence - likelihood + kl).item()


@pytest.mark.parametrize("step", [None, 0])
def test_programs_with_pyros_own_dirichlet_work(step):
    """Plain functions without classes of this package, and no padding in the source."""
    batch = random_batch((3, 3), (2, 3))
    shape = (*batch.target.shape, 3)
    prior, posterior = (torch.rand(shape, dtype=torch.float64).add(0.5) for _ in range(2))
    table = torch.randn(3, 9, dtype=torch.float64, requires_grad=True)
    posterior.requires_grad_()
    prior.requires_grad_()

    def model(batch):
        with alignment_plates(batch):
            z = pyro.sample("alignment", dist.Dirichlet(prior))
            pyro.sample("tokens", dist.Categorical(logits=z @ table), obs=batch.target)

    def guide(batch):
        with alignment_plates(batch):
            pyro.sample("alignment", dist.Dirichlet(posterior))

    objective = RelaxedELBO(samples=2)
    objective.step = step
    terms = objective.terms(model, guide, batch)
    kl = kl_divergence(dist.Dirichlet(posterior), dist.Dirichlet(prior))
    assert terms.total_kl.item() == pytest.approx(kl[batch.target_mask].sum().item())
    for grad in torch.autograd.grad(terms.loss, (prior, posterior, table)):
        assert torch.isfinite(grad).all()
        assert grad.abs().sum() > 0
