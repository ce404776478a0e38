"""Spelling: against sums over all chains of characters, and characters of an invented script."""

import itertools
import math
import random

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO

from pyro_align.word_alignment.hmm import Spelling
from pyro_align.word_alignment.hmm.spelling import END, INSERTED, JUMPS

SOURCE, TARGET = ["ab", "cab"], ["ab", "abc", "\u00e4b"]


def brute_force(spelling, source, target):
    """Sum the probability of the target characters over all chains."""
    source, target = source + END, target + END
    ids = [{c: i for i, c in enumerate(side, 1)} for side in spelling.alphabets]
    table = spelling.characters.table(torch.arange(1 + len(ids[0])))
    first = [JUMPS[1], JUMPS[2]] + [0.0] * len(source)
    first = [each / sum(first[: len(source)]) for each in first[: len(source)]]
    total = 0.0
    states = list(itertools.product((True, False), range(len(source))))
    for chain in itertools.product(states, repeat=len(target)):
        p, last = 1.0, None
        for character, (inserted, state) in zip(target, chain, strict=True):
            if last is None:
                p *= first[state]
            elif inserted:
                p *= state == last
            else:
                jumps = [JUMPS[n - last] if 0 <= n - last < 3 else 0 for n in range(len(source))]
                p *= jumps[state] / sum(jumps)
            p *= INSERTED if inserted else 1 - INSERTED
            p *= table[0 if inserted else ids[0][source[state]], ids[1][character]].item()
            last = state
        total += p
    return total


@pytest.mark.parametrize(("source", "target"), [("ab", "ab"), ("cab", "ab"), ("ab", "abc")])
def test_probability_against_the_sum_over_all_chains(source, target):
    spelling = Spelling(SOURCE, TARGET, 0.01)
    pair = torch.tensor([1 + SOURCE.index(source)]), torch.tensor([1 + TARGET.index(target)])
    found = spelling.related(*pair).item()
    ids = {c: i for i, c in enumerate(spelling.alphabets[1], 1)}
    table = spelling.characters.table(torch.tensor([0]))[0]
    chance = math.prod(table[ids[c]].item() for c in target + END)
    odds = brute_force(spelling, source, target) / chance * 0.01 / 0.99
    assert found == pytest.approx(odds / (1 + odds), rel=1e-4)


def test_the_other_direction_equals_one_with_the_sides_swapped():
    turned, swapped = Spelling(SOURCE, TARGET, 0.01).turned(), Spelling(TARGET, SOURCE, 0.01)
    pairs = torch.tensor(list(itertools.product((1, 2, 3), (1, 2)))).T
    torch.testing.assert_close(turned.related(*pairs), swapped.related(*pairs))


def test_stock_svi_accepts_the_model():
    spelling = Spelling(SOURCE, TARGET, 0.01)
    ids = [{c: i for i, c in enumerate(side, 1)} for side in spelling.alphabets]
    source, target = (
        torch.tensor([[ids[side][c] for c in word + END]]) for side, word in enumerate(("ab", "ab"))
    )

    def model():
        with pyro.plate("words", 1):
            pyro.sample("characters", spelling.target(source, target.shape[1]), obs=target)

    loss = SVI(model, lambda: None, pyro.optim.Adam({}), Trace_ELBO()).evaluate_loss()
    assert loss == pytest.approx(-math.log(brute_force(spelling, "ab", "ab")), rel=1e-5)


def test_accents_are_ignored_at_first():
    related = Spelling(SOURCE, TARGET, 1e-3).related(torch.tensor([1, 1]), torch.tensor([1, 3]))
    assert related[0] == pytest.approx(related[1], rel=0.5)


def test_the_correspondence_of_two_scripts_is_learnt():
    """Names in a script without common characters, among as many pairs of unrelated words."""
    draw = random.Random(0)
    letters = {c: chr(0x430 + place) for place, c in enumerate("abcdefghijklmnop")}

    def word():
        return "".join(draw.choices(list(letters), k=6))

    names = [word() for _ in range(300)]
    source = names + [word() for _ in range(100)]
    target = ["".join(letters[c] for c in name) for name in names]
    target += ["".join(letters[c] for c in word()) for _ in range(100)]
    spelling = Spelling(source, target, 1e-3)
    ids = torch.arange(1, 401)
    before = spelling.related(ids, ids)
    assert before.max() < 0.1
    for _ in range(3):
        spelling.learn(ids, ids, torch.ones(400))
    after = spelling.related(ids, ids)
    assert after[:300].min() > 0.9
    assert after[300:].mean() < 0.1
