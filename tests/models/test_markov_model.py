"""Model with a first-order alignment."""

from __future__ import annotations

import itertools

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, TraceGraph_ELBO, config_enumerate
from support import evidence, gradient, padded, random_batch, randomise, tiny_networks

from pyro_align.data.batch import EOS, TextBatch
from pyro_align.decoding import BeamSearch
from pyro_align.distributions import MarkovChain
from pyro_align.guides import NoGuide
from pyro_align.inference import ExactMarginal
from pyro_align.inference.plates import sentence_plate
from pyro_align.inference.positions import score_positions
from pyro_align.models import CategoricalModel, MarkovModel
from pyro_align.testing import ModelContract


def tiny_markov(*, seed: int = 0, monotonic: bool = False, **settings) -> MarkovModel:
    model = MarkovModel(tiny_networks(seed=seed, **settings), jump_width=2, monotonic=monotonic)
    randomise(model.jumps, seed + 100, 0.7)
    return model


class TestMarkovModel(ModelContract):
    def create(self, **settings):
        return tiny_markov(**settings)

    def guide(self, model):
        return NoGuide(model)


class TestMonotonicMarkovModelThatCopies(ModelContract):
    def create(self, **settings):
        choices = {"emission": "product", "lexical": True, "copying": True}
        return tiny_markov(monotonic=True, **choices, **settings)

    def guide(self, model):
        return NoGuide(model)


@pytest.mark.parametrize("monotonic", [False, True])
def test_evidence_is_the_sum_over_all_paths(monotonic):
    model, batch = tiny_markov(monotonic=monotonic), padded(random_batch(), source=1, target=1)
    states = model.states(batch)
    transitions = model.jumps(states.hidden, states.scores).softmax(-1)
    total = 0.0
    for b in range(len(batch)):
        source, target = int(batch.source_lengths[b]), int(batch.target_lengths[b])
        sentence = 0.0
        for path in itertools.product(range(source), repeat=target):
            weight, last = 1.0, -1
            for t, position in enumerate(path):
                likelihood = model.emission(states, torch.tensor([[position]])).probs
                weight *= transitions[b, t, last + 1, position].item()
                weight *= likelihood[b, t, batch.target[b, t]].item()
                last = position
            sentence += weight
        total += torch.tensor(sentence).log().item()
    assert evidence(model, batch).item() == pytest.approx(total, rel=1e-5)


def test_equals_a_program_with_a_site_for_each_position():
    """The same model with ``pyro.markov``, which stock Pyro sums out position by position."""
    model, batch = tiny_markov(), padded(random_batch(), target=1)

    @config_enumerate
    def program(batch):
        states = model.states(batch)
        logits = model.jumps(states.hidden, states.scores)
        place = torch.zeros(len(batch), 1, dtype=torch.long)
        with pyro.plate("sentences", len(batch), dim=-2):
            for t in pyro.markov(range(batch.target.shape[1])):
                rows = logits[torch.arange(len(batch)).unsqueeze(-1), t, place]
                with poutine.mask(mask=batch.target_mask[:, t : t + 1]):
                    site = pyro.distributions.Categorical(logits=rows)
                    place = 1 + pyro.sample(f"alignment_{t}", site)
                    now = model.emission(states, place - 1)
                    tokens = now.log_prob(batch.target)[..., t : t + 1]
                    pyro.factor(f"token_{t}", tokens, has_rsample=False)

    loss = TraceEnum_ELBO(max_plate_nesting=2).differentiable_loss(
        program, lambda batch: None, batch
    )
    torch.testing.assert_close(-loss, evidence(model, batch))
    torch.testing.assert_close(-gradient(loss, model), gradient(evidence(model, batch), model))


@pytest.mark.parametrize("emission", ["tanh", "product", "sparse-product"])
def test_exact_objective_sums_over_all_paths(emission):
    model = tiny_markov(emission=emission)
    batch = padded(random_batch(), source=1, target=1)
    terms = ExactMarginal().terms(model, NoGuide(model), batch)
    torch.testing.assert_close(-terms.loss, evidence(model, batch))
    expected = gradient(evidence(model, batch), model)
    torch.testing.assert_close(-gradient(terms.loss, model), expected)


def test_exact_objective_of_an_observed_path():
    model, batch = tiny_markov(), random_batch((3, 3), (2, 2))
    path = torch.tensor([[[0, 2]], [[1, 1]]])
    known = poutine.condition(model, data={"alignment": path})
    trace = poutine.trace(known).get_trace(batch)
    loss = ExactMarginal().loss(known, NoGuide(model), batch)
    assert loss == pytest.approx(-trace.log_prob_sum().item())


@pytest.mark.parametrize("elbo", [Trace_ELBO, TraceGraph_ELBO])
@pytest.mark.parametrize("particles", [1, 3])
def test_with_the_posterior_as_guide_stock_bounds_are_the_evidence(elbo, particles):
    """For every path, ``log p(y, z) − log q(z)`` is the evidence if ``q`` is exact."""
    model, batch = tiny_markov(), padded(random_batch(), source=1, target=1)
    states = model.states(batch)
    positions = torch.arange(states.scores.shape[-1]).reshape(-1, 1, 1)
    emission = model.emission(states, positions).log_prob(batch.target).movedim(0, -1)
    prior = model.prior(states).masked(batch.target_mask.unsqueeze(1))
    posterior = prior.posterior(emission.unsqueeze(1))

    def guide(batch):
        with sentence_plate(batch):
            pyro.sample("alignment", posterior)

    stock = elbo(num_particles=particles, vectorize_particles=True, max_plate_nesting=2)
    assert stock.loss(model, guide, batch) == pytest.approx(-evidence(model, batch).item())


def test_posteriors_of_positions_condition_on_all_tokens():
    model, batch = tiny_markov(), padded(random_batch(), source=1, target=1)
    scores = score_positions(model, None, batch)
    torch.testing.assert_close(scores.log_evidence.sum(), evidence(model, batch))
    posterior, predicted = scores.log_posterior.exp(), scores.log_prior.exp()
    states = model.states(batch)
    for b in range(len(batch)):
        source, target = int(batch.source_lengths[b]), int(batch.target_lengths[b])
        logits = model.jumps(states.hidden, states.scores)[b, :target, : source + 1, :source]
        chain = MarkovChain(logits[0, 0], logits[1:, 1:])
        positions = torch.arange(source).reshape(-1, 1, 1)
        emission = model.emission(states, positions).log_prob(batch.target)[:, b, :target]
        paths = chain.enumerate_support()
        joint = chain.log_prob(paths) + emission.gather(0, paths).sum(-1)
        for t in range(target):
            weights = torch.zeros(source, dtype=torch.float64)
            weights = weights.index_add(0, paths[:, t], joint.softmax(0))
            torch.testing.assert_close(posterior[b, t, :source], weights)
            prefix = chain.log_prob(paths) + emission.gather(0, paths)[:, :t].sum(-1)
            weights = torch.zeros(source, dtype=torch.float64)
            weights = weights.index_add(0, paths[:, t], prefix.softmax(0))
            torch.testing.assert_close(predicted[b, t, :source], weights)


def test_without_jump_scores_alignments_are_independent():
    networks, batch = tiny_networks(), random_batch()
    model = MarkovModel(networks).double()
    expected = evidence(CategoricalModel(networks), batch)
    torch.testing.assert_close(evidence(model, batch), expected)


def test_monotonic_paths_never_go_back():
    model, batch = tiny_markov(monotonic=True), random_batch((4, 5), (6, 3))
    paths = model.prior(model.states(batch)).sample((50,))
    assert (paths.diff(dim=-1) >= 0).all()


def test_an_exhaustive_search_finds_the_best_of_all_translations():
    model = tiny_markov(vocabulary=6).eval()
    source, limit = [4, 5, EOS], 3
    search = BeamSearch(
        model, beam=40, length_penalty=0.0, max_length_ratio=0.0, max_length_offset=limit
    )
    (found,) = search.search([source])
    scores = {}
    for length in range(limit):
        for tokens in itertools.product([1, 4, 5], repeat=length):
            scores[(*tokens, EOS)] = log_prob(model, source, (*tokens, EOS))
    best = max(scores, key=scores.__getitem__)
    assert found[0].tokens == best
    assert found[0].log_probability == pytest.approx(scores[best])


def log_prob(model, source, tokens) -> float:
    return evidence(model, TextBatch.from_ids([source], [tokens])).item()
