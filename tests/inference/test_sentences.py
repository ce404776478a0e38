"""Log evidence, bounds and divergences of sentences, against closed forms and quadrature."""

from __future__ import annotations

import math
from typing import ClassVar

import pyro
import pyro.distributions as dist
import pytest
import torch
from linear import BATCH, ExactPosterior, LinearGuide, LinearModel
from pyro import poutine
from support import random_batch, tiny_networks
from torch import nn

from pyro_align.errors import IncompatibleError
from pyro_align.guides import AlignmentGuide, NoGuide
from pyro_align.inference import (
    position_plate,
    score_batch,
    score_positions,
    score_sentences,
    sentence_plate,
    sentences,
)
from pyro_align.inference.position_scores import AveragedScores
from pyro_align.inference.sentences import draw_sentences
from pyro_align.models import CategoricalModel

PAIRS = random_batch((3, 2), (3, 2), vocabulary=6)


class ShiftedModel(CategoricalModel):
    """A number for each sentence shifts the decoder states."""

    latents: ClassVar = {"alignment": "categorical", "topic": "gaussian"}

    def __init__(self, networks):
        super().__init__(networks)
        self.shift = nn.Linear(1, networks.hidden_size)

    def forward(self, batch):
        states = self.states(batch)
        zeros = states.hidden.new_zeros(len(batch), 1, 1)
        with sentence_plate(batch):
            topic = pyro.sample("topic", dist.Normal(zeros, 1.0).to_event(1))
            with position_plate(batch):
                logits = self.prior(states).logits + topic * torch.arange(logits_width(states))
                alignment = pyro.sample("alignment", dist.Categorical(logits=logits))
                emission = self.networks.emission(
                    states.hidden + self.shift(topic),
                    states.memory.values[torch.arange(len(batch)).unsqueeze(-1), alignment],
                )
                return pyro.sample("tokens", emission, obs=batch.target)


def logits_width(states):
    return states.scores.shape[-1]


class TopicGuide(AlignmentGuide):
    """The Gaussian alone."""

    latents: ClassVar = {"topic": "gaussian"}

    def __init__(self, model):
        super().__init__(model)
        self.loc = nn.Parameter(torch.tensor([0.4, -0.2]).double())

    def posterior(self, batch):
        loc = self.loc[batch.indices].reshape(-1, 1, 1)
        return {"topic": dist.Normal(loc, WIDTH).to_event(1)}


class BothGuide(TopicGuide):
    """The Gaussian, and alignments that depend on it."""

    latents: ClassVar = {"alignment": "categorical", "topic": "gaussian"}

    def forward(self, batch):
        scores = self.model.states(batch).scores
        with sentence_plate(batch):
            topic = pyro.sample("topic", self.posterior(batch)["topic"])
            with position_plate(batch):
                pyro.sample("alignment", dist.Categorical(logits=0.5 * scores - topic))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return ShiftedModel(tiny_networks(vocabulary=6)).double().eval()


class Quadrature:
    """Expectations over a Gaussian of every sentence, by the trapezoidal rule on a fine grid."""

    POINTS = 2001

    def __init__(self, model, guide, loc, scale):
        noise = torch.linspace(-9, 9, self.POINTS).double()
        points = loc.reshape(-1, 1) + scale * noise
        self.log_weights = dist.Normal(0.0, 1.0).log_prob(noise) + math.log(18 / (self.POINTS - 1))
        given = {"topic": points.reshape(-1, 1, 1)}
        programs = (poutine.condition(each, given) for each in (model, guide))
        self.scores = score_positions(*programs, PAIRS.repeated(self.POINTS))

    def rows(self, values):
        return values.unflatten(0, (len(PAIRS), self.POINTS))

    def mean(self, values):
        return self.rows(values.sum(1)) @ self.log_weights.exp()

    @property
    def log_joint(self):
        return self.log_weights + self.rows(self.scores.log_evidence.sum(1))

    @property
    def log_evidence(self):
        return self.log_joint.logsumexp(1)

    def posterior_mean(self, values):
        return torch.einsum("bn,bn...->b...", self.log_joint.softmax(1), self.rows(values))


WIDTH = 1.3
"""Of the guide: wider than the prior, so that importance weights are bounded."""

PRIOR = torch.zeros(2).double(), 1.0
"""Mean and scale."""


def test_with_the_exact_posterior_every_sample_gives_the_evidence():
    linear = LinearModel()
    guide = ExactPosterior(linear)
    scores = score_sentences(linear, guide, BATCH, draws=3)
    torch.testing.assert_close(scores.log_evidence, linear.evidence(BATCH.vectors))
    torch.testing.assert_close(scores.effective_sample_size, torch.ones(4).double())
    # The bound is tight in expectation; its divergence is in closed form, so that it has noise.
    prior = dist.MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    posterior = torch.distributions.MultivariateNormal(
        linear.posterior(BATCH.vectors).loc,
        precision_matrix=linear.posterior(BATCH.vectors).precision_matrix,
    )
    draws = draw_sentences(linear, guide, BATCH, 5)
    expected = linear.evidence(BATCH.vectors).unsqueeze(1).expand(4, 5)
    torch.testing.assert_close(draws.log_weight, expected)
    assert torch.distributions.kl_divergence(posterior, prior).shape == (4,)


@pytest.mark.parametrize(
    "guide", [LinearGuide.near(LinearModel()), None, NoGuide(None)], ids=["guide", "none", "no"]
)
def test_the_evidence_of_a_linear_model_within_error_bars(guide):
    linear, draws = LinearModel(), 20_000
    scores = score_sentences(linear, guide, BATCH, draws=draws)
    expected = linear.evidence(BATCH.vectors)
    # Relative standard error of the mean of the weights.
    error = (1 / scores.effective_sample_size - 1).sqrt() / draws**0.5
    assert ((scores.log_evidence - expected).abs() < 6 * error).all()
    assert error.max() < 0.1
    if guide is None:
        assert scores.elbo is None
        assert scores.kl is None


def test_the_bound_of_a_linear_model_within_error_bars():
    linear, guide, draws = LinearModel(), LinearGuide.near(LinearModel()), 20_000
    scores = score_sentences(linear, guide, BATCH, draws=draws)
    q = guide.normal(BATCH.vectors)
    variance = q.base_dist.scale**2
    kl = 0.5 * (variance + q.base_dist.loc**2 - 1 - variance.log()).sum(-1)
    torch.testing.assert_close(scores.divergences, {"code": kl})
    residual = BATCH.vectors - q.base_dist.loc @ linear.weight.T - linear.bias
    noise = (2 * linear.log_scale).exp()
    spread = (variance @ linear.weight.square().T).sum(-1)
    likelihood = -0.5 * (
        (residual.square().sum(-1) + spread) / noise + 3 * (2 * math.pi * noise).log()
    )
    sampled = draw_sentences(linear, guide, BATCH, 500).log_likelihood
    error = sampled.std(1) / draws**0.5
    assert ((scores.elbo - (likelihood - kl)).abs() < 6 * error).all()


@pytest.mark.parametrize("kind", [TopicGuide, BothGuide])
def test_alignments_are_summed_out_inside(model, kind):
    guide, draws = kind(model), 4000
    scores = score_sentences(model, guide, PAIRS, draws=draws)
    exact = Quadrature(model, guide, *PRIOR)
    error = (1 / scores.effective_sample_size - 1).sqrt() / draws**0.5
    assert ((scores.log_evidence - exact.log_evidence).abs() < 6 * error + 1e-6).all()
    under_guide = Quadrature(model, guide, guide.loc.detach(), WIDTH)
    kl = 0.5 * (WIDTH**2 + guide.loc.detach() ** 2 - 1 - 2 * math.log(WIDTH))
    torch.testing.assert_close(scores.divergences["topic"], kl)
    if kind is BothGuide:
        bound = under_guide.mean(under_guide.scores.elbo) - kl
        divergence = under_guide.mean(under_guide.scores.kl)
        torch.testing.assert_close(scores.divergences["alignment"], divergence, atol=0.1, rtol=0)
    else:
        bound = under_guide.mean(under_guide.scores.log_evidence) - kl
    spread = draw_sentences(model, guide, PAIRS, 300).log_likelihood.std(1)
    assert ((scores.elbo - bound).abs() < 0.02 + 6 * spread / draws**0.5).all()
    assert (scores.gap > 0).all()


def test_alignments_are_averaged_over_the_posterior(model):
    found = score_sentences(model, BothGuide(model), PAIRS, draws=6000)
    positions = found.positions
    assert isinstance(positions, AveragedScores)
    torch.testing.assert_close(positions.log_evidence.sum(1), found.log_evidence)
    exact = Quadrature(model, BothGuide(model), *PRIOR)
    for name in ("log_posterior", "log_prior", "log_guide"):
        expected = exact.posterior_mean(getattr(exact.scores, name).exp())
        mask = PAIRS.target_mask.unsqueeze(-1) & PAIRS.source_mask.unsqueeze(1)
        difference = getattr(positions, name).exp() - expected
        assert difference[mask].abs().max() < 0.03, name
    assert (positions.log_evidence[~PAIRS.target_mask].abs() < 1e-9).all()


def test_parts_do_not_change_the_estimate(monkeypatch):
    linear, guide = LinearModel(), ExactPosterior(LinearModel())
    whole = score_sentences(linear, guide, BATCH, draws=50)
    monkeypatch.setattr(sentences, "CHUNK", 4 * 7)
    parts = score_sentences(linear, guide, BATCH, draws=50)
    torch.testing.assert_close(parts.log_evidence, whole.log_evidence)


def test_averages_in_parts_equal_those_at_once(model, monkeypatch):
    monkeypatch.setattr(sentences, "CHUNK", 40 * PAIRS.target.numel())
    guide = BothGuide(model)
    parts = score_sentences(model, guide, PAIRS, draws=400)
    monkeypatch.setattr(sentences, "CHUNK", 10**6)
    whole = score_sentences(model, guide, PAIRS, draws=400)
    # Other random numbers: a wrong combination of parts would be off by much more.
    difference = parts.positions.log_posterior.exp() - whole.positions.log_posterior.exp()
    assert difference.abs().max() < 0.1


def test_the_result_is_repeatable_and_keeps_the_random_state():
    linear, guide = LinearModel(), LinearGuide()
    before = torch.get_rng_state()
    first = score_sentences(linear, guide, BATCH)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(17)
    assert torch.equal(score_sentences(linear, guide, BATCH).log_evidence, first.log_evidence)


def test_score_batch_chooses_by_the_latent_sites(model):
    assert score_batch(LinearModel(), LinearGuide(), BATCH).log_evidence.shape == (4,)
    assert score_batch(model, TopicGuide(model), PAIRS).log_evidence.shape == (2,)
    alone = CategoricalModel(tiny_networks(vocabulary=6))
    assert score_batch(alone, NoGuide(alone), PAIRS).log_evidence.shape == (2, 3)


def test_without_sites_of_the_sentence_the_evidence_is_exact():
    def plain(batch):
        with sentence_plate(batch):
            noise = dist.Normal(torch.zeros(3).double(), 1.0).to_event(1)
            pyro.sample("vectors", noise, obs=batch.vectors.unsqueeze(1))

    scores = score_batch(plain, lambda batch: None, BATCH)
    expected = dist.Normal(0.0, 1.0).log_prob(BATCH.vectors).sum(1)
    torch.testing.assert_close(scores.log_evidence, expected)
    assert scores.positions is None


def test_a_site_outside_the_plate_is_rejected():
    def outside(batch):
        code = pyro.sample("code", dist.Normal(torch.zeros(1, 1), 1.0))
        vectors = batch.vectors.unsqueeze(1)
        noise = dist.Normal(code.unsqueeze(-1).expand(vectors.shape), 1.0).to_event(1)
        with sentence_plate(batch):
            pyro.sample("vectors", noise, obs=vectors)

    with pytest.raises(IncompatibleError, match=r"'code' lies outside the plate 'sentences'"):
        score_sentences(outside, outside, BATCH)


def test_different_sites_are_rejected():
    def other(batch):
        with sentence_plate(batch):
            pyro.sample("else", dist.Normal(torch.zeros(()), 1.0))

    with pytest.raises(IncompatibleError, match="only one of LinearModel and other samples"):
        score_sentences(LinearModel(), other, BATCH)
