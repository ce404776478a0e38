"""The whitened guide: its divergence is the one that is asked for, from any Gaussian prior."""

from __future__ import annotations

import pytest
import torch
from sentences import guide_of, vae
from support import random_batch
from torch.distributions import kl_divergence
from variational import variational

from pyro_align.data.batch import EOS, SentenceBatch
from pyro_align.guides import WhitenedGuide
from pyro_align.inference import SentenceELBO, SentenceImportanceBound
from pyro_align.models import VariationalSoftModel
from pyro_align.nn.whitening import RIDGE
from pyro_align.testing import GuideContract, tiny_guide

SENTENCES = SentenceBatch.from_ids(
    [[4, 5, 6, EOS], [7, EOS], [5, 5, EOS], [6, EOS], [4, 7, 7, 5, EOS], [5, EOS]]
)


class TestWhitenedGuide(GuideContract):
    has_parameters = True

    def create_model(self, *, seed=0):
        return variational(seed=seed)

    def create(self, model, *, seed=1):
        return tiny_guide(model, WhitenedGuide, seed=seed, divergence=1.0).eval()


def after_training(guide, batch):
    """Give the guide the moments of a batch, as after many of them."""
    guide.train().posterior(batch)
    guide.whitening.rows.fill_(int(1 / RIDGE))
    return guide.eval().posterior(batch)["sentence"]


def test_mean_divergence_is_as_given():
    model = vae(2)
    found = after_training(guide_of(model, WhitenedGuide, divergence=3.0), SENTENCES)
    divergences = kl_divergence(found, model.prior(len(SENTENCES)))
    assert divergences.std() > 0.1
    assert divergences.mean().item() == pytest.approx(3.0, rel=1e-3)


def test_mixture_over_the_sentences_has_the_moments_of_the_prior():
    found = after_training(guide_of(vae(2), WhitenedGuide, divergence=1.0), SENTENCES)
    means = found.mean.squeeze(1)
    covariance = means.T @ means / len(means) + found.variance[0, 0].diag()
    torch.testing.assert_close(means.mean(0), torch.zeros(2).double())
    torch.testing.assert_close(covariance, torch.eye(2).double(), atol=1e-3, rtol=0)


def test_mean_divergence_from_a_prior_given_the_source():
    model = variational(VariationalSoftModel)
    batch = random_batch((3, 2, 4, 1, 2), (2, 3, 2, 2, 1))
    found = after_training(tiny_guide(model, WhitenedGuide, divergence=2.0), batch)
    divergences = kl_divergence(found, model.prior_given(batch))
    assert divergences.mean().item() == pytest.approx(2.0, rel=1e-2)


@pytest.mark.parametrize("objective", [SentenceELBO(), SentenceImportanceBound(samples=2)])
def test_objectives_accept_it(objective):
    model = vae(2)
    guide = guide_of(model, WhitenedGuide).train()
    objective.differentiable_loss(model.train(), guide, SENTENCES).backward()
    assert guide.direction.weight.grad.abs().sum() > 0
