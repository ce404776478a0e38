"""Emissions and contexts against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from support import padded, random_batch, tiny_model, tiny_networks

from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.nn import expected, pick


def softmax(scores):
    top = max(scores)
    total = sum(math.exp(score - top) for score in scores)
    return [math.exp(score - top) / total for score in scores]


def linear(matrix, vector, bias=None):
    return [
        sum(w * x for w, x in zip(row, vector, strict=True)) + (bias[i] if bias else 0.0)
        for i, row in enumerate(matrix)
    ]


def token_probs(emission, h, m):
    """``softmax(W_o g tanh(W_c m + W_h h))``, by the formula."""
    gain = emission.gain.item()
    context = linear(emission.context.weight.tolist(), m)
    query = linear(emission.query.weight.tolist(), h, emission.query.bias.tolist())
    feature = [gain * math.tanh(a + b) for a, b in zip(context, query, strict=True)]
    return softmax(linear(emission.weight.tolist(), feature, emission.bias.tolist()))


def product_probs(emission, h, m):
    """``exp(w_y · g W_h h) exp(w_y · g tanh(W_c m)) exp(b_y)``, normalised, by the formula."""
    gain = emission.gain.item()
    value = [gain * math.tanh(x) for x in linear(emission.context.weight.tolist(), m)]
    query = [
        gain * x for x in linear(emission.query.weight.tolist(), h, emission.query.bias.tolist())
    ]
    weight, bias = emission.weight.tolist(), emission.bias.tolist()
    experts = zip(linear(weight, query), linear(weight, value), bias, strict=True)
    products = [math.exp(a) * math.exp(c) * math.exp(b) for a, c, b in experts]
    return [product / sum(products) for product in products]


def plain_loops(networks, batch, *, soft, token_probs=token_probs):
    """Probability of every gold token by loops over sentences, positions and alignments."""
    states = networks(batch)
    annotations = states.memory.annotations.tolist()
    probs = []
    for sentence in range(len(batch)):
        length = int(batch.source_lengths[sentence])
        ms = annotations[sentence][:length]
        for position in range(int(batch.target_lengths[sentence])):
            h = states.hidden[sentence, position].tolist()
            y = int(batch.target[sentence, position])
            keys = [linear(networks.decoder.scorer.projection.weight.tolist(), m) for m in ms]
            prior = softmax([sum(a * b for a, b in zip(h, k, strict=True)) for k in keys])
            if soft:
                mean = [sum(p * m[i] for p, m in zip(prior, ms, strict=True)) for i in range(6)]
                probs.append(token_probs(networks.emission, h, mean)[y])
            else:
                probs.append(
                    sum(
                        p * token_probs(networks.emission, h, m)[y]
                        for p, m in zip(prior, ms, strict=True)
                    )
                )
    return probs


def gold_probs(model, batch):
    log_probs = model.next_token(model.states(batch))
    return log_probs.gather(-1, batch.target.unsqueeze(-1)).squeeze(-1)[batch.target_mask].exp()


def test_marginal_is_the_sum_over_alignments():
    model, batch = tiny_model(CategoricalModel), padded(random_batch(), source=1, target=1)
    expected = plain_loops(model.networks, batch, soft=False)
    torch.testing.assert_close(gold_probs(model, batch), torch.tensor(expected).double())


@pytest.mark.parametrize("lexical", [False, True])
def test_marginal_of_two_experts_is_the_sum_over_alignments(lexical):
    model = tiny_model(CategoricalModel, emission="product", lexical=lexical)
    batch = padded(random_batch(), source=1, target=1)
    embeddings = model.networks.source_embedding.weight.tolist()
    words = iter(
        batch.source[sentence, position].item()
        for sentence in range(len(batch))
        for _ in range(int(batch.target_lengths[sentence]))
        for position in range(int(batch.source_lengths[sentence]))
    )

    def token_probs(emission, h, m):
        return product_probs(emission, h, m + embeddings[next(words)] if lexical else m)

    found = plain_loops(model.networks, batch, soft=False, token_probs=token_probs)
    assert not lexical or next(words, None) is None
    torch.testing.assert_close(gold_probs(model, batch), torch.tensor(found).double())


def test_product_emission_uses_the_mean_of_the_values():
    """Soft attention uses the expected value, not the value of the expected annotation."""
    model, batch = tiny_model(SoftModel, emission="product"), random_batch()
    states = model.states(batch)
    emission = model.networks.emission
    weights = states.scores.softmax(-1)
    values = emission.gain * torch.tanh(emission.context(states.memory.annotations))
    features = emission.gain * emission.query(states.hidden) + weights @ values
    by_hand = (features @ emission.weight.T + emission.bias).log_softmax(-1)
    torch.testing.assert_close(model.next_token(states), by_hand)


def test_soft_attention_emits_from_the_expected_annotation():
    model, batch = tiny_model(SoftModel), padded(random_batch(), source=1, target=1)
    expected = plain_loops(model.networks, batch, soft=True)
    torch.testing.assert_close(gold_probs(model, batch), torch.tensor(expected).double())


def test_tanh_values_are_linear():
    emission = tiny_networks().emission
    annotations = torch.randn(2, 4, 6, dtype=torch.float64)
    weights = torch.randn(2, 1, 4, dtype=torch.float64).softmax(-1)
    torch.testing.assert_close(
        emission.values(weights @ annotations), weights @ emission.values(annotations)
    )


def test_states_and_contexts_are_broadcast():
    emission = tiny_networks().emission
    hidden = torch.randn(2, 3, 6, dtype=torch.float64)
    context = torch.randn(4, 2, 1, 5, dtype=torch.float64)
    joint = emission(hidden, context)
    assert joint.batch_shape == (4, 2, 3)
    one = emission(hidden[1, 2], context[3, 1, 0])
    torch.testing.assert_close(joint.logits[3, 1, 2], one.logits)


@pytest.mark.parametrize(
    "shape", [(2, 3), (1, 3), (2, 1), (1, 1), (4, 1, 1), (6, 2, 3), (5, 6, 2, 3), (5, 6, 1, 1)]
)
def test_pick_selects_the_value_of_each_alignment(shape):
    values = torch.randn(2, 4, 3, dtype=torch.float64, requires_grad=True)
    alignment = torch.randint(4, shape)
    picked = pick(values, alignment)
    sentences = torch.arange(2).unsqueeze(-1)
    expected = values[sentences, alignment]
    assert torch.equal(picked, expected)
    weighting = torch.randn_like(expected)
    (grad,) = torch.autograd.grad((picked * weighting).sum(), values)
    (by_index,) = torch.autograd.grad((expected * weighting).sum(), values)
    torch.testing.assert_close(grad, by_index)


def test_pick_for_one_sentence_of_one_position():
    values = torch.randn(1, 4, 3)
    assert torch.equal(pick(values, torch.tensor([[2]])), values[:, 2:3])
    assert torch.equal(
        pick(values, torch.tensor([[[2]], [[0]]])), values[:, [2, 0]].movedim(1, 0)[:, None]
    )


@pytest.mark.parametrize("particles", [(), (4,)])
def test_expected_values_are_weighted_sums(particles):
    values = torch.randn(2, 3, 5)
    weights = torch.rand(*particles, 2, 4, 3, dtype=torch.float64).softmax(-1)
    found = expected(values, weights)
    assert found.shape == (*particles, 2, 4, 5)
    assert found.dtype == values.dtype
    by_hand = sum(weights[..., s, None].float() * values[:, None, s] for s in range(3))
    torch.testing.assert_close(found, by_hand)


@pytest.mark.parametrize("scale", [1.0, 3000.0])
def test_log_likelihoods_from_factors_are_those_without(scale):
    """Also if the products of both factors underflow in fp32, for a scale of 3000."""
    emission = tiny_networks(emission="product").emission.float()
    torch.manual_seed(0)
    hidden = torch.randn(2, 1, emission.query.in_features, requires_grad=True)
    annotations = torch.randn(2, 5, emission.context.in_features)
    values = (scale * emission.values(annotations).detach()).requires_grad_()
    tokens = torch.tensor([[3], [6]])
    found, expected = (
        emission.log_likelihoods(scale * hidden, values, tokens, factors)
        for factors in (emission.factors(values), None)
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    inputs = [hidden, values, emission.weight, emission.bias]
    direction = torch.randn(found.shape)
    slopes = [torch.autograd.grad(each, inputs, direction) for each in (found, expected)]
    for ours, theirs in zip(*slopes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))
