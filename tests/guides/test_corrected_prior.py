"""Guide that multiplies the prior by a learnt likelihood."""

from __future__ import annotations

import dataclasses

import torch
from support import gradient, random_batch, tiny_guide, tiny_model

from pyro_align.data.batch import EOS
from pyro_align.guides import CorrectedPriorGuide
from pyro_align.testing import GuideContract


class TestCorrectedPriorGuide(GuideContract):
    has_parameters = True

    def create_model(self, **settings):
        return tiny_model(**settings)

    def create(self, model, *, seed=1):
        guide = tiny_guide(model, CorrectedPriorGuide, seed=seed)
        with torch.no_grad():
            guide.source.weight.mul_(0.2)  # so that no alignment is certain
        return guide


def test_equals_bayes_rule_with_the_learnt_likelihood():
    model, batch = tiny_model(), random_batch()
    guide = tiny_guide(model, CorrectedPriorGuide)
    states, networks = model.states(batch), model.networks
    q = guide.scores(batch).softmax(-1)
    for i, t in batch.target_mask.nonzero().tolist():
        token = networks.target_embedding.weight[batch.target[i, t]]
        u = guide.token.weight @ torch.cat([token, states.hidden[i, t]]) + guide.token.bias
        weights = []
        for s in range(int(batch.source_lengths[i])):
            word = networks.source_embedding.weight[batch.source[i, s]]
            v = (guide.source.weight @ torch.cat([word, states.memory.annotations[i, s]])).tanh()
            weights.append(states.scores[i, t].softmax(-1)[s] * (u @ v).exp())
        weights = torch.stack(weights)
        torch.testing.assert_close(q[i, t, : len(weights)], weights / weights.sum())


def test_scores_do_not_depend_on_later_target_tokens():
    model, batch = tiny_model(), random_batch((3,), (4,))
    guide = tiny_guide(model, CorrectedPriorGuide)
    scores = guide.scores(batch)
    other = batch.target.clone()
    other[0, 1] = EOS + 1 + (other[0, 1] - EOS) % 3
    assert other[0, 1] != batch.target[0, 1]
    changed = guide.scores(dataclasses.replace(batch, target=other))
    differs = (changed - scores).abs().amax(-1)[0] > 1e-9
    assert differs.tolist() == [False, True, True, True]


def test_the_guide_has_no_gradient_for_the_model():
    model, batch = tiny_model(), random_batch()
    guide = tiny_guide(model, CorrectedPriorGuide)
    log_q = guide.scores(batch).log_softmax(-1)[..., 0].sum()
    assert (gradient(log_q, model) == 0).all()
    assert (gradient(log_q, guide) != 0).any()
