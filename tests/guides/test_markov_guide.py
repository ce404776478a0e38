"""Amortised guide of paths."""

from __future__ import annotations

import pytest
import torch
from support import padded, random_batch, randomise, tiny_networks

from pyro_align.guides import MarkovGuide
from pyro_align.inference import EnumeratedELBO, score_positions
from pyro_align.models import MarkovModel
from pyro_align.testing import GuideContract


class TestMarkovGuide(GuideContract):
    has_parameters = True

    def create_model(self, *, seed=0, **settings):
        model = MarkovModel(tiny_networks(seed=seed, **settings), jump_width=2)
        randomise(model.jumps, seed, 0.7)
        return model

    def create(self, model, *, seed=1):
        return randomise(MarkovGuide(model, hidden=4), seed)


@pytest.mark.parametrize("monotonic", [False, True])
def test_enumerated_bound_is_the_sum_over_all_paths(monotonic):
    model = MarkovModel(tiny_networks(), jump_width=2, monotonic=monotonic)
    randomise(model.jumps, 0, 0.7)
    guide = randomise(MarkovGuide(model, hidden=4), 1)
    batch = padded(random_batch((3, 2), (3, 2)), source=1, target=1)
    terms = EnumeratedELBO().terms(model, guide, batch)
    mask = batch.target_mask.unsqueeze(1)
    q, p = guide.posterior(batch)["alignment"], model.prior(model.states(batch)).masked(mask)
    paths = q.enumerate_support(expand=False)
    log_q, log_p = q.log_prob(paths), p.log_prob(paths)
    tokens = model.emission(model.states(batch), paths.squeeze(-2)).log_prob(batch.target)
    likelihood = tokens.where(batch.target_mask, 0.0).sum(-1, keepdim=True)
    torch.testing.assert_close(terms.log_likelihood, (log_q.exp() * likelihood).sum())
    torch.testing.assert_close(terms.total_kl, (log_q.exp() * (log_q - log_p)).sum())


def test_scores_of_positions_add_up_to_the_bound():
    model = MarkovModel(tiny_networks(), jump_width=2)
    randomise(model.jumps, 0, 0.7)
    guide, batch = randomise(MarkovGuide(model, hidden=4), 1), padded(random_batch(), target=1)
    scores = score_positions(model, guide, batch)
    terms = EnumeratedELBO().terms(model, guide, batch)
    torch.testing.assert_close(scores.elbo.sum(), -terms.loss)
    torch.testing.assert_close(scores.kl.sum(), terms.total_kl)
    marginals = guide.posterior(batch)["alignment"].marginals.squeeze(1)
    mask = batch.target_mask
    torch.testing.assert_close(scores.log_guide.exp()[mask], marginals[mask])


def test_a_guide_of_a_monotonic_model_is_monotonic():
    model = MarkovModel(tiny_networks(), jump_width=2, monotonic=True).double()
    guide, batch = randomise(MarkovGuide(model, hidden=4), 1), random_batch((4, 4), (4, 4))
    paths = guide.posterior(batch)["alignment"].sample((50,))
    assert (paths.diff(dim=-1) >= 0).all()
