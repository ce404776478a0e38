"""Objectives that sample paths: their gradients are compared with sums over all paths."""

from __future__ import annotations

import itertools
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import TraceGraph_ELBO
from support import (
    assert_unbiased,
    collected_gradient,
    gradient,
    padded,
    random_batch,
    randomise,
    repeated,
    row_variance,
    tiny_networks,
)

from pyro_align.errors import IncompatibleError
from pyro_align.evaluation.diagnosis import fitting_objectives
from pyro_align.guides import AmortizedGuide, GumbelGuide, MarkovGuide, NoGuide, PriorGuide
from pyro_align.inference import (
    VIMCO,
    EnumeratedELBO,
    ImportanceWeightedBound,
    ReweightedWakeSleep,
    ScoreFunctionELBO,
    SoftAttentionBaseline,
    TopKMarginal,
)
from pyro_align.inference.plates import position_plate, sentence_plate
from pyro_align.inference.reweighted_wake_sleep import wake_phase
from pyro_align.models import MarkovModel

DRAWS, ROWS = 24, 100
"""Number of independent mean gradients, and how often each repeats the batch."""

BATCH = random_batch((3, 2), (2, 3))
SMALL = random_batch((2,), (2,))


def pair(*, monotonic=False):
    """A model and a guide that disagree."""
    model = MarkovModel(tiny_networks(), jump_width=2, monotonic=monotonic)
    randomise(model.jumps, 0, 0.7)
    return model, randomise(MarkovGuide(model, hidden=4), 1)


def draws(objective, model, guide, batch=BATCH, rows=ROWS):
    """Independent estimates of the gradient of one batch, for model and guide."""
    many, grads = repeated(batch, rows), []
    for _ in range(DRAWS):
        objective.loss_and_grads(model, guide, many)
        grads.append(collected_gradient(model, guide) / rows)
    return torch.stack(grads)


def paths_of(model, guide, batch):
    """Log probabilities of every path and of the tokens given it, for a single sentence."""
    states = model.states(batch)
    q = guide.posterior(batch)["alignment"]
    p = model.prior(states).masked(batch.target_mask.unsqueeze(1))
    paths = q.enumerate_support(expand=False)
    tokens = model.emission(states, paths.squeeze(-2)).log_prob(batch.target)
    tokens = tokens.where(batch.target_mask, 0.0).sum(-1)
    return tuple(each.flatten() for each in (q.log_prob(paths), p.log_prob(paths), tokens))


@pytest.mark.parametrize(
    ("baseline", "samples", "kl_weight", "monotonic"),
    [
        ("none", 1, 1.0, False),
        ("soft-attention", 1, 0.3, False),
        ("soft-attention", 4, 1.0, True),
        ("network", 1, 1.0, False),
        ("leave-one-out", 4, 0.3, False),
    ],
)
def test_the_score_function_is_unbiased(baseline, samples, kl_weight, monotonic):
    model, guide = pair(monotonic=monotonic)
    objective, exact = ScoreFunctionELBO(baseline=baseline, samples=samples), EnumeratedELBO()
    objective.kl_weight = exact.kl_weight = kl_weight
    randomise(objective.module(model))
    expected = gradient(exact.differentiable_loss(model, guide, BATCH), model, guide)
    assert_unbiased(draws(objective, model, guide, rows=ROWS // samples), expected)


def test_the_average_baseline_learns_the_mean_cost_of_a_token():
    model, guide = pair()
    objective = ScoreFunctionELBO(baseline="average")
    batch = repeated(padded(BATCH, target=1), 5)
    found = []
    for _ in range(20):
        found.append(objective.terms(model, guide, batch).log_likelihood / batch.num_targets)
    mean = torch.stack(found).mean()
    torch.testing.assert_close(objective.baseline.average, mean.to(objective.baseline.average))


def test_terms_have_the_exact_divergence():
    model, guide = pair()
    exact = EnumeratedELBO(free_bits=0.5).terms(model, guide, BATCH)
    terms = ScoreFunctionELBO(samples=3, free_bits=0.5).terms(model, guide, BATCH)
    torch.testing.assert_close(terms.total_kl, exact.total_kl)
    penalty = exact.loss + exact.log_likelihood
    torch.testing.assert_close(terms.loss + terms.log_likelihood, penalty)


def test_later_tokens_alone_have_a_smaller_variance_than_the_whole_path():
    """Stock Pyro multiplies the score of the path by the cost of the path."""
    model, guide = pair()
    many = repeated(random_batch((3,), (6,)), 1000)
    ours = ScoreFunctionELBO(baseline="soft-attention")
    stock = TraceGraph_ELBO(max_plate_nesting=2)
    with_baseline = SoftAttentionBaseline().handle(model, guide)
    variances = [
        row_variance(elbo, model, approximation, many, guide.bilinear)
        for elbo, approximation in ((ours, guide), (stock, with_baseline))
    ]
    assert variances[0] < 0.7 * variances[1]


@pytest.mark.parametrize("kind", [ImportanceWeightedBound, VIMCO, ReweightedWakeSleep])
def test_importance_weights_are_those_of_paths(kind):
    """All pairs of paths of a sentence, each with its probability."""
    model, guide = pair()
    batch = padded(SMALL, target=1)
    log_q, log_p, tokens = paths_of(model, guide, batch)
    loss = 0.0
    for pair_of_paths in itertools.product(range(len(log_q)), repeat=2):
        chosen = list(pair_of_paths)
        weights = (tokens + log_p - log_q)[chosen]
        if kind is ReweightedWakeSleep:
            value = (weights.detach().softmax(0) * (tokens + log_p + log_q)[chosen]).sum()
            loss = loss - log_q[chosen].sum().exp().detach() * value
        else:
            bound = weights.logsumexp(0) - math.log(2)
            loss = loss - log_q[chosen].sum().exp() * bound
    estimates = draws(kind(samples=2), model, guide, batch, rows=60)
    assert_unbiased(estimates, gradient(loss, model, guide))


def test_the_wake_phase_sums_over_all_paths():
    model, guide = pair()
    batch = padded(SMALL, source=1, target=1)
    log_q, log_p, tokens = paths_of(model, guide, batch)
    weights = (log_p + tokens).detach().softmax(0)
    loss = -(weights * (tokens + log_p + log_q)).nan_to_num(0.0).sum()
    expected = gradient(loss, model, guide)
    torch.testing.assert_close(gradient(wake_phase(model, guide, batch), model, guide), expected)


def test_a_diagnosis_measures_the_objectives_of_paths():
    model, guide = pair()
    found = fitting_objectives(model, guide, BATCH, ("enumerated", {}))
    names = {label.partition(",")[0] for label in found}
    assert {"exact", "enumerated", "score-function", "rws", "importance-weighted", "vimco"} <= names


@pytest.mark.parametrize(
    ("objective", "guide", "message"),
    [
        (ScoreFunctionELBO, PriorGuide, "one path, which this guide does not sample: use Markov"),
        (EnumeratedELBO, AmortizedGuide, "one path, which this guide does not sample: use Markov"),
        (VIMCO, GumbelGuide, "one path, which this guide does not sample: use MarkovGuide"),
        (EnumeratedELBO, NoGuide, "one path, which this guide does not sample: use MarkovGuide"),
        (TopKMarginal, NoGuide, "no position can be inferred by itself: use ExactMarginal"),
        (TopKMarginal, PriorGuide, "no position can be inferred by itself: use ExactMarginal"),
    ],
)
def test_what_does_not_know_paths_is_refused(objective, guide, message):
    with pytest.raises(IncompatibleError, match=message):
        objective.check(MarkovModel, guide)


def test_a_site_outside_the_positions_is_refused():
    model, guide = pair()

    class Summed(MarkovModel):
        def forward(self, batch):
            states = self.states(batch)
            chain = self.prior(states).masked(batch.target_mask.unsqueeze(1))
            with sentence_plate(batch):
                path = pyro.sample("alignment", chain)
                total = path.sum(-1).to(chain.initial.dtype)
                pyro.sample("length", dist.Normal(total, 1.0), obs=torch.zeros_like(total))
                with position_plate(batch):
                    emission = self.emission(states, path.squeeze(-2))
                    return pyro.sample("tokens", emission, obs=batch.target)

    summed = Summed(model.networks, jump_width=2).double()
    with pytest.raises(
        IncompatibleError, match="'length' depends on the path but is outside the plate"
    ):
        ScoreFunctionELBO(baseline="none").loss(summed, guide, BATCH)
