"""Scorers against the formulas of the papers, position by position."""

from __future__ import annotations

import pytest
import torch
from support import randomise

from pyro_align.nn import SCORERS

HIDDEN, ANNOTATION, ATTENTION = 4, 4, 3


def by_hand(name, scorer, h, m):
    """Score of one annotation for one state, by the formula."""
    if name == "dot":
        return sum(a * b for a, b in zip(h, m, strict=True))
    if name == "scaled":
        query, bias = scorer.query.weight.tolist(), scorer.query.bias.tolist()
        key = scorer.key.weight.tolist()
        products = [
            (bias[unit] + sum(query[unit][i] * h[i] for i in range(HIDDEN)))
            * sum(key[unit][j] * m[j] for j in range(ANNOTATION))
            for unit in range(ATTENTION)
        ]
        return sum(products) / ATTENTION**0.5
    if name == "general":
        matrix = scorer.projection.weight.tolist()
        return sum(h[i] * matrix[i][j] * m[j] for i in range(HIDDEN) for j in range(ANNOTATION))
    query, bias = scorer.query.weight.tolist(), scorer.query.bias.tolist()
    key, energy = scorer.key.weight.tolist(), scorer.energy.weight.tolist()[0]
    total = 0.0
    for unit in range(ATTENTION):
        inside = bias[unit]
        inside += sum(query[unit][i] * h[i] for i in range(HIDDEN))
        inside += sum(key[unit][j] * m[j] for j in range(ANNOTATION))
        total += energy[unit] * torch.tensor(inside, dtype=torch.float64).tanh().item()
    return total


@pytest.mark.parametrize("name", sorted(SCORERS))
def test_scores_match_the_formula(name):
    scorer = randomise(SCORERS[name](HIDDEN, ANNOTATION, ATTENTION))
    hidden = torch.randn(2, 3, HIDDEN, dtype=torch.float64)
    annotations = torch.randn(2, 5, ANNOTATION, dtype=torch.float64)
    scores = scorer(hidden, scorer.keys(annotations))
    expected = [
        [[by_hand(name, scorer, h, m) for m in source] for h in target]
        for target, source in zip(hidden.tolist(), annotations.tolist(), strict=True)
    ]
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("name", ["general", "mlp", "scaled"])
def test_states_and_annotations_may_differ_in_size(name):
    scorer = SCORERS[name](HIDDEN, ANNOTATION + 3, ATTENTION)
    keys = scorer.keys(torch.randn(2, 5, ANNOTATION + 3))
    assert scorer(torch.randn(2, 3, HIDDEN), keys).shape == (2, 3, 5)
