"""Translation models with a Gaussian for each sentence pair."""

from __future__ import annotations

import itertools

import numpy as np
import pyro
import pytest
import torch
from support import gradient, random_batch, tiny_guide, tiny_networks
from variational import variational

from pyro_align.errors import IncompatibleError
from pyro_align.guides import GaussianGuide
from pyro_align.inference import (
    ExactMarginal,
    SentenceELBO,
    WakeSleep,
    score_sentences,
)
from pyro_align.inference.sentences import draw_sentences
from pyro_align.inference.traces import SiteHandler
from pyro_align.models import VariationalModel, VariationalSoftModel
from pyro_align.testing import ModelContract
from pyro_align.testing.stock import stock


class TestVariationalModel(ModelContract):
    def create(self, **settings):
        return variational(**settings)

    def guide(self, model):
        return tiny_guide(model, GaussianGuide)

    marginalised = guide

    def values(self, model, batch):
        return {"sentence": model.sentence_prior(model.memory(batch)).mean}


class TestVariationalModelOfTwoExperts(TestVariationalModel):
    def create(self, **settings):
        return variational(emission="product", lexical=True, input_feeding=True, **settings)


class TestVariationalModelOfCandidates(TestVariationalModel):
    def create(self, **settings):
        return variational(emission="sparse-product", lexical=True, **settings)


class TestVariationalModelOfATransformer(TestVariationalModel):
    def create(self, **settings):
        sizes = {"embedding": 8, "encoder_hidden": 4, "decoder_hidden": 8, "heads": 2}
        return variational(encoder="transformer", decoder="transformer", **sizes, **settings)


class TestVariationalSoftModel(TestVariationalModel):
    def create(self, **settings):
        return variational(VariationalSoftModel, **settings)


BATCH = random_batch((3,), (2,))
POINTS = 61


@pytest.fixture(params=[VariationalModel, VariationalSoftModel])
def programs(request):
    """A model with one latent dimension, and its guide; both Gaussians are far from standard."""
    model = variational(request.param, latent=1, scale=0.5).eval()
    return model, tiny_guide(model, GaussianGuide).eval()


def log_likelihood(model, latent):
    """``log p(y | x, s)`` of the pair, by enumeration of all alignments of the sentence."""
    states = model.states_given(BATCH, latent.reshape(1, 1, 1))
    target = BATCH.target[0]
    if isinstance(model, VariationalSoftModel):
        logits = model.expected_emission(states).logits[0]
        return logits.gather(-1, target.unsqueeze(-1)).sum()
    prior = model.prior(states).logits[0]
    paths = []
    for path in itertools.product(range(3), repeat=2):
        emission = model.emission(states, torch.tensor([path])).logits[0]
        steps = [prior[t, z] + emission[t, target[t]] for t, z in enumerate(path)]
        paths.append(torch.stack(steps).sum())
    return torch.stack(paths).logsumexp(0)


def normal(distribution):
    """Mean and standard deviation of a Gaussian of one sentence and one dimension."""
    return distribution.mean.flatten()[0], distribution.variance.sqrt().flatten()[0]


def quadrature(distribution):
    """Gauss–Hermite points of a Gaussian, and their weights."""
    points, weights = np.polynomial.hermite_e.hermegauss(POINTS)
    mean, scale = normal(distribution)
    weights = torch.tensor(weights / weights.sum())
    return mean + scale * torch.tensor(points), weights


def closed_kl(q, p):
    (mean, scale), (other, width) = normal(q), normal(p)
    return (width / scale).log() + (scale**2 + (mean - other) ** 2) / (2 * width**2) - 0.5


def objective_of(model, **options):
    return (SentenceELBO if isinstance(model, VariationalSoftModel) else ExactMarginal)(**options)


def test_the_bound_and_its_gradient(programs):
    """Of the objective, averaged over the points of the guide, against the integral."""
    model, guide = programs
    q, p = guide.posterior(BATCH)["sentence"], model.sentence_prior(model.memory(BATCH))
    points, weights = quadrature(q)
    each = torch.stack([log_likelihood(model, point) for point in points])
    bound = (weights * each).sum() - closed_kl(q, p)
    expected, estimate = gradient(bound, model, guide), 0.0
    loss = 0.0
    for place, weight in enumerate(weights):

        def take(msg, place=place):
            msg["value"] = quadrature(msg["fn"])[0][place].reshape(1, 1, 1)

        handled = SiteHandler(take, name="sentence")(guide)
        found = objective_of(model).differentiable_loss(model, handled, BATCH)
        loss += weight * found.detach()
        estimate -= weight * gradient(found, model, guide)
    torch.testing.assert_close(-loss, bound.detach())
    torch.testing.assert_close(estimate, expected)


def test_the_evidence_by_importance_weighting(programs):
    """Within five standard errors of the integral; a false alarm has probability 6e-7."""
    model, guide = programs
    p = model.sentence_prior(model.memory(BATCH))
    points, weights = quadrature(p)
    logs = torch.stack([log_likelihood(model, point) for point in points])
    exact = (weights.log() + logs).logsumexp(0)
    drawn = draw_sentences(model, guide, BATCH, 4000)
    ratios = (drawn.log_weight[0] - exact).exp()
    assert abs(ratios.mean() - 1) < 5 * ratios.std() / len(ratios) ** 0.5
    assert ratios.std() > 0
    scores = score_sentences(model, guide, BATCH, draws=4000)
    kl = closed_kl(guide.posterior(BATCH)["sentence"], p)
    torch.testing.assert_close(scores.divergences["sentence"], kl.detach().reshape(1))
    assert scores.elbo < exact
    assert scores.log_evidence.item() == pytest.approx(exact.item(), abs=0.1)


def test_stock_elbos_have_the_same_value(programs):
    """Except for the divergence, which they estimate from the sample."""
    model, guide = programs
    q, p = guide.posterior(BATCH)["sentence"], model.sentence_prior(model.memory(BATCH))
    for elbo, *stock_programs in stock(model, guide):
        pyro.set_rng_seed(1)
        expected = elbo.loss(*stock_programs, BATCH)
        pyro.set_rng_seed(1)
        value = q.rsample()
        sampled = (q.log_prob(value) - p.log_prob(value)).item()
        pyro.set_rng_seed(1)
        found = objective_of(model).loss(model, guide, BATCH)
        assert found - closed_kl(q, p).item() == pytest.approx(expected - sampled)


def test_free_bits_and_the_weight_of_the_divergence(programs):
    model, guide = programs
    kl = closed_kl(
        guide.posterior(BATCH)["sentence"], model.sentence_prior(model.memory(BATCH))
    ).item()
    for nats, weight in ((kl / 2, 0.3), (2 * kl, 0.3), (2 * kl, 1.0)):
        for name in ("free_bits", "free_bits_per_dimension"):
            objective = objective_of(model, **{name: nats})
            objective.kl_weight = weight
            pyro.set_rng_seed(0)
            terms = objective.terms(model, guide, BATCH)
            expected = weight * max(kl, nats) - terms.log_likelihood
            torch.testing.assert_close(terms.loss, expected)
            assert terms.kl["sentence"].item() == pytest.approx(kl)


def test_several_draws_at_once(programs):
    model, _ = programs
    batch = random_batch()
    latent = torch.randn(2, 4, 3, 1, 1).double()
    together = model.states_given(batch, latent)
    for i, j in itertools.product(range(2), range(4)):
        alone = model.states_given(batch, latent[i, j])
        torch.testing.assert_close(together.hidden[i, j], alone.hidden)
        torch.testing.assert_close(together.scores[i, j], alone.scores)
        assert torch.equal(together.inputs[i, j], alone.inputs)


def test_dreams_read_the_sampled_vector():
    """With one token to choose from, its log odds follow the sampled vector."""
    model = variational().eval()
    pyro.set_rng_seed(0)
    dreams = [model.dream(random_batch()) for _ in range(2)]
    assert not torch.equal(dreams[0].values["sentence"], dreams[1].values["sentence"])
    assert dreams[0].values["sentence"].shape == (3, 1, 2)
    terms = WakeSleep().terms(
        variational(VariationalSoftModel), tiny_guide(model, GaussianGuide), random_batch()
    )
    assert terms.loss.isfinite()


def test_the_network_must_decode_step_by_step():
    networks = tiny_networks()

    class Other(type(networks).__mro__[2]):
        forward = features = new_features = None

    with pytest.raises(IncompatibleError, match="inherit from AutoregressiveNetwork"):
        VariationalModel(Other())
