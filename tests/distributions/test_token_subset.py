"""Distributions over a subset of the tokens equal the restricted softmax of all logits."""

from __future__ import annotations

import math

import pytest
import torch

from pyro_align.distributions import (
    ProductCategorical,
    SparseProductCategorical,
    TokenFactors,
    TokenSubset,
    VocabularyCategorical,
    token_subset,
)

VOCABULARY, FEATURE = 40, 5
REQUIRED = torch.tensor([[3, 11], [3, 39]])


@pytest.fixture
def subset(monkeypatch):
    monkeypatch.setattr(token_subset, "OTHERS", 6)
    found = TokenSubset.with_required(REQUIRED, VOCABULARY)
    assert found is not None
    return found


def made(kind):
    torch.manual_seed(0)
    hidden, weight, bias = (
        torch.randn(*shape, dtype=torch.float64)
        for shape in ((2, 2, FEATURE), (VOCABULARY, FEATURE), (VOCABULARY,))
    )
    if kind == "vocabulary":
        return VocabularyCategorical(hidden, weight, bias)
    if kind == "product":  # of all pairs
        right = torch.randn(3, 2, 1, 4, dtype=torch.float64)
        return ProductCategorical(hidden, right, weight, bias)
    tokens = torch.randint(VOCABULARY, (3, 2, 1, 9))
    factors = TokenFactors(tokens, torch.rand(3, 2, 1, 9, dtype=torch.float64))
    return SparseProductCategorical(VocabularyCategorical(hidden, weight, bias), factors)


def test_weights_add_up_to_the_vocabulary(subset):
    assert {3, 11, 39} <= set(subset.tokens.tolist())
    positions = subset.positions(REQUIRED)
    assert torch.equal(subset.tokens[positions], REQUIRED)
    assert (subset.log_weights[positions] == 0).all()
    assert subset.log_weights.exp().sum().item() == pytest.approx(VOCABULARY)
    assert torch.equal(subset.tokens, subset.tokens.unique())
    absent = sorted({*range(VOCABULARY)} - {*subset.tokens.tolist()})
    assert (subset.positions(torch.tensor(absent)) == -1).all()


@pytest.mark.parametrize("kind", ["vocabulary", "product", "sparse"])
def test_the_restricted_softmax(kind, subset):
    whole = made(kind)
    expected = (whole.logits[..., subset.tokens] + subset.log_weights).log_softmax(-1)
    found = whole.among(subset)
    torch.testing.assert_close(found.logits, expected)
    value = subset.positions(REQUIRED)
    gold = expected.gather(-1, value.expand(expected.shape[:-1]).unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(found.log_prob(value), gold)


def test_equal_logits_have_the_normaliser_of_the_vocabulary(subset):
    zeros = torch.zeros(VOCABULARY, FEATURE), torch.zeros(VOCABULARY)
    whole = VocabularyCategorical(torch.zeros(2, 2, FEATURE), *zeros)
    found = whole.among(subset).log_prob(subset.positions(REQUIRED))
    torch.testing.assert_close(found, torch.full((2, 2), -math.log(VOCABULARY)))


def test_no_subset_of_more_than_half():
    assert TokenSubset.with_required(REQUIRED, VOCABULARY) is None
    many = torch.arange(1000)
    assert TokenSubset.with_required(many, 2 * (1000 + token_subset.OTHERS) - 200) is None
    assert TokenSubset.with_required(many, 3 * (1000 + token_subset.OTHERS)) is not None
    # All are required: there are no others.
    assert TokenSubset.with_required(torch.arange(5), 5) is None
