"""Models of sentences: stock ELBOs, and log evidence against quadrature."""

import dataclasses

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from pyro.optim import Adam
from scipy.special import logsumexp
from sentences import BATCH, guide_of, network, vae
from support import gradient

from pyro_align.guides import NoGuide, VonMisesFisherGuide
from pyro_align.inference import Likelihood, SentenceELBO, score_sentences
from pyro_align.models import LanguageModel, SphericalVAE

NESTING = {"max_plate_nesting": 2}


def seeded(number):
    """The batch with other indices, on which the seed of the samples depends."""
    return dataclasses.replace(BATCH, indices=BATCH.indices + 100 * number)


def test_the_bound_and_its_gradient_are_those_of_the_stock_elbo():
    model = vae()
    guide = guide_of(model)
    losses, gradients = [], []
    for objective in (Likelihood(), TraceMeanField_ELBO(**NESTING)):
        pyro.set_rng_seed(3)
        losses.append(objective.loss(model, guide, BATCH))
        pyro.set_rng_seed(3)
        gradients.append(gradient(objective.differentiable_loss(model, guide, BATCH), model, guide))
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("concentration", [3.0, 0.0])
def test_the_spherical_bound_is_that_of_the_stock_elbo(concentration):
    model = vae(3, SphericalVAE)
    guide = guide_of(model, VonMisesFisherGuide, concentration=concentration)
    losses, gradients = [], []
    for objective in (SentenceELBO(), TraceMeanField_ELBO(**NESTING)):
        pyro.set_rng_seed(3)
        losses.append(objective.loss(model, guide, BATCH))
        pyro.set_rng_seed(3)
        gradients.append(gradient(objective.differentiable_loss(model, guide, BATCH), model, guide))
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    torch.testing.assert_close(*gradients)
    scores = score_sentences(model, guide, BATCH, draws=4000)
    assert (scores.gap > -0.02).all()
    lengths = model.nearest(guide.posterior(BATCH)["sentence"].mean.squeeze(1)).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_vectorised_particles_of_the_stock_elbo_have_the_same_mean():
    model = vae()
    guide = guide_of(model)
    vectorised = Trace_ELBO(num_particles=4000, vectorize_particles=True, **NESTING)
    losses = [vectorised.loss(model, guide, BATCH) for _ in range(2)]
    with torch.no_grad():
        single = [Likelihood().loss(model, guide, BATCH) for _ in range(400)]
    # Standard error of 400 losses; those of 4000 have a smaller one. 5 sigma: below 1e-6.
    error = np.std(single) / 20
    for loss in losses:
        assert abs(loss - np.mean(single)) < 5 * 1.5 * error


def test_svi_trains():
    model = vae()
    guide = guide_of(model)
    svi = SVI(model, guide, Adam({"lr": 0.02}), Trace_ELBO(**NESTING))
    before = Likelihood().loss(model, guide, BATCH)
    for _ in range(30):
        svi.step(BATCH)
    assert Likelihood().loss(model, guide, BATCH) < before


def test_a_language_model_has_the_exact_likelihood():
    model = LanguageModel(network(0)).eval()
    logits = model.networks(BATCH).logits
    chosen = logits.gather(-1, BATCH.target.unsqueeze(-1)).squeeze(-1)
    expected = (chosen * BATCH.target_mask).sum(1)
    scores = score_sentences(model, NoGuide(model), BATCH)
    torch.testing.assert_close(scores.log_evidence, expected)
    assert Likelihood().loss(model, NoGuide(model), BATCH) == pytest.approx(-expected.sum().item())


def test_log_evidence_by_importance_weighting_against_quadrature():
    model = vae(1)
    guide = guide_of(model)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    latent = torch.tensor(nodes).reshape(-1, 1, 1, 1).expand(-1, len(BATCH), 1, 1)
    with torch.no_grad():
        log_probs = model.networks(BATCH, latent).log_prob(BATCH.target)
    joint = (log_probs * BATCH.target_mask).sum(-1).numpy()
    normaliser = np.sqrt(2 * np.pi)
    exact = logsumexp(joint, axis=0, b=(weights / normaliser)[:, None])
    # Standard errors from independent estimates.
    estimates = torch.stack(
        [
            score_sentences(model, guide, seeded(number), draws=200).log_evidence
            for number in range(24)
        ]
    )
    error = (estimates.mean(0) - torch.tensor(exact)).abs() / (estimates.std(0) / 24**0.5)
    assert (error < 8).all()
    assert (estimates.std(0) < 0.1).all()


def test_the_elbo_is_below_the_evidence_by_the_divergence():
    model = vae(1)
    guide = guide_of(model)
    scores = score_sentences(model, guide, BATCH, draws=4000)
    assert (scores.gap > -0.01).all()
    torch.testing.assert_close(scores.kl, scores.divergences["sentence"])
