"""The emission of candidates against its formula, written out for each position."""

from __future__ import annotations

import math

import pytest
import torch

from pyro_align.errors import ConfigError
from pyro_align.networks import NetworkConfig, SequenceToSequence
from pyro_align.nn import SparseProductEmission, expected, pick

ANNOTATION, HIDDEN, FEATURE, VOCABULARY = 6, 5, 4, 7
CANDIDATES = torch.tensor([[-1, -1], [4, 2], [6, -1], [0, 5]])
"""Candidates of four source tokens."""


def emission(feature=FEATURE):
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(VOCABULARY, feature))
    made = SparseProductEmission(ANNOTATION, HIDDEN, weight, CANDIDATES)
    with torch.no_grad():
        made.gain.fill_(1.5)
        made.table.normal_()
    return made.double()


def formula(made, h, m, source):
    """Probabilities of all tokens, with plain loops."""
    gain, weight = made.gain.item(), made.weight.tolist()
    query, value = (
        [gain * each for each in vector.tolist()]
        for vector in (made.query(h), torch.tanh(made.context(m)))
    )
    mass = [
        math.exp(sum(q * w for q, w in zip(query, row, strict=True)) + bias)
        for row, bias in zip(weight, made.bias.tolist(), strict=True)
    ]
    for token, extra in zip(CANDIDATES[source].tolist(), made.table[source].tolist(), strict=True):
        if token >= 0:
            dot = sum(v * w for v, w in zip(value, weight[token], strict=False))
            mass[token] *= 1 + math.exp(dot + extra)
    return torch.tensor([each / sum(mass) for each in mass]).double()


@pytest.mark.parametrize("feature", [FEATURE, 160])
def test_each_position_raises_the_candidates_of_its_token(feature):
    made = emission(feature)
    source = torch.tensor([[0, 1, 2], [3, 3, 1]])
    annotations, hidden = torch.randn(2, 3, ANNOTATION), torch.randn(2, 2, HIDDEN)
    annotations, hidden = annotations.double(), hidden.double()
    values = made.values(made.annotate(annotations, source))
    support = torch.arange(3).reshape(-1, 1, 1)
    enumerated = made(hidden, pick(values, support))
    for b in range(2):
        for t in range(2):
            for s in range(3):
                probs = formula(made, hidden[b, t], annotations[b, s], source[b, s])
                torch.testing.assert_close(enumerated.probs[s, b, t], probs)
    target = torch.tensor([[2, 6], [5, 1]])
    gold = enumerated.logits.gather(-1, target.expand(3, 2, 2).unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(enumerated.log_prob(target), gold)
    found = made.log_likelihoods(hidden, values, target)
    torch.testing.assert_close(found, gold.movedim(0, -1))
    found = made.log_likelihoods(hidden, values, target, made.factors(values))
    torch.testing.assert_close(found, gold.movedim(0, -1))


def test_the_mean_of_the_values_is_that_of_the_factors():
    made = emission()
    source = torch.tensor([[1, 2, 3]])
    values = made.values(made.annotate(torch.randn(1, 3, ANNOTATION).double(), source))
    hidden = torch.randn(1, 2, HIDDEN).double()
    weights = torch.tensor([[[0.2, 0.3, 0.5], [0.0, 1.0, 0.0]]]).double().requires_grad_()
    found = made(hidden, expected(values, weights))
    base = found.base.probs
    raised = torch.zeros(1, 3, VOCABULARY).double().scatter_add(-1, values.tokens, values.raised)
    mass = base * (1 + weights @ raised)
    torch.testing.assert_close(found.probs, mass / mass.sum(-1, keepdim=True))
    # Weights of zero have a gradient, as in a straight-through relaxation.
    (grad,) = torch.autograd.grad(found.log_prob(torch.tensor([[2, 2]])).sum(), weights)
    assert (grad != 0).all()


def test_candidates_are_dropped_in_training_only():
    made = emission()
    made.dropout = 0.3
    source = torch.full((50, 20), 1)
    read = made.annotate(torch.randn(50, 20, ANNOTATION).double(), source)
    kept = (made.values(read).raised > 0).double().mean().item()
    # Five standard errors of 2,000 draws.
    assert kept == pytest.approx(0.7, abs=5 * (0.3 * 0.7 / 2000) ** 0.5)
    made.eval()
    assert (made.values(read).raised > 0).all()


def test_ids_are_exact_under_autocast():
    made = SparseProductEmission(
        ANNOTATION, HIDDEN, torch.randn(9, FEATURE), torch.arange(5000).reshape(-1, 1) % 9
    )
    source = torch.tensor([[257, 4099, 4999]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        annotations = torch.randn(1, 3, ANNOTATION).bfloat16()
        values = made.values(made.annotate(annotations, source))
    assert values.tokens.flatten().tolist() == [257 % 9, 4099 % 9, 4999 % 9]
    assert values.raised.dtype == torch.float32


def test_candidates_are_needed_and_copying_is_refused():
    config = NetworkConfig(emission="sparse-product", embedding=4, encoder_hidden=4)
    with pytest.raises(ConfigError, match="needs candidates of every source token"):
        SequenceToSequence.from_config(config, 9, 9)
    with pytest.raises(ValueError, match=r"network\.copying = true is for small vocabularies"):
        NetworkConfig(emission="sparse-product", copying=True)
