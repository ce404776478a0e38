import itertools
import math

import pyro
import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO
from test_lexicon import learnt

from pyro_align.word_alignment.hmm import HiddenMarkovModel, Words

NULL = 0.25


DIAGONAL = 1.5


def model(diagonal=DIAGONAL):
    made = HiddenMarkovModel(learnt(), max_jump=1, null=NULL, diagonal=diagonal)
    made.jumps = torch.tensor([1.0, 2.0, 5.0])
    made.starts = torch.tensor([3.0, 1.0])
    return made


def weight(jump):
    return {-1: 1.0, 0: 2.0, 1: 5.0}[max(-1, min(1, jump))]


def brute_force(table, source, target, diagonal=DIAGONAL):
    """Sum the probability of the target over all chains of the generative process."""
    size, total = len(source), 0.0

    def near(state, place):
        return math.exp(-diagonal * abs((state + 0.5) / size - (place + 0.5) / len(target)))

    states = list(itertools.product((True, False), range(size)))
    for chain in itertools.product(states, repeat=len(target)):
        p, last = 1.0, None
        for t, (word, (null, state)) in enumerate(zip(target, chain, strict=True)):
            if last is None:
                starts = [(3.0 if s == 0 else 1.0) * near(s, t) for s in range(size)]
                p *= starts[state] / sum(starts)
            elif null:
                p *= state == last
            else:
                moves = [weight(s - last) * near(s, t) for s in range(size)]
                p *= moves[state] / sum(moves)
            p *= NULL if null else 1 - NULL
            p *= table[0 if null else source[state], word].item()
            last = state
        total += p
    return total


PAIRS = [([1, 2, 3], [1, 3]), ([2], [4, 2, 1]), ([3, 1], [1])]


@pytest.mark.parametrize("diagonal", [0.0, DIAGONAL])
def test_probability_against_the_sum_over_all_alignments(diagonal):
    made = model(diagonal)
    table = made.lexicon.table(torch.arange(4))
    words = Words.from_ids(*zip(*PAIRS, strict=True))
    found = made.target(words).log_prob(words.target)
    expected = [math.log(brute_force(table, *pair, diagonal)) for pair in PAIRS]
    torch.testing.assert_close(found, torch.tensor(expected))


def test_stock_svi_accepts_the_model():
    made = model()
    words = Words.from_ids(*zip(*PAIRS, strict=True))
    svi = SVI(made, lambda words: None, pyro.optim.Adam({}), Trace_ELBO())
    table = made.lexicon.table(torch.arange(4))
    expected = -sum(math.log(brute_force(table, *pair)) for pair in PAIRS)
    assert svi.evaluate_loss(words) == pytest.approx(expected, rel=1e-5)


def test_predictive_samples_have_the_model_probabilities():
    made = model()
    source, number = [1, 2], 30_000
    words = Words.from_ids([source] * (number // 10), [[1, 1]] * (number // 10))
    pyro.set_rng_seed(0)
    unobserved = pyro.poutine.uncondition(made)
    drawn = Predictive(unobserved, num_samples=10)(words)["target"].reshape(number, 2)
    table = made.lexicon.table(torch.arange(4))
    for target in itertools.product(range(1, 5), repeat=2):
        expected = brute_force(table, source, target)
        found = (drawn == torch.tensor(target)).all(1).double().mean().item()
        # Five standard errors of each of 16 frequencies: a false alarm below 1e-5.
        assert abs(found - expected) < 5 * math.sqrt(expected * (1 - expected) / number)
