"""A distribution with raised tokens equals the softmax of logits that are written out."""

from __future__ import annotations

import pytest
import torch
from pyro.ops.provenance import get_provenance, track_provenance

from pyro_align.distributions import (
    SharedTokenFactors,
    SparseProductCategorical,
    TokenFactors,
    VocabularyCategorical,
    chunks,
)

VOCABULARY, FEATURE, NUMBER = 7, 5, 3

SHAPES = [
    # base, factors, tokens
    ((), (), ()),
    ((4, 3), (4, 3), (4, 3)),
    ((4, 3), (4, 1), (4, 3)),
    ((4, 3), (6, 4, 1), (4, 3)),  # alignments enumerated
    ((4, 3), (6, 1, 1), (4, 3)),
    ((4, 3), (2, 6, 4, 1), (4, 3)),
    ((4, 3, 1), (4, 1, 6), (4, 3, 1)),  # a step of translation
    ((4, 3), (6, 4, 1), (VOCABULARY, 1, 1, 1)),  # tokens enumerated
    ((4, 3), (6, 4, 1), (6, 4, 3)),
    ((2, 4, 3), (4, 3), (4, 3)),  # several draws
]


def made(base, factors, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    inputs = normal(*base, FEATURE), normal(VOCABULARY, FEATURE), normal(VOCABULARY)
    # Some tokens are listed twice.
    tokens = torch.randint(VOCABULARY, (*factors, NUMBER), generator=generator)
    return inputs, tokens, normal(*factors, NUMBER)


def build(inputs, tokens, logits):
    return SparseProductCategorical(
        VocabularyCategorical(*inputs), TokenFactors(tokens, logits.exp())
    )


def written_out(inputs, tokens, logits):
    """Normalised log probabilities of the whole vocabulary."""
    features, weight, bias = inputs
    listed = tokens.unsqueeze(-1) == torch.arange(VOCABULARY)
    factor = 1 + (listed * logits.exp().unsqueeze(-1)).sum(-2)
    return (features @ weight.T + bias + factor.log()).log_softmax(-1)


@pytest.fixture(params=["kept", "again", "rows"])
def memory(request, monkeypatch):
    """Keep or recompute the logits, in one chunk or one for each shared row."""
    if request.param != "kept":
        monkeypatch.setattr(chunks, "KEPT_ELEMENTS", 0)
    if request.param == "rows":
        monkeypatch.setattr(chunks, "ROWS", 1)
        monkeypatch.setattr(chunks, "ELEMENTS", {"cpu": 1})


@pytest.mark.parametrize(("base", "factors", "tokens"), SHAPES)
def test_log_probs_and_gradients(base, factors, tokens, memory):
    inputs, listed, logits = made(base, factors)
    value = torch.randint(VOCABULARY, tokens)
    found, expected = build(inputs, listed, logits), written_out(inputs, listed, logits)
    torch.testing.assert_close(found.logits, expected)
    torch.testing.assert_close(found.probs, expected.exp())
    shape = torch.broadcast_shapes(expected.shape[:-1], value.shape)
    of_value = expected.expand(*shape, -1).gather(-1, value.expand(shape).unsqueeze(-1))
    log_prob = found.log_prob(value)
    torch.testing.assert_close(log_prob, of_value.squeeze(-1))
    weights = torch.randn(shape, dtype=torch.float64)
    grads = [
        torch.autograd.grad((each * weights).sum(), [*inputs, logits])
        for each in (log_prob, of_value.squeeze(-1))
    ]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("rows", [1, 2, 100])
@pytest.mark.parametrize(
    ("base", "factors"),
    [((4, 3, 1), (4, 1, 6)), ((4, 3, 6), (4, 1, 6)), ((4, 3, 1), (4, 3, 6)), ((1,), (6,))],
)
def test_mixtures(base, factors, rows, monkeypatch):
    monkeypatch.setattr(chunks, "ROWS", rows)
    monkeypatch.setattr(chunks, "ELEMENTS", {"cpu": 1})
    inputs, listed, logits = made(base, factors)
    expected = written_out(inputs, listed, logits)
    log_weights = torch.randn(expected.shape[:-1], dtype=torch.float64).log_softmax(-1)
    expected = (log_weights.unsqueeze(-1) + expected).logsumexp(-2)
    found = build(inputs, listed, logits).mixture(log_weights)
    torch.testing.assert_close(found, expected)
    with torch.no_grad():
        torch.testing.assert_close(build(inputs, listed, logits).mixture(log_weights), expected)
    weights = torch.randn_like(expected)
    grads = [
        torch.autograd.grad((each * weights).sum(), [*inputs, logits]) for each in (found, expected)
    ]
    torch.testing.assert_close(*grads)


def test_expanded():
    inputs, listed, logits = made((4, 3), (6, 4, 1))
    value = torch.randint(VOCABULARY, (2, 6, 4, 3))
    found = build(inputs, listed, logits)
    torch.testing.assert_close(
        found.expand((2, 6, 4, 3)).log_prob(value), torch.stack([*map(found.log_prob, value)])
    )
    assert found.enumerate_support().shape == (VOCABULARY, 6, 4, 3)


def test_means_of_factors():
    inputs, listed, logits = made((2, 3), (2, 4))
    weights = torch.rand(2, 3, 4, dtype=torch.float64).log_softmax(-1).exp()
    mean = TokenFactors(listed, logits.exp()).mean(weights)
    dense = torch.zeros(2, 4, VOCABULARY, dtype=torch.float64).scatter_add(-1, listed, logits.exp())
    torch.testing.assert_close(mean.log_of_all(VOCABULARY), (1 + weights @ dense).log())
    value = torch.randint(VOCABULARY, (2, 3))
    expected = mean.log_of_all(VOCABULARY).gather(-1, value.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(mean.log_of(value), expected)
    found = SparseProductCategorical(VocabularyCategorical(*inputs), mean)
    gold = found.logits.gather(-1, value.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(found.log_prob(value), gold)


@pytest.mark.parametrize("logit", [-200.0, 0.0, 200.0])
def test_extreme_logits_in_single_precision(logit):
    """Probabilities that underflow, and factors as large as an emission gives."""
    bias = torch.zeros(VOCABULARY)
    bias[2] = logit
    features, weight = torch.zeros(2, FEATURE), torch.zeros(VOCABULARY, FEATURE)
    features, bias = features.requires_grad_(), bias.requires_grad_()
    raised = torch.tensor([[2.0, 40.0], [-90.0, 0.0]]).exp().requires_grad_()
    factors = TokenFactors(torch.tensor([[2, 3], [2, 4]]), raised)
    found = SparseProductCategorical(VocabularyCategorical(features, weight, bias), factors)
    precise = SparseProductCategorical(
        VocabularyCategorical(features.double(), weight.double(), bias.double()),
        TokenFactors(factors.tokens, raised.double()),
    )
    for token in range(VOCABULARY):
        value = torch.tensor([token, token])
        torch.testing.assert_close(
            found.log_prob(value), precise.logits[:, token].float(), rtol=1e-5, atol=1e-5
        )
    grads = torch.autograd.grad(found.log_prob(torch.tensor([3, 4])).sum(), [bias, raised])
    assert all(torch.isfinite(each).all() for each in grads)


def test_provenance_is_kept():
    inputs, listed, logits = made((4, 3), (6, 4, 1))
    logits = track_provenance(logits, frozenset({"alignment"}))
    found = build(inputs, listed, logits).log_prob(torch.zeros(4, 3, dtype=torch.int64))
    assert get_provenance(found) == {"alignment"}
    assert found.requires_grad


def test_tokens_listed_once():
    """As for a step of translation: means, and log probabilities for each position."""
    inputs, listed, logits = made((2, 3), (2, 4))
    listed[0, 1:] = listed[0, 0]  # fewer tokens than in the other sentence
    weights = torch.randn(2, 3, 4, dtype=torch.float64).log_softmax(-1)
    features, *output = inputs
    pairs = [features.unsqueeze(2), *output], listed.unsqueeze(1), logits.unsqueeze(1)
    expected = written_out(*pairs)
    mixture = (weights.unsqueeze(-1) + expected).logsumexp(-2)
    shared = SharedTokenFactors.of(TokenFactors(listed, logits.exp()))
    assert shared.tokens.shape[1] <= VOCABULARY
    found = build(*pairs).mixture(weights, shared)
    torch.testing.assert_close(found, mixture)
    with torch.no_grad():
        torch.testing.assert_close(build(*pairs).mixture(weights, shared), mixture)
        one = build([features.unsqueeze(2)[1:], *output], listed[1:, None], logits[1:, None])
        torch.testing.assert_close(one.mixture(weights[1:], shared[[1]]), mixture[1:])
    value = torch.randint(VOCABULARY, (2, 3))
    gold = expected.gather(-1, value[..., None, None].expand(2, 3, 4, 1)).squeeze(-1)
    log_probs = shared.log_probs_of(VocabularyCategorical(*inputs).logits, value)
    torch.testing.assert_close(log_probs, gold)
    coefficients = torch.randn_like(mixture), torch.randn_like(gold)
    grads = [
        torch.autograd.grad(
            sum((a * b).sum() for a, b in zip(each, coefficients, strict=True)), [*inputs, logits]
        )
        for each in ((found, log_probs), (mixture, gold))
    ]
    torch.testing.assert_close(*grads)
