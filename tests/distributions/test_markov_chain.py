"""Markov chains of positions against sums over all paths."""

from __future__ import annotations

import itertools
import math

import pyro
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyro.infer import TraceEnum_ELBO, config_enumerate
from torch.autograd import gradcheck

from pyro_align.distributions import (
    MarkovChain,
    MarkovMixture,
    advance,
    kl_divergence,
    mask_logits,
)

BATCH = 2


def logits(seed: int, length: int, positions: int, batch: int = BATCH, scale: float = 1.5):
    """Random logits of the first position, of transitions and an emission, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return scale * torch.randn(batch, *shape, generator=generator, dtype=torch.float64)

    return draw(positions), draw(length - 1, positions, positions), draw(length, positions)


def softmax(row: list[float]) -> list[float]:
    total = sum(math.exp(x) for x in row)
    return [math.exp(x) / total for x in row]


def weights(initial, transition, emission) -> dict[tuple[int, ...], float]:
    """Probability of every path of one sentence, times that of its tokens."""
    length, positions = emission.shape
    found = {}
    for path in itertools.product(range(positions), repeat=length):
        weight = softmax(initial.tolist())[path[0]] * math.exp(emission[0, path[0]])
        for t in range(1, length):
            weight *= softmax(transition[t - 1, path[t - 1]].tolist())[path[t]]
            weight *= math.exp(emission[t, path[t]])
        found[path] = weight
    return found


SIZES = pytest.mark.parametrize(("length", "positions"), [(1, 3), (2, 1), (2, 4), (4, 3)])


@SIZES
def test_evidence_and_posterior_match_the_sum_over_all_paths(length, positions):
    initial, transition, emission = logits(0, length, positions)
    chain = MarkovChain(initial, transition)
    evidence, posterior = chain.log_evidence(emission), chain.posterior(emission)
    for row in range(BATCH):
        joint = weights(initial[row], transition[row], emission[row])
        total = sum(joint.values())
        assert evidence[row].sum().item() == pytest.approx(math.log(total))
        marginals = torch.zeros(length, positions, dtype=torch.float64)
        pairs = torch.zeros(length - 1, positions, positions, dtype=torch.float64)
        for path, weight in joint.items():
            for t, position in enumerate(path):
                marginals[t, position] += weight / total
            for t, pair in enumerate(itertools.pairwise(path)):
                pairs[t, *pair] += weight / total
            log_prob = posterior.log_prob(torch.tensor(path))[row].item()
            assert log_prob == pytest.approx(math.log(weight / total))
        torch.testing.assert_close(posterior.marginals[row], marginals)
        torch.testing.assert_close(posterior.pairs[row], pairs)
        assert tuple(posterior.mode[row].tolist()) == max(joint, key=joint.__getitem__)
        entropy = -sum(w / total * math.log(w / total) for w in joint.values())
        assert posterior.entropy()[row].item() == pytest.approx(entropy, abs=1e-12)


@SIZES
def test_divergence_matches_the_sum_over_all_paths(length, positions):
    q, p = (MarkovChain(*logits(seed, length, positions)[:2]) for seed in (1, 2))
    paths = q.enumerate_support()
    log_q, log_p = q.log_prob(paths), p.log_prob(paths)
    torch.testing.assert_close(log_q.exp().sum(0), torch.ones(BATCH, dtype=torch.float64))
    expected = (log_q.exp() * (log_q - log_p)).sum(0)
    torch.testing.assert_close(kl_divergence(q, p), expected)


def test_evidence_of_a_prefix_is_the_sum_of_its_steps():
    initial, transition, emission = logits(3, 4, 3)
    steps = MarkovChain(initial, transition).log_evidence(emission)
    for length in range(1, 5):
        prefix = MarkovChain(initial, transition[:, : length - 1])
        total = prefix.log_evidence(emission[:, :length]).sum(-1)
        torch.testing.assert_close(total, steps[:, :length].sum(-1))


def test_predictive_is_the_marginal_of_the_posterior_of_the_prefix():
    initial, transition, emission = logits(4, 4, 3)
    chain = MarkovChain(initial, transition)
    for t in range(4):
        prefix = emission.clone()
        prefix[:, t:] = 0.0
        expected = chain.posterior(prefix).marginals[:, t]
        torch.testing.assert_close(chain.predictive(emission)[:, t].exp(), expected)


def test_advance_matches_the_predictive_distribution():
    initial, transition, emission = logits(5, 3, 4)
    chain = MarkovChain(initial, transition)
    predicted = chain.predictive(emission)
    found = advance(predicted[:, 1] + emission[:, 1] - 7.0, chain.transition[:, 1])
    torch.testing.assert_close(found, predicted[:, 2])


def test_gradient_of_the_evidence_is_the_posterior():
    parts = [each.requires_grad_() for each in logits(6, 4, 3)]
    chain = MarkovChain(*parts[:2])
    total = chain.log_evidence(parts[2]).sum()
    posterior = chain.posterior(parts[2])
    wanted = [chain.initial, chain.transition, parts[2]]
    initial, transition, emission = torch.autograd.grad(total, wanted)
    torch.testing.assert_close(initial, posterior.marginals[:, 0])
    torch.testing.assert_close(transition, posterior.pairs)
    torch.testing.assert_close(emission, posterior.marginals)


MASK = torch.tensor([[True] * 3, [True, True, False]])


def test_gradients_match_finite_differences():
    parts = [each.requires_grad_() for each in logits(7, 3, 3)]
    other = MarkovChain(*(each.detach() for each in logits(8, 3, 3)[:2]))

    def outputs(initial, transition, emission):
        chain = MarkovChain(initial, transition, MASK)
        posterior = chain.posterior(emission)
        return (
            chain.log_evidence(emission),
            chain.log_prob(torch.tensor([0, 2, 1])),
            posterior.marginals,
            posterior.entropy(),
            kl_divergence(posterior, other),
        )

    assert gradcheck(outputs, parts)


@given(
    positions=st.lists(st.integers(1, 3), min_size=1, max_size=3),
    lengths=st.lists(st.integers(1, 3), min_size=3, max_size=3),
    seed=st.integers(0, 1000),
)
@settings(max_examples=25, deadline=None)
def test_padding_on_both_sides_changes_nothing(positions, lengths, seed):
    batch, width, steps = len(positions), max(positions) + 1, max(lengths) + 1
    initial, transition, emission = logits(seed, steps, width, batch)
    q_initial, q_transition, _ = logits(seed + 1, steps, width, batch)
    real = torch.arange(width) < torch.tensor(positions).unsqueeze(1)
    mask = torch.arange(steps) < torch.tensor(lengths[:batch]).unsqueeze(1)

    def chain(initial, transition):
        return MarkovChain(
            mask_logits(initial, real), mask_logits(transition, real[:, None, None]), mask
        )

    p, q = chain(initial, transition), chain(q_initial, q_transition)
    posterior, divergence = p.posterior(emission), kl_divergence(q, p)
    for row, (s, t) in enumerate(zip(positions, lengths, strict=False)):
        ones = (
            (each[0][row, :s], each[1][row, : t - 1, :s, :s])
            for each in ((initial, transition), (q_initial, q_transition))
        )
        alone_p, alone_q = (MarkovChain(*each) for each in ones)
        evidence = alone_p.log_evidence(emission[row, :t, :s])
        torch.testing.assert_close(p.log_evidence(emission)[row, :t], evidence)
        assert not p.log_evidence(emission)[row, t:].any()
        alone = alone_p.posterior(emission[row, :t, :s])
        torch.testing.assert_close(posterior.marginals[row, :t, :s], alone.marginals)
        torch.testing.assert_close(posterior.pairs[row, : t - 1, :s, :s], alone.pairs)
        assert not posterior.marginals[row, t:].any()
        assert not posterior.marginals[row, :, s:].any()
        assert not posterior.pairs[row, t - 1 :].any()
        torch.testing.assert_close(posterior.entropy()[row], alone.entropy())
        torch.testing.assert_close(divergence[row], kl_divergence(alone_q, alone_p))
        assert torch.equal(posterior.mode[row, :t], alone.mode)
        torch.testing.assert_close(
            posterior.log_prob(posterior.mode)[row], alone.log_prob(alone.mode)
        )
        path = p.sample()[row]
        assert (path[:t] < s).all()
        assert not path[t:].any()
    support = p.enumerate_support()
    total = p.log_prob(support).logsumexp(0)
    torch.testing.assert_close(total, torch.zeros_like(total))


def test_forbidden_transitions_are_never_taken():
    initial, transition, emission = logits(9, 5, 4)
    forwards = torch.ones(4, 4, dtype=torch.bool).triu()
    chain = MarkovChain(initial.float(), mask_logits(transition.float(), forwards))
    posterior = chain.posterior(emission.float())
    assert not posterior.pairs[..., ~forwards].any()
    pyro.set_rng_seed(0)
    for path in (posterior.sample((200,)), posterior.mode):
        assert (path.diff(dim=-1) >= 0).all()


def test_an_unlikely_past_is_not_forgotten():
    """Evidence that comes late may decide for a path that was e⁻²⁰⁰ times less probable."""
    initial = torch.zeros(1, 2)
    transition = mask_logits(torch.zeros(1, 1, 2, 2), torch.eye(2, dtype=torch.bool))
    emission = torch.tensor([[[0.0, -200.0], [-300.0, 0.0]]])
    chain = MarkovChain(initial, transition)
    expected = torch.tensor([0.5]).log() - 200.0
    torch.testing.assert_close(chain.log_evidence(emission).sum(-1), expected)
    assert chain.posterior(emission).mode.tolist() == [[1, 1]]


def test_half_precision_is_raised():
    initial, transition, emission = (each.bfloat16() for each in logits(10, 12, 5))
    found = MarkovChain(initial, transition).log_evidence(emission)
    exact = MarkovChain(initial.double(), transition.double()).log_evidence(emission.double())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, atol=1e-5, rtol=1e-5)


def test_long_sentences_keep_their_precision():
    initial, transition, emission = logits(11, 300, 6)
    exact = MarkovChain(initial, transition).posterior(emission - 60.0)
    rounded = MarkovChain(initial.float(), transition.float())
    found = rounded.posterior(emission.float() - 60.0)
    torch.testing.assert_close(found.marginals.double(), exact.marginals, atol=2e-5, rtol=0)


@pytest.mark.parametrize("sample_shape", [(), (3,), (2, 3)])
def test_shapes_of_samples(sample_shape):
    chain = MarkovChain(*logits(12, 4, 3)[:2]).expand((5, 2))
    drawn = chain.sample(sample_shape)
    assert drawn.shape == (*sample_shape, 5, 2, 4)
    assert chain.log_prob(drawn).shape == (*sample_shape, 5, 2)


def test_log_prob_broadcasts():
    initial, transition, _ = logits(13, 3, 3)
    chain = MarkovChain(initial.unsqueeze(1), transition.unsqueeze(1))
    paths = chain.enumerate_support(expand=False)
    assert paths.shape == (27, 1, 1, 3)
    found = chain.log_prob(paths)
    assert found.shape == (27, BATCH, 1)
    for path, each in zip(paths.reshape(-1, 3), found, strict=True):
        torch.testing.assert_close(chain.log_prob(path), each)


def test_sample_frequencies_match_the_probabilities():
    chain = MarkovChain(*logits(14, 3, 3, batch=1)[:2])
    pyro.set_rng_seed(0)
    number = 40_000
    drawn = chain.sample((number,))[:, 0]
    keys = (drawn * torch.tensor([9, 3, 1])).sum(-1)
    found = torch.bincount(keys, minlength=27) / number
    expected = chain.log_prob(chain.enumerate_support())[:, 0].exp()
    # Six standard errors of each of 27 frequencies: a false alarm below 1e-6.
    assert ((found - expected).abs() < 6 * (expected * (1 - expected) / number).sqrt()).all()


def test_too_many_paths_are_not_enumerated():
    with pytest.raises(NotImplementedError, match="too many to enumerate"):
        MarkovChain(*logits(15, 20, 5)[:2]).enumerate_support()


def test_equals_a_chain_of_pyro_sites():
    initial, transition, emission = logits(16, 4, 3, batch=1)
    tokens = emission[0].log_softmax(-1)

    @config_enumerate
    def model():
        position = pyro.sample("first", pyro.distributions.Categorical(logits=initial[0]))
        for t in pyro.markov(range(4)):
            if t:
                row = transition[0, t - 1][position]
                position = pyro.sample(f"z_{t}", pyro.distributions.Categorical(logits=row))
            chance = tokens[t][position].exp()
            pyro.sample(f"y_{t}", pyro.distributions.Bernoulli(chance), obs=chance.new_ones(()))

    elbo = TraceEnum_ELBO(max_plate_nesting=0)
    expected = -elbo.loss(model, lambda: None)
    found = MarkovChain(initial, transition).log_evidence(tokens.unsqueeze(0)).sum().item()
    assert found == pytest.approx(expected)


def test_equals_a_mixture_with_the_same_transitions_at_all_steps():
    length, positions = 5, 3
    initial, transition, emission = logits(17, 2, positions)
    chain = MarkovChain(initial, transition.expand(-1, length - 1, -1, -1))
    words = emission[:, :1].expand(-1, length, -1)

    class Words:
        batch_shape = (BATCH, length, 1 + positions)

        def log_prob(self, value):
            return torch.cat([torch.zeros_like(words[..., :1]), words], dim=-1)

    mixture = MarkovMixture(
        chain.initial, chain.transition[:, 0], 0.0, Words(), validate_args=False
    )
    value = torch.zeros(BATCH, length)
    torch.testing.assert_close(mixture.log_prob(value), chain.log_evidence(words).sum(-1))
    found, expected = mixture.posterior(value), chain.posterior(words)
    torch.testing.assert_close(found.states[..., 1:], expected.marginals)
    torch.testing.assert_close(found.moves, expected.pairs.sum(1))
