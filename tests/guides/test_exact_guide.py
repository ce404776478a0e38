"""Exact posterior as a guide."""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import pytest
import torch
from support import evidence, gradient, padded, random_batch, tiny_guide, tiny_model
from torch.testing import assert_close

from pyro_align.errors import IncompatibleError
from pyro_align.guides import AmortizedDirichletGuide, ExactGuide, NoGuide
from pyro_align.inference import (
    EnumeratedELBO,
    ExactMarginal,
    ScoreFunctionELBO,
    alignment_plates,
    score_positions,
)
from pyro_align.models import DirichletModel, MarkovModel
from pyro_align.testing import GuideContract, stock

BATCH = padded(random_batch(), source=1, target=2)


class TestExactGuide(GuideContract):
    has_parameters = False

    def create_model(self, **settings):
        return tiny_model(**settings)

    def create(self, model, *, seed=1):
        return tiny_guide(model, ExactGuide, seed=seed)

    def test_bound_is_below_the_evidence(self):
        """The bound equals the evidence."""
        model, guide = self.pair()
        elbo, *programs = next(stock(model, guide))
        assert -elbo.loss(*programs, BATCH) == pytest.approx(evidence(model, BATCH).item())


def test_equals_bayes_rule():
    model, batch = tiny_model(), random_batch()
    scores = ExactGuide(model).scores(batch)
    states = model.states(batch)
    for b in range(len(batch)):
        for t in range(int(batch.target_lengths[b])):
            length = int(batch.source_lengths[b])
            prior = states.scores[b, t, :length].softmax(-1)
            emission = model.networks.emission(
                states.hidden[b, t], states.memory.values[b, :length]
            )
            joint = prior * emission.probs[:, batch.target[b, t]]
            assert_close(scores[b, t].softmax(-1)[:length], joint / joint.sum())


@pytest.mark.parametrize("feeding", [False, True])
def test_bound_and_gradient_equal_those_of_the_evidence(feeding):
    model = tiny_model(input_feeding=feeding)
    guide = ExactGuide(model)
    bound = -EnumeratedELBO().differentiable_loss(model, guide, BATCH)
    exact = -ExactMarginal().differentiable_loss(model, NoGuide(model), BATCH)
    assert_close(bound, exact)
    assert_close(gradient(bound, model), gradient(exact, model), rtol=1e-9, atol=1e-11)
    scores = score_positions(model, guide, BATCH)
    assert_close(scores.gap, torch.zeros_like(scores.gap), rtol=0, atol=1e-12)
    assert_close(scores.elbo, scores.log_evidence)


def test_handlers_do_not_see_how_the_guide_runs_the_model():
    """Particles, enumeration and traces around the guide do not change its posterior."""
    model = tiny_model()
    guide = ExactGuide(model)
    alone = guide.scores(BATCH)
    found = []
    inner = type(guide).scores

    class Watched(ExactGuide):
        def scores(self, batch):
            found.append(inner(self, batch))
            return found[-1]

    watched = Watched(model)
    EnumeratedELBO().loss(model, watched, BATCH)
    ScoreFunctionELBO(samples=3).loss(model, watched, BATCH)
    with pyro.poutine.trace() as tracer:
        watched.scores(BATCH)
    assert not [name for name, site in tracer.trace.nodes.items() if site["type"] == "sample"]
    assert len(found) == 3
    for scores in found:
        assert_close(scores, alone)
    assert not alone.requires_grad


def test_the_models_networks_run_once():
    model = tiny_model()
    calls = []
    model.networks.encoder.register_forward_hook(lambda *_: calls.append(1))
    EnumeratedELBO().loss_and_grads(model, ExactGuide(model), BATCH)
    assert len(calls) == 1


def test_posterior_of_a_plain_program():
    """A plain function with the sites and plates, without classes of this package."""
    prior = torch.randn(3, 4, 4, dtype=torch.float64)
    table = torch.randn(4, 9, dtype=torch.float64)

    def model(batch):
        with alignment_plates(batch):
            logits = prior.masked_fill(~batch.source_mask.unsqueeze(1), -1e4)
            z = pyro.sample("alignment", dist.Categorical(logits=logits))
            pyro.sample("tokens", dist.Categorical(logits=table[z]), obs=batch.target)

    batch = random_batch()
    loss = EnumeratedELBO().loss(model, ExactGuide(model), batch)
    exact = ExactMarginal().loss(model, lambda batch: None, batch)
    assert loss == pytest.approx(exact)


def test_alignments_that_cannot_be_enumerated_are_rejected():
    model = tiny_model(DirichletModel)
    with pytest.raises(IncompatibleError, match="DirichletModel cannot be enumerated"):
        ExactGuide(model)(BATCH)
    assert tiny_guide(model, AmortizedDirichletGuide)(BATCH)["alignment"].shape == (3, 6, 5)


def test_models_whose_alignments_depend_on_each_other_are_rejected():
    with pytest.raises(IncompatibleError, match=r"MarkovModel depend on each other.*MarkovGuide"):
        ExactGuide(tiny_model(MarkovModel))
