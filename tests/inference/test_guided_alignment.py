"""Links that guide the alignment in training, compared with sums over all alignments."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, config_enumerate
from support import assert_unbiased, gradient, padded, random_batch, tiny_guide, tiny_model

from pyro_align.errors import ConfigError
from pyro_align.guides import NoGuide
from pyro_align.inference import (
    EnumeratedELBO,
    ExactMarginal,
    Likelihood,
    ScoreFunctionELBO,
    guided_alignment,
    score_positions,
)
from pyro_align.models import MarkovModel, SoftModel
from pyro_align.testing import randomise

WEIGHTS = [0.3, 1.0]


def linked_batch():
    """Positions with no, one and two links, some of them on padding of the target."""
    batch = padded(random_batch(), source=1, target=1)
    generator = torch.Generator().manual_seed(5)
    shape = (*batch.target.shape, batch.source.shape[1])
    links = torch.rand(shape, generator=generator) < 0.25
    links = links & batch.source_mask.unsqueeze(1)
    counts = links.sum(-1)[batch.target_mask]
    assert {0, 1, 2} <= set(counts.tolist())
    return replace(batch, links=links)


def factor(links, weight, target, source):
    """``r_t(s)`` of a sentence."""
    linked = links[target].any() and not links[target, source]
    return 1 - weight if linked else 1.0


def joint(model, batch):
    """``p(z_t = s)`` and ``p(y_t | z_t = s)`` as arrays ``[batch, target, source]``."""
    scores = score_positions(model, None, batch)
    return scores.log_prior.exp(), scores.log_emission.exp()


@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_marginal_is_a_sum_over_linked_positions(weight):
    model, batch = tiny_model(), linked_batch()
    with guided_alignment(batch.links, weight):
        loss = ExactMarginal().loss(model, NoGuide(model), batch)
    prior, emission = joint(model, batch)
    expected = 0.0
    for row, target in batch.target_mask.nonzero().tolist():
        links = batch.links[row]
        expected -= math.log(
            sum(
                factor(links, weight, target, source)
                * (prior[row, target, source] * emission[row, target, source]).item()
                for source in range(batch.source.shape[1])
            )
        )
    assert loss == pytest.approx(expected, rel=1e-5)


def test_it_interpolates_likelihoods():
    model, batch = tiny_model(), linked_batch()
    prior, emission = joint(model, batch)
    linked = batch.links | ~batch.links.any(-1, keepdim=True)
    whole = (prior * emission).sum(-1)
    restricted = (prior * emission * linked).sum(-1)
    expected = -(0.3 * restricted + 0.7 * whole).log()[batch.target_mask].sum()
    with guided_alignment(batch.links, 0.3):
        loss = ExactMarginal().loss(model, NoGuide(model), batch)
    assert loss == pytest.approx(expected.item(), rel=1e-5)


def test_a_stock_elbo_has_the_same_loss_and_gradient():
    model, batch = tiny_model(), linked_batch()
    with guided_alignment(batch.links, 0.6):
        ours = ExactMarginal().differentiable_loss(model, NoGuide(model), batch)
        stock = TraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(
            config_enumerate(model), NoGuide(model), batch
        )
    torch.testing.assert_close(ours, stock)
    torch.testing.assert_close(gradient(ours, model), gradient(stock, model))


@pytest.mark.parametrize("weight", WEIGHTS)
def test_of_a_chain_it_is_a_sum_over_linked_paths(weight):
    model = MarkovModel(tiny_model().networks, jump_width=2)
    randomise(model.jumps, 3, 0.5)
    batch = random_batch()
    generator = torch.Generator().manual_seed(1)
    links = torch.rand(*batch.target.shape, batch.source.shape[1], generator=generator) < 0.3
    links = links & batch.source_mask.unsqueeze(1)
    with guided_alignment(links, weight):
        loss = ExactMarginal().loss(model, NoGuide(model), batch)
    states = model.states(batch)
    chain = model.prior(states)
    places = torch.arange(batch.source.shape[1]).reshape(-1, 1, 1)
    emission = model.emission(states, places).log_prob(batch.target).exp().movedim(0, -1)
    initial, transition = chain.initial.exp().squeeze(1), chain.transition.exp().squeeze(1)
    initial = initial / initial.sum(-1, keepdim=True)
    transition = transition / transition.sum(-1, keepdim=True)
    total = 0.0
    for row, length in enumerate(batch.target_lengths.tolist()):
        paths = itertools.product(range(batch.source_lengths[row]), repeat=length)
        likelihood = 0.0
        for path in paths:
            one = 1.0
            for step, place in enumerate(path):
                before = path[step - 1]
                move = transition[row, step - 1, before, place] if step else initial[row, place]
                one *= (move * emission[row, step, place]).item()
                one *= factor(links[row], weight, step, place)
            likelihood += one
        total -= math.log(likelihood)
    assert loss == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("objective", [Likelihood, Trace_ELBO])
def test_soft_attention_has_the_mass_on_the_links(objective, weight):
    model, batch = tiny_model(SoftModel), linked_batch()
    guide = NoGuide(model)
    without = objective().loss(model, guide, batch)
    with guided_alignment(batch.links, weight):
        loss = objective().loss(model, guide, batch)
    attention = model.states(batch).scores.softmax(-1)
    mass = (attention * batch.links).sum(-1)[batch.links.any(-1) & batch.target_mask]
    assert loss - without == pytest.approx(-(1 - weight + weight * mass).log().sum().item(), 1e-4)


def test_of_a_bound_it_is_the_expectation_under_the_guide():
    model, batch = tiny_model(), linked_batch()
    guide = tiny_guide(model)
    without = EnumeratedELBO().loss(model, guide, batch)
    with guided_alignment(batch.links, 0.6):
        loss = EnumeratedELBO().loss(model, guide, batch)
    q = guide.posterior(batch)["alignment"].probs
    is_other = batch.links.any(-1, keepdim=True) & ~batch.links
    wrong = (q * is_other).sum(-1)[batch.target_mask].sum().item()
    assert loss - without == pytest.approx(-math.log(0.4) * wrong, rel=1e-4)


def test_sentences_may_be_repeated():
    model, batch = tiny_model(), linked_batch()
    with guided_alignment(batch.links, 0.6):
        loss, repeated = (
            ExactMarginal().loss(model, NoGuide(model), each) for each in (batch, batch.repeated(3))
        )
    assert repeated == pytest.approx(3 * loss, rel=1e-5)


def test_the_gradient_for_the_guide_sees_the_links():
    """A score-function estimate has the expected gradient, up to errors of the mean."""
    model, batch = tiny_model(), linked_batch()
    guide = tiny_guide(model)
    own = [parameter for name, parameter in guide.named_parameters() if "model" not in name]
    pyro.set_rng_seed(0)
    with guided_alignment(batch.links, 0.95):
        exact = torch.autograd.grad(EnumeratedELBO().differentiable_loss(model, guide, batch), own)
        draws = torch.stack(
            [
                torch.cat(
                    [
                        each.flatten()
                        for each in torch.autograd.grad(
                            ScoreFunctionELBO(samples=50).differentiable_loss(model, guide, batch),
                            own,
                        )
                    ]
                )
                for _ in range(24)
            ]
        )
    assert_unbiased(draws, torch.cat([each.flatten() for each in exact]))


def test_without_links_or_weight_nothing_changes():
    model, batch = tiny_model(), linked_batch()
    exact = ExactMarginal().loss(model, NoGuide(model), batch)
    for links, weight in ((None, 0.9), (batch.links, 0.0), (torch.zeros_like(batch.links), 0.9)):
        with guided_alignment(links, weight):
            assert ExactMarginal().loss(model, NoGuide(model), batch) == pytest.approx(exact)


def test_a_program_without_alignments_is_rejected():
    def model(_):
        pyro.sample("tokens", dist.Normal(torch.zeros(1, 1), 1.0), obs=torch.zeros(1, 1))

    links = torch.ones(1, 1, 1, dtype=torch.bool)
    with guided_alignment(links, 0.5), pytest.raises(ConfigError, match=r"remove data\.links"):
        Trace_ELBO().loss(model, lambda _: None, None)
