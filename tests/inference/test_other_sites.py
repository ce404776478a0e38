"""A Gaussian for each sentence next to the alignments: every objective equals brute force.

The gradient of a sampled objective is averaged exactly, over all alignments of all positions.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from gaussians import BATCH, NOISE, SOURCES, Brute, Unknown, programs
from pyro import poutine
from pyro.infer import TraceEnum_ELBO, TraceGraph_ELBO, config_enumerate
from support import gradient, random_batch, tiny_networks

from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.inference import (
    VIMCO,
    EnumeratedELBO,
    ExactMarginal,
    GumbelSoftmaxELBO,
    ImportanceWeightedBound,
    Likelihood,
    RelaxedELBO,
    ReweightedWakeSleep,
    ScoreFunctionELBO,
    TopKMarginal,
    position_plate,
    sentence_plate,
)
from pyro_align.inference.traces import SiteHandler
from pyro_align.models import MarkovModel


def assert_same(found, expected, *modules):
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    ours, theirs = gradient(found, *modules), gradient(expected, *modules)
    torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)
    assert theirs.norm() > 0.1


# Objectives that do not sample alignments.


@pytest.mark.parametrize("objective", [ExactMarginal(), TopKMarginal(k=SOURCES)])
@pytest.mark.parametrize("apart", [False, True])
def test_marginal_objectives(objective, apart):
    model, guide = programs(guide="none", apart=apart)
    terms = objective.terms(model, guide, BATCH)
    brute = Brute(model, guide)
    assert_same(terms.loss, brute.kl - brute.evidence, model, guide)
    assert set(terms.kl) == {"sentence"}
    torch.testing.assert_close(terms.kl["sentence"], brute.kl.detach())
    torch.testing.assert_close(terms.log_likelihood, brute.evidence.detach())


def test_top_k_of_fewer_positions():
    model, guide = programs(guide="none")
    brute = Brute(model, guide)
    best = brute.log_p.argmax(-1, keepdim=True)
    kept = brute.joint.gather(-1, best).sum()
    found = TopKMarginal(k=1).differentiable_loss(model, guide, BATCH)
    assert_same(found, brute.kl - kept, model, guide)


@pytest.mark.parametrize("apart", [False, True])
def test_enumerated(apart):
    model, guide = programs(apart=apart)
    terms = EnumeratedELBO().terms(model, guide, BATCH)
    brute = Brute(model, guide)
    assert_same(terms.loss, -brute.elbo, model, guide)
    torch.testing.assert_close(terms.kl["sentence"], brute.kl.detach())
    torch.testing.assert_close(terms.kl["alignment"], brute.alignment_kl.detach())
    torch.testing.assert_close(terms.total_kl, (brute.kl + brute.alignment_kl).detach())


def test_enumerated_equals_stock_pyro():
    """``TraceEnum_ELBO`` estimates the KL divergence of the Gaussian from the same sample."""
    model, guide = programs()
    stock = TraceEnum_ELBO(max_plate_nesting=2)
    expected = stock.differentiable_loss(model, config_enumerate(guide), BATCH)
    brute = Brute(model, guide)
    found = EnumeratedELBO().differentiable_loss(model, guide, BATCH)
    assert_same(found, expected - brute.log_ratio + brute.kl, model, guide)


def test_exact_with_an_alignment_in_the_guide():
    """The guide gets the gradient of the bound, the model that of the marginal."""
    model, guide = programs()
    terms = ExactMarginal().terms(model, guide, BATCH)
    brute = Brute(model, guide)
    torch.testing.assert_close(terms.loss, -brute.elbo)
    torch.testing.assert_close(gradient(terms.loss, guide), -gradient(brute.elbo, guide))
    marginal = brute.evidence - brute.kl
    torch.testing.assert_close(gradient(terms.loss, model), -gradient(marginal, model))


def test_likelihood():
    model, guide = programs("none", "none")
    terms = Likelihood().terms(model, guide, BATCH)
    brute = Brute(model, guide)
    log_likelihood = brute.log_y[:, 0].sum()
    assert_same(terms.loss, brute.kl - log_likelihood, model, guide)
    assert set(terms.kl) == {"sentence"}


class TopicChain(MarkovModel):
    """Alignments and tokens depend on a Gaussian of the sentence."""

    def forward(self, batch):
        states = self.states(batch)
        zeros = states.hidden.new_zeros(len(batch), 1, states.hidden.shape[-1])
        with sentence_plate(batch):
            topic = pyro.sample("topic", dist.Normal(zeros, 1.0).to_event(1))
            states = dataclasses.replace(
                states, hidden=states.hidden + topic, scores=states.scores * topic[..., :1].exp()
            )
            chain = self.prior(states).masked(batch.target_mask.unsqueeze(1))
            path = pyro.sample("alignment", chain)
            with position_plate(batch):
                emission = self.emission(states, path.squeeze(-2))
                return pyro.sample("tokens", emission, obs=batch.target)


def test_the_exact_objective_of_a_markov_chain_given_the_gaussian():
    model, batch = TopicChain(tiny_networks()).double(), random_batch()
    loc = torch.randn(len(batch), 1, model.networks.hidden_size).double()

    def guide(batch):
        with sentence_plate(batch):
            pyro.sample("topic", dist.Normal(loc, 0.5).to_event(1))

    terms = ExactMarginal().terms(model, SiteHandler(at(loc), name="topic")(guide), batch)
    given = poutine.condition(model, {"topic": loc})
    prior = dist.Normal(0.0, 1.0).log_prob(loc).sum()
    evidence = -ExactMarginal().differentiable_loss(given, lambda batch: None, batch) - prior
    kl = torch.distributions.kl_divergence(dist.Normal(loc, 0.5), dist.Normal(0.0, 1.0)).sum()
    assert_same(terms.loss, kl - evidence, model)


def at(value):
    return lambda msg: msg.update(value=value)


@pytest.mark.parametrize("sample", [dist.Normal, Unknown])
def test_divergences_are_summed_in_single_precision_or_more(sample):
    model, guide = (program.bfloat16() for program in programs(guide="none", sample=sample))
    guide.sample = dist.Normal
    terms = ExactMarginal().terms(model, guide, BATCH)
    assert terms.kl["sentence"].dtype == torch.float32


# Objectives that sample alignments: the exact expectation over all alignments.


def alignments(samples):
    """All alignments of the three positions, ``[sample, sentence, position]``."""
    for chosen in itertools.product(range(SOURCES), repeat=3 * samples):
        value = torch.zeros(samples, 2, 2).long()
        value[:, BATCH.target_mask] = torch.tensor(chosen).reshape(samples, 3)
        yield value


def expected_loss_and_gradient(objective, model, guide, brutes):
    """Average the loss and the gradient estimate over all alignments, with their probabilities."""
    samples = objective.num_particles
    loss, estimate, total = 0.0, 0.0, 0.0
    for value in alignments(samples):

        def give(msg, value=value):
            msg["value"] = value if samples > 1 else value[0]

        # A copy, whose baseline has not seen the other alignments.
        found = copy.deepcopy(objective).differentiable_loss(model, SiteHandler(give)(guide), BATCH)
        chosen = value[:, BATCH.target_mask].unsqueeze(-1)
        probability = math.exp(
            sum(b.log_q.gather(-1, z).sum().item() for b, z in zip(brutes, chosen, strict=True))
        )
        loss = loss + probability * found.detach()
        estimate = estimate + probability * gradient(found, model, guide)
        total += probability
    assert total == pytest.approx(1)
    return loss, estimate


def with_average(cost):
    objective = ScoreFunctionELBO(baseline="average")
    objective.baseline.average.fill_(cost)
    return objective


SCORE_FUNCTIONS = {
    "none": lambda: ScoreFunctionELBO(baseline="none"),
    "average": lambda: with_average(-1.5),
    "leave-one-out": lambda: ScoreFunctionELBO(baseline="leave-one-out", samples=2),
}


@pytest.mark.parametrize("name", SCORE_FUNCTIONS)
@pytest.mark.parametrize("apart", [False, True])
def test_score_function(name, apart):
    objective = SCORE_FUNCTIONS[name]()
    model, guide = programs(apart=apart)
    brutes = [Brute(model, guide, sample) for sample in range(objective.num_particles)]
    loss, estimate = expected_loss_and_gradient(objective, model, guide, brutes)
    bound = sum(brute.elbo for brute in brutes) / len(brutes)
    torch.testing.assert_close(loss, -bound.detach())
    torch.testing.assert_close(estimate, -gradient(bound, model, guide))


def test_score_function_agrees_with_stock_pyro():
    """``TraceGraph_ELBO`` has the same expectation, except for its sampled KL divergences."""
    model, guide = programs()
    stock = TraceGraph_ELBO(max_plate_nesting=2)
    brute = Brute(model, guide)
    expected = 0.0
    for value in alignments(1):
        probability = brute.log_q.gather(-1, value[0][BATCH.target_mask].unsqueeze(-1)).sum().exp()
        given = SiteHandler(lambda msg, value=value: msg.update(value=value[0]))(guide)
        expected += probability.item() * stock.loss(model, given, BATCH)
    loss, _ = expected_loss_and_gradient(ScoreFunctionELBO(baseline="none"), model, guide, [brute])
    assert loss.item() == pytest.approx(expected + (brute.kl - brute.log_ratio).item())


IMPORTANCE = {
    "1 sample": lambda: ImportanceWeightedBound(samples=1),
    "2 samples": lambda: ImportanceWeightedBound(samples=2),
    "vimco": lambda: VIMCO(samples=2),
    "vimco, arithmetic": lambda: VIMCO(samples=2, mean="arithmetic"),
}


@pytest.mark.parametrize("name", IMPORTANCE)
@pytest.mark.parametrize("kl_weight", [1.0, 0.3])
def test_importance_weighted_objectives_share_the_gaussian(name, kl_weight):
    """The bound is ``E_q(s)[Σ_t E log 1/K Σ_k w_k(s)] − KL``, one ``s`` for all K alignments."""
    objective = IMPORTANCE[name]()
    objective.kl_weight = kl_weight
    model, guide = programs()
    brute = Brute(model, guide)
    samples = objective.num_particles
    log_w = brute.log_y + kl_weight * (brute.log_p - brute.log_q)
    bound = -kl_weight * brute.kl
    for chosen in itertools.product(range(SOURCES), repeat=samples):
        probability = brute.log_q[:, list(chosen)].sum(-1).exp()
        bound = bound + (probability * (log_w[:, list(chosen)].logsumexp(-1))).sum()
    bound = bound - 3 * math.log(samples)
    loss, estimate = expected_loss_and_gradient(objective, model, guide, [brute] * samples)
    torch.testing.assert_close(loss, -bound.detach())
    torch.testing.assert_close(estimate, -gradient(bound, model, guide))


def test_reweighted_wake_sleep_rejects_other_sites_by_name():
    with pytest.raises(IncompatibleError, match=r"importance weights.*'sentence'.*VIMCO"):
        ReweightedWakeSleep().loss(*programs(), BATCH)


# Objectives with relaxed alignments: with the noise of the alignment fixed by the seed.


@pytest.mark.parametrize("samples", [1, 3])
def test_alignments_on_the_simplex(samples):
    model, guide = programs("simplex", "simplex")
    torch.manual_seed(3)
    terms = RelaxedELBO(samples=samples).terms(model, guide, BATCH)
    torch.manual_seed(3)
    noise = NOISE[:samples]
    sentence = guide.loc + guide.log_scale.exp() * noise
    q, p = guide.alignment(sentence), model.alignment(sentence)
    # Expanded to the padded position before it is sampled, as in the plates.
    alignment = q.expand((samples, 2, 2)).rsample()
    emission = dist.Categorical(logits=model.logits(alignment, sentence))
    log_likelihood = (emission.log_prob(BATCH.target) * BATCH.target_mask).sum() / samples
    kl = (torch.distributions.kl_divergence(q, p) * BATCH.target_mask).sum() / samples
    assert_same(terms.loss, kl + Brute(model, guide).kl - log_likelihood, model, guide)
    assert set(terms.kl) == {"alignment", "sentence"}


@pytest.mark.parametrize("samples", [1, 3])
def test_gumbel_softmax(samples):
    model, guide = programs("categorical", "relaxed")
    torch.manual_seed(3)
    terms = GumbelSoftmaxELBO(samples=samples).terms(model, guide, BATCH)
    torch.manual_seed(3)
    sentence = guide.loc + guide.log_scale.exp() * NOISE[:samples]
    alignment = guide.alignment(sentence).expand((samples, 2, 2)).rsample()
    emission = dist.Categorical(logits=model.logits(alignment, sentence))
    log_likelihood = (emission.log_prob(BATCH.target) * BATCH.target_mask).sum() / samples
    brutes = [Brute(model, guide, sample) for sample in range(samples)]
    kl = sum(brute.alignment_kl for brute in brutes) / samples
    assert_same(terms.loss, kl + brutes[0].kl - log_likelihood, model, guide)


# Scales, weights, and divergences without a closed form.

EXACT = {
    "exact": (ExactMarginal, "categorical", "none"),
    "exact, guide": (ExactMarginal, "categorical", "categorical"),
    "top-k": (TopKMarginal, "categorical", "none"),
    "enumerated": (EnumeratedELBO, "categorical", "categorical"),
    "score function": (
        lambda: ScoreFunctionELBO(baseline="none"),
        "categorical",
        "categorical",
    ),
    "vimco": (VIMCO, "categorical", "categorical"),
    "relaxed": (RelaxedELBO, "simplex", "simplex"),
    "gumbel": (GumbelSoftmaxELBO, "categorical", "relaxed"),
    "likelihood": (Likelihood, "none", "none"),
}
EVERY = pytest.mark.parametrize(
    ("objective", "model_kind", "guide_kind"), EXACT.values(), ids=EXACT.keys()
)


def seeded(objective, model, guide):
    torch.manual_seed(0)
    return objective.terms(model, guide, BATCH)


@EVERY
def test_a_scale_multiplies_value_and_gradient(objective, model_kind, guide_kind):
    model, guide = programs(model_kind, guide_kind)
    whole = seeded(objective(), model, guide)
    half = seeded(objective(), *(poutine.scale(each, 0.5) for each in (model, guide)))
    torch.testing.assert_close(half.loss, 0.5 * whole.loss)
    torch.testing.assert_close(
        gradient(half.loss, model, guide), 0.5 * gradient(whole.loss, model, guide)
    )
    torch.testing.assert_close(half.total_kl, 0.5 * whole.total_kl)


@EVERY
def test_the_divergence_is_weighted(objective, model_kind, guide_kind):
    model, guide = programs(model_kind, guide_kind)
    weighted = objective()
    weighted.kl_weight = 0.0
    sentence = torch.autograd.grad(
        seeded(weighted, model, guide).loss, [model.loc], allow_unused=True
    )[0]
    # Without its KL divergence, the loss does not depend on the prior of the Gaussian.
    assert sentence is None or not sentence.any()
    terms = seeded(objective(), model, guide)
    torch.testing.assert_close(terms.kl["sentence"], Brute(model, guide).kl.detach())


@EVERY
def test_without_a_closed_form_the_divergence_is_estimated(objective, model_kind, guide_kind):
    model, guide = programs(model_kind, guide_kind)
    closed = seeded(objective(), model, guide)
    model.sample = Unknown
    sampled = seeded(objective(), model, guide)
    brute = Brute(model, guide)
    assert_same(sampled.loss, closed.loss + brute.log_ratio - brute.kl, model, guide)
    torch.testing.assert_close(sampled.kl["sentence"], brute.log_ratio.detach())


def test_a_kl_weight_without_a_divergence_is_rejected():
    model, guide = programs("categorical", "none")
    objective = ExactMarginal()
    objective.kl_weight = 0.5
    assert objective.loss(model, guide, BATCH) < ExactMarginal().loss(model, guide, BATCH)
    given = {"sentence": torch.zeros(2, 1, 2).double()}
    with pytest.raises(ConfigError, match="has no KL divergence"):
        objective.loss(poutine.condition(model, given), lambda batch: None, BATCH)


def test_a_scaled_gaussian_scales_its_log_probabilities():
    """As in ``Trace_ELBO``: the log probabilities are scaled."""
    model, guide = programs()
    brute = Brute(model, guide)

    def scaled(msg):
        msg["scale"] = 0.25 * msg["scale"]

    handled = [SiteHandler(scaled, name="sentence")(each) for each in (model, guide)]
    found = EnumeratedELBO().differentiable_loss(*handled, BATCH)
    assert_same(found, -brute.elbo - 0.75 * brute.kl, model, guide)
    # If only the model is scaled, the difference is not a KL divergence, but equals stock Pyro's.
    only = SiteHandler(scaled, name="sentence")(model)
    expected = TraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(
        only, config_enumerate(guide), BATCH
    )
    assert_same(EnumeratedELBO().differentiable_loss(only, guide, BATCH), expected, model, guide)


def half_tokens(model):
    def scaled(msg):
        msg["scale"] = 0.5 * msg["scale"]

    return SiteHandler(scaled, name="tokens", observed=True)(model)


@pytest.mark.parametrize("objective", [ExactMarginal, TopKMarginal, VIMCO])
def test_scaled_tokens_are_rejected_without_a_likelihood(objective):
    model, guide = programs(guide="categorical" if objective is VIMCO else "none")
    with pytest.raises(IncompatibleError, match=r"scale of 'tokens' is 0\.5"):
        objective().loss(half_tokens(model), guide, BATCH)


def test_scaled_tokens_scale_their_expectation():
    model, guide = programs()
    brute = Brute(model, guide)
    expected = -0.5 * brute.log_likelihood + brute.alignment_kl + brute.kl
    assert_same(
        EnumeratedELBO().differentiable_loss(half_tokens(model), guide, BATCH),
        expected,
        model,
        guide,
    )


def test_the_warm_up_samples_the_alignment_from_the_prior():
    model, guide = programs("simplex", "simplex")
    objective = RelaxedELBO(warmup_steps=5)
    objective.step = 0
    terms = seeded(objective, model, guide)
    torch.manual_seed(0)
    sentence = guide.loc + guide.log_scale.exp() * NOISE[0]
    q, p = guide.alignment(sentence), model.alignment(sentence)
    q.expand((2, 2)).rsample()
    alignment = p.expand((2, 2)).rsample()
    emission = dist.Categorical(logits=model.logits(alignment, sentence))
    log_likelihood = (emission.log_prob(BATCH.target) * BATCH.target_mask).sum()
    to_prior = (torch.distributions.kl_divergence(q, p) * BATCH.target_mask).sum()
    kl = Brute(model, guide).kl
    torch.testing.assert_close(terms.loss, to_prior + kl - log_likelihood)
    # The prior of the Gaussian affects only its KL divergence.
    own = [model.loc, model.log_scale]
    found = torch.autograd.grad(terms.loss, own, retain_graph=True)
    torch.testing.assert_close(found, torch.autograd.grad(kl, own))
