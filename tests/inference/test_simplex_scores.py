"""Scores of a model whose alignments lie on the simplex."""

from __future__ import annotations

import pytest
import torch
from pyro import poutine
from support import padded, random_batch, tiny_guide, tiny_model
from torch.distributions import kl_divergence
from torch.testing import assert_close

from pyro_align.guides import AmortizedDirichletGuide, NoGuide
from pyro_align.inference import PositionScores, score_positions
from pyro_align.models import DirichletModel, SoftModel

BATCH = padded(random_batch(), source=1, target=1)


def pair():
    model = tiny_model(DirichletModel)
    return model, tiny_guide(model, AmortizedDirichletGuide)


def test_means_and_divergence_match_the_programs():
    model, guide = pair()
    scores = score_positions(model, guide, BATCH)
    assert isinstance(scores, PositionScores)
    p, q = (
        poutine.trace(program).get_trace(BATCH).nodes["alignment"]["fn"]
        for program in (model, guide)
    )
    here = BATCH.target_mask
    assert_close(scores.log_prior.exp()[here], p.mean[here])
    assert_close(scores.log_guide.exp()[here], q.mean[here])
    assert_close(scores.kl, kl_divergence(q, p).where(here, 0.0))
    weights = p.mean[here]
    entropy = -torch.xlogy(weights, weights).sum(-1)
    assert_close(scores.prior_entropy[here], entropy)
    assert_close(scores.gap, scores.log_evidence - scores.elbo)
    assert scores.log_emission is scores.log_posterior is scores.posterior_entropy is None


def test_samples_are_reproducible_without_the_global_generator():
    model, guide = pair()
    before = torch.get_rng_state()
    first, second = (score_positions(model, guide, BATCH) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first.log_evidence, second.log_evidence)
    assert torch.equal(first.elbo, second.elbo)


def test_padding_does_not_contribute():
    model, guide = pair()
    scores = score_positions(model, guide, BATCH)
    for name in ("log_evidence", "kl", "gap", "elbo", "prior_entropy"):
        value = getattr(scores, name)
        assert not value[~BATCH.target_mask].any(), name
        assert torch.isfinite(value).all(), name
    outside = ~BATCH.source_mask.unsqueeze(1) & BATCH.target_mask.unsqueeze(2)
    assert (scores.log_prior.exp()[outside] == 0).all()
    assert (scores.log_guide.exp()[outside] == 0).all()


def test_the_importance_weighted_mean_is_above_the_bound():
    """By Jensen's inequality; the closed-form divergence nearly equals that of the samples."""
    model, guide = pair()
    scores = score_positions(model, guide, BATCH)
    assert scores.log_evidence.sum() > scores.elbo.sum()


@pytest.mark.parametrize("make", [lambda model: None, NoGuide])
def test_without_a_guide_the_prior_is_sampled(make):
    model, _ = pair()
    scores = score_positions(model, make(model), BATCH)
    assert scores.log_guide is scores.kl is scores.elbo is scores.gap is None
    assert torch.isfinite(scores.log_evidence).all()
    assert (scores.log_evidence[BATCH.target_mask] < 0).all()


def test_with_one_source_position_the_evidence_is_the_likelihood():
    batch = random_batch((1, 1), (3, 2))
    model, guide = pair()
    scores = score_positions(model, guide, batch)
    soft = score_positions(SoftModel(model.networks), None, batch)
    assert_close(scores.log_evidence, soft.log_evidence)
    assert_close(scores.elbo, soft.log_evidence)
    assert_close(scores.kl, torch.zeros_like(scores.kl))
