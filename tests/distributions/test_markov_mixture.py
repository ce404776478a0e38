import itertools

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate

from pyro_align.distributions import MarkovMixture

WORDS, STATES, NULL = 4, 3, 0.2


def parts(seed: int, batch: int = 2, states: int = STATES, words: int = WORDS):
    """Log probabilities of the first state, of transitions and of words, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def logs(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).log_softmax(-1)

    return logs(batch, states), logs(batch, states, states), logs(batch, 1, 1 + states, words)


def mixture(initial, transition, table, length, mask=None, **options) -> MarkovMixture:
    batch, _, states, _ = table.shape
    components = dist.Categorical(logits=table).expand((batch, length, states))
    return MarkovMixture(initial, transition, NULL, components, mask, **options)


def chains(length: int):
    """All chains of ``length`` words: for each position the state and whether it is null."""
    return itertools.product(itertools.product((True, False), range(STATES)), repeat=length)


def probability(initial, transition, table, value, chain, attraction=None) -> float:
    """Joint probability of the words and a chain, by the generative process."""
    result, last = 1.0, None
    for position, (word, (null, state)) in enumerate(zip(value, chain, strict=True)):
        pull = 0.0 if attraction is None else attraction[position]
        if last is None:
            move = float((initial + pull).softmax(-1)[state])
        elif null:
            move = float(state == last)
        else:
            move = float((transition[last] + pull).softmax(-1)[state])
        result *= move * (NULL if null else 1 - NULL)
        result *= float(table[0, 0 if null else 1 + state, word].exp())
        last = state
    return result


def attractions(length: int, batch: int = 2):
    """Log weights of moving to each state at each position."""
    generator = torch.Generator().manual_seed(12)
    return torch.randn(batch, length, STATES, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize("attracted", [False, True])
def test_log_prob_and_posterior_match_the_sum_over_all_chains(length, attracted):
    initial, transition, table = parts(length)
    value = torch.randint(WORDS, (2, length), generator=torch.Generator().manual_seed(1))
    pull = attractions(length) if attracted else None
    made = mixture(initial, transition, table, length, attraction=pull)
    found = made.posterior(value)
    torch.testing.assert_close(found.log_prob, made.log_prob(value))
    for row in range(2):
        total = 0.0
        links = torch.zeros(length, 1 + STATES, dtype=torch.float64)
        starts = torch.zeros(STATES, dtype=torch.float64)
        moved = torch.zeros(STATES, STATES, dtype=torch.float64)
        for chain in chains(length):
            p = probability(
                *(each[row] for each in (initial, transition, table)),
                value[row].tolist(),
                chain,
                None if pull is None else pull[row],
            )
            total += p
            starts[chain[0][1]] += p
            for position, (null, state) in enumerate(chain):
                links[position, 0 if null else 1 + state] += p
                if position and not null:
                    moved[chain[position - 1][1], state] += p
        torch.testing.assert_close(made.log_prob(value)[row].exp().item(), total)
        torch.testing.assert_close(found.states[row], links / total)
        torch.testing.assert_close(found.first[row], starts / total)
        torch.testing.assert_close(found.moves[row], moved / total)


def test_probabilities_of_all_sentences_sum_to_one():
    made = mixture(*parts(5, batch=1), 3)
    values = torch.tensor(list(itertools.product(range(WORDS), repeat=3)))
    total = made.expand((len(values),)).log_prob(values).exp().sum()
    torch.testing.assert_close(total.item(), 1.0)


def test_padding_changes_nothing():
    initial, transition, table = parts(6)
    value = torch.tensor([[0, 1, 2, 3], [3, 1, 0, 0]])
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    padded = mixture(initial, transition, table, 4, mask)
    alone = mixture(initial[1:], transition[1:], table[1:], 2)
    torch.testing.assert_close(padded.log_prob(value)[1:], alone.log_prob(value[1:, :2]))
    found, expected = padded.posterior(value), alone.posterior(value[1:, :2])
    torch.testing.assert_close(found.first[1:], expected.first)
    torch.testing.assert_close(found.moves[1:], expected.moves)
    torch.testing.assert_close(found.states[1, :2], expected.states[0])
    assert not found.states[1, 2:].any()


def test_masked_states_have_zero_probability():
    initial, transition, table = parts(7)
    initial[:, 2] = transition[:, :, 2] = -torch.inf
    initial, transition = initial.log_softmax(-1), transition.log_softmax(-1)
    value = torch.tensor([[0, 1, 2], [3, 1, 0]])
    made = mixture(initial, transition, table, 3)
    shorter = mixture(initial[:, :2], transition[:, :2, :2], table[:, :, :3], 3)
    torch.testing.assert_close(made.log_prob(value), shorter.log_prob(value))
    torch.testing.assert_close(
        made.posterior(value).states[:, :, :3], shorter.posterior(value).states
    )


def test_long_sentences_do_not_underflow():
    initial, transition, table = (each.float() for each in parts(8))
    value = torch.randint(WORDS, (2, 400), generator=torch.Generator().manual_seed(2))
    rare = table - 60.0
    usual = mixture(initial, transition, table, 400).log_prob(value)
    components = dist.Categorical(logits=table).expand((2, 400, 1 + STATES))

    class Rare:
        """Words that are e⁶⁰ times less probable."""

        batch_shape = components.batch_shape

        def log_prob(self, value):
            return components.log_prob(value) - 60.0

    assert rare.max() < -50
    low = MarkovMixture(initial, transition, NULL, Rare(), validate_args=False)
    torch.testing.assert_close(low.log_prob(value), usual - 60.0 * 400)
    assert low.posterior(value).states.sum(-1).allclose(torch.ones(2, 400))


def test_equals_a_chain_of_pyro_sites():
    initial, transition, table = parts(9, batch=1)
    value = torch.tensor([2, 0, 3, 1])

    @config_enumerate
    def model():
        state = pyro.sample("first", dist.Categorical(logits=initial[0]))
        for position in pyro.markov(range(len(value))):
            null = pyro.sample(
                f"null_{position}", dist.Bernoulli(torch.tensor(NULL, dtype=torch.float64))
            )
            if position:
                stay = torch.eye(STATES, dtype=torch.float64).log()
                row = torch.where(
                    null.bool()[..., None], stay[state], transition[0][state]
                ).clamp_min(-1e9)
                state = pyro.sample(f"state_{position}", dist.Categorical(logits=row))
            column = torch.where(null.bool(), 0, state + 1)
            pyro.sample(
                f"word_{position}",
                dist.Categorical(logits=table[0, 0][column]),
                obs=value[position],
            )

    svi = SVI(model, lambda: None, pyro.optim.Adam({}), TraceEnum_ELBO(max_plate_nesting=0))
    made = mixture(initial, transition, table, len(value))
    assert svi.evaluate_loss() == pytest.approx(-made.log_prob(value[None]).item(), abs=1e-9)


@pytest.mark.parametrize("attracted", [False, True])
def test_sample_frequencies_match_the_probabilities(attracted):
    pull = 2.0 * attractions(2, batch=1) if attracted else None
    made = mixture(*parts(10, batch=1), 2, attraction=pull)
    pyro.set_rng_seed(0)
    number = 40_000
    drawn = made.sample((number,))[:, 0]
    assert drawn.shape == (number, 2)
    values = torch.tensor(list(itertools.product(range(WORDS), repeat=2)))
    expected = made.expand((len(values),)).log_prob(values).exp()
    found = torch.bincount(drawn[:, 0] * WORDS + drawn[:, 1], minlength=WORDS**2) / number
    # Five standard errors of each of 16 frequencies: a false alarm below 1e-5.
    assert ((found - expected).abs() < 5 * (expected * (1 - expected) / number).sqrt()).all()


@pytest.mark.parametrize("attracted", [False, True])
def test_shared_weights_are_normalised_over_the_states_of_each_sequence(attracted):
    initial, transition, table = parts(11)
    pull = attractions(4) if attracted else torch.zeros(2, 4, STATES, dtype=torch.float64)
    first, moves = initial[0], transition[0]
    here = torch.tensor([[True] * 3, [True, True, False]])
    value = torch.tensor([[0, 1, 2, 3], [3, 1, 0, 2]])
    components = dist.Categorical(logits=table).expand((2, 4, 1 + STATES))
    found = MarkovMixture(
        first, moves, NULL, components, None, here, attraction=pull if attracted else None
    ).posterior(value)
    alone = [
        mixture(
            *(each.log_softmax(-1)[None] for each in (first[:n], moves[:n, :n])),
            table[row : row + 1, :, : 1 + n],
            4,
            attraction=pull[row : row + 1, :, :n],
        ).posterior(value[row : row + 1])
        for row, n in enumerate((3, 2))
    ]
    for row, (n, each) in enumerate(zip((3, 2), alone, strict=True)):
        torch.testing.assert_close(found.log_prob[row], each.log_prob[0])
        torch.testing.assert_close(found.states[row, :, : 1 + n], each.states[0])
    assert not found.states[1, :, 3].any()
    moved, starts = alone[0].moves[0].clone(), alone[0].first[0].clone()
    moved[:2, :2] += alone[1].moves[0]
    starts[:2] += alone[1].first[0]
    torch.testing.assert_close(found.moves, moved)
    torch.testing.assert_close(found.first, starts)
