"""The layer against sums written out position by position."""

import brute
import pytest
import torch
from brute import BATCH, LENGTHS, MEMORY, QUERY, SOURCE, TARGET, VOCABULARY, Concatenated
from torch import nn
from torch.distributions import Independent, Normal

from pyro_align.errors import ConfigError
from pyro_align.nn import (
    SCORERS,
    LatentAttention,
    ProductEmission,
    Scorer,
    TanhEmission,
)

EACH = [(b, t) for b in range(BATCH) for t in range(TARGET)]


def rows(function):
    """A value for each query, as a tensor of shape ``(batch, target, ...)``."""
    values = torch.stack([function(b, t) for b, t in EACH])
    return values.unflatten(0, (BATCH, TARGET))


def padded(values):
    """Zeros where a sentence has no position."""
    return torch.cat([values, values.new_zeros(SOURCE - len(values))])


@pytest.fixture(params=["general", "mlp"])
def layer(request):
    return LatentAttention(QUERY, MEMORY, request.param, hidden=3).double()


@pytest.fixture
def given():
    return brute.case()


@pytest.fixture
def alignment(layer, given):
    return layer(given.queries, given.memory, given.mask)


@pytest.fixture
def emission():
    return Concatenated().double()


def assert_same_gradients(found, expected, *modules, inputs):
    weights = torch.randn_like(expected)
    parameters = [*inputs, *(p for module in modules for p in module.parameters())]
    gradients = [
        torch.autograd.grad(
            (weights * value).sum(), parameters, retain_graph=True, allow_unused=True
        )
        for value in (found, expected)
    ]
    assert any(gradient is not None for gradient in gradients[1])
    for mine, theirs in zip(*gradients, strict=True):
        zeros = torch.zeros(())
        torch.testing.assert_close(
            mine if mine is not None else zeros.expand_as(theirs).to(theirs),
            theirs if theirs is not None else torch.zeros_like(mine),
        )


def test_the_prior_is_a_softmax_of_the_scores(layer, given, alignment):
    expected = rows(lambda b, t: padded(brute.prior(layer, given, b, t)))
    torch.testing.assert_close(alignment.probs, expected)
    assert (alignment.probs[~given.mask.unsqueeze(1).expand_as(alignment.probs)] == 0).all()
    assert alignment.log_probs.isfinite().all()


def test_context_and_entropy(layer, given, alignment):
    def context(b, t):
        weights = brute.prior(layer, given, b, t)
        return sum(weights[s] * given.memory[b, s] for s in range(LENGTHS[b]))

    def entropy(b, t):
        return -sum(p * p.log() for p in brute.prior(layer, given, b, t))

    inputs = (given.queries, given.memory)
    for found, function in ((alignment.context, context), (alignment.entropy, entropy)):
        expected = rows(function)
        torch.testing.assert_close(found, expected)
        assert_same_gradients(found, expected, layer, inputs=inputs)


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_the_marginal_of_a_module(layer, given, alignment, emission, chunk):
    found = alignment.log_marginal(emission, given.target, chunk=chunk)
    expected = rows(
        lambda b, t: brute.marginal(layer, emission, given, b, t)[given.target[b, t]].log()
    )
    torch.testing.assert_close(found, expected)
    inputs = (given.queries, given.memory)
    assert_same_gradients(found, expected, layer, emission, inputs=inputs)


@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_the_predictive_distribution_of_a_module(layer, given, alignment, emission, chunk):
    found = alignment.log_predictive(emission, chunk=chunk)
    expected = rows(lambda b, t: brute.marginal(layer, emission, given, b, t).log())
    torch.testing.assert_close(found, expected)
    inputs = (given.queries, given.memory)
    assert_same_gradients(found, expected, layer, emission, inputs=inputs)


@pytest.mark.parametrize("kind", [TanhEmission, ProductEmission])
def test_emissions_of_the_package_match_their_formulas(layer, given, alignment, kind):
    emission = kind(MEMORY, QUERY, nn.Parameter(torch.randn(VOCABULARY, 4))).double()

    def logits(queries, contexts):
        context = emission.context(contexts)
        if kind is TanhEmission:
            features = emission.gain * torch.tanh(emission.query(queries) + context)
        else:
            features = emission.gain * (emission.query(queries) + torch.tanh(context))
        return features @ emission.weight.T + emission.bias

    inputs = (given.queries, given.memory)
    expected = rows(lambda b, t: brute.marginal(layer, logits, given, b, t).log())
    found = alignment.log_predictive(emission)
    torch.testing.assert_close(found, expected)
    assert_same_gradients(found, expected, layer, emission, inputs=inputs)
    gold = expected.gather(-1, given.target.unsqueeze(-1)).squeeze(-1)
    found = alignment.log_marginal(emission, given.target)
    torch.testing.assert_close(found, gold)
    assert_same_gradients(found, gold, layer, emission, inputs=inputs)
    for top_k in (2, SOURCE):
        torch.testing.assert_close(
            alignment.log_marginal(emission, given.target, top_k=top_k),
            alignment.log_marginal(logits, given.target, top_k=top_k),
        )
        torch.testing.assert_close(
            alignment.log_predictive(emission, top_k=top_k),
            alignment.log_predictive(logits, top_k=top_k),
        )


def test_the_posterior_is_bayes_rule(layer, given, alignment, emission):
    def posterior(b, t):
        weights = brute.prior(layer, given, b, t)
        joint = torch.stack(
            [
                weights[s]
                * brute.token_probs(
                    emission(given.queries[b, t : t + 1], given.memory[b, s : s + 1])[0]
                )[given.target[b, t]]
                for s in range(LENGTHS[b])
            ]
        )
        return padded(joint / joint.sum())

    found = alignment.posterior(emission, given.target).probs
    expected = rows(posterior)
    torch.testing.assert_close(found, expected)
    assert_same_gradients(found, expected, layer, emission, inputs=(given.queries, given.memory))


def test_top_k_sums_over_the_most_probable_positions(layer, given, alignment, emission):
    def best(b, t):
        weights = brute.prior(layer, given, b, t)
        order = sorted(range(LENGTHS[b]), key=lambda s: -weights[s].item())[:3]
        terms = [
            weights[s]
            * brute.token_probs(
                emission(given.queries[b, t : t + 1], given.memory[b, s : s + 1])[0]
            )
            for s in order
        ]
        return sum(terms), sum(weights[s] for s in order)

    bound = alignment.log_marginal(emission, given.target, top_k=3)
    expected = rows(lambda b, t: best(b, t)[0][given.target[b, t]].log())
    torch.testing.assert_close(bound, expected)
    assert_same_gradients(bound, expected, layer, emission, inputs=(given.queries, given.memory))
    assert (bound <= alignment.log_marginal(emission, given.target) + 1e-12).all()
    renormalised = rows(lambda b, t: (best(b, t)[0] / best(b, t)[1]).log())
    torch.testing.assert_close(alignment.log_predictive(emission, top_k=3), renormalised)


def test_an_emission_may_be_a_density(layer, given, alignment):
    """Padding gets no probability even where a density is far below that of padding's score."""
    target = 1e5 + torch.randn(BATCH, TARGET, MEMORY, dtype=torch.float64)

    def emission(queries, contexts):
        return Independent(Normal(contexts, 1.0), 1)

    def marginal(b, t):
        weights = brute.prior(layer, given, b, t)
        each = [
            weights[s].log() + Normal(given.memory[b, s], 1.0).log_prob(target[b, t]).sum()
            for s in range(LENGTHS[b])
        ]
        return torch.stack(each).logsumexp(0)

    found = alignment.log_marginal(emission, target, chunk=5)
    assert (found < -1e9).all()
    torch.testing.assert_close(found, rows(marginal))
    padding = ~given.mask.unsqueeze(1).expand(BATCH, TARGET, SOURCE)
    assert (alignment.posterior(emission, target).probs[padding] == 0).all()


@pytest.mark.parametrize("top_k", [None, 2])
def test_an_emission_is_called_with_at_most_a_chunk(given, alignment, emission, top_k):
    alignment.log_marginal(emission, given.target, top_k=top_k, chunk=5).sum().backward()
    pairs = BATCH * TARGET * (top_k or SOURCE)
    assert max(emission.calls) == 5
    # Once in the forward pass, and again in the backward pass, which recomputes everything.
    assert sum(emission.calls) == 2 * pairs
    emission.calls.clear()
    alignment.log_predictive(emission, top_k=top_k, chunk=5)
    assert max(emission.calls) <= 5
    assert sum(emission.calls) == pairs


def test_without_gradients_nothing_is_recomputed(given, alignment, emission):
    with torch.no_grad():
        alignment.log_marginal(emission, given.target, chunk=5)
    assert sum(emission.calls) == BATCH * TARGET * SOURCE


def test_samples_follow_the_prior(given, alignment):
    draws = torch.stack([alignment.sample() for _ in range(1000)])
    assert draws.shape == (1000, BATCH, TARGET)
    shares = nn.functional.one_hot(draws, SOURCE).double().mean(0)
    torch.testing.assert_close(shares, alignment.probs.detach(), atol=0.05, rtol=0)
    assert (shares[1, :, 2:] == 0).all()
    positions = draws[0]
    for b, t in EACH:
        s = positions[b, t]
        assert torch.equal(alignment.pick(positions)[b, t], given.memory[b, s])
        assert alignment.log_prob(positions)[b, t] == alignment.log_probs[b, t, s]


def test_a_relaxed_context_is_a_row_of_the_memory_with_a_gradient(layer, given, alignment):
    hard = alignment.relaxed_context(0.5)
    for b, t in EACH:
        distances = (given.memory[b, : LENGTHS[b]] - hard[b, t]).norm(dim=-1)
        assert distances.min() < 1e-12
    (slope,) = torch.autograd.grad(hard.sum(), given.queries, retain_graph=True)
    assert slope.abs().sum() > 0
    # At a low temperature the relaxation is a sample, at a high one the mean of real positions.
    torch.manual_seed(3)
    cold = alignment.relaxed_context(1e-4, hard=False)
    torch.manual_seed(3)
    torch.testing.assert_close(cold, alignment.relaxed_context(1e-4))
    warm = alignment.relaxed_context(1e6, hard=False)
    mean = torch.stack([given.memory[b, : LENGTHS[b]].mean(0) for b in range(BATCH)])
    torch.testing.assert_close(warm, mean.unsqueeze(1).expand_as(warm), atol=1e-3, rtol=0)


@pytest.mark.parametrize("heads", [1, 3])
def test_padding_changes_nothing(given, heads):
    layer = LatentAttention(QUERY, MEMORY, heads=heads).double()
    emission = Concatenated(layer.query_size).double()

    def found(memory, mask):
        alignment = layer(given.queries, memory, mask)
        loss = alignment.log_marginal(emission, given.target)
        parameters = [*layer.parameters(), *emission.parameters(), given.queries]
        return [
            loss,
            alignment.context,
            alignment.entropy,
            alignment.log_predictive(emission),
            *torch.autograd.grad(loss.sum() + alignment.entropy.sum(), parameters),
        ]

    noise = torch.randn_like(given.memory) * 50
    memory = torch.where(given.mask.unsqueeze(-1), given.memory, noise)
    longer = torch.cat([memory, torch.randn(BATCH, 3, MEMORY, dtype=torch.float64)], 1)
    mask = torch.cat([given.mask, torch.zeros(BATCH, 3, dtype=torch.bool)], 1)
    expected = found(given.memory, given.mask)
    for mine, theirs in zip(found(longer, mask), expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_mask_may_differ_between_queries(layer, given):
    causal = torch.ones(TARGET, SOURCE).tril().bool().expand(BATCH, TARGET, SOURCE)
    found = layer(given.queries, given.memory, causal)
    for t in range(TARGET):
        alone = layer(given.queries[:, t : t + 1], given.memory[:, : t + 1])
        torch.testing.assert_close(found.probs[:, t : t + 1, : t + 1], alone.probs)
        assert (found.probs[:, t, t + 1 :] == 0).all()


def test_keys_can_be_precomputed(layer, given, alignment):
    keys = layer.keys(given.memory)
    steps = [
        layer(given.queries[:, t : t + 1], given.memory, given.mask, keys=keys)
        for t in range(TARGET)
    ]
    torch.testing.assert_close(
        torch.cat([step.log_probs for step in steps], 1), alignment.log_probs
    )


def test_a_fully_masked_memory_gives_finite_results(emission, given):
    layer = LatentAttention(QUERY, MEMORY, heads=1).double()
    alignment = layer(given.queries, given.memory, torch.zeros_like(given.mask))
    loss = alignment.log_marginal(emission, given.target).sum() + alignment.entropy.sum()
    loss.backward()
    assert loss.isfinite()
    assert given.memory.grad.isfinite().all()


def test_soft_heads_are_scaled_dot_product_attention(given):
    layer = LatentAttention(QUERY, MEMORY, "general", heads=2).double()
    alignment = layer(given.queries, given.memory, given.mask)
    soft, size = layer.soft_heads, QUERY // 2

    def head(b, t):
        query = soft.query(given.queries[b, t])
        keys, values = soft.key(given.memory[b]), soft.value(given.memory[b])
        scores = torch.stack([query @ keys[s] / size**0.5 for s in range(LENGTHS[b])])
        weights = scores.exp() / scores.exp().sum()
        return sum(weights[s] * values[s] for s in range(LENGTHS[b]))

    assert layer.query_size == alignment.queries.shape[-1] == QUERY + size
    expected = torch.cat([given.queries, rows(head)], -1)
    torch.testing.assert_close(alignment.queries, expected)
    single = LatentAttention(QUERY, MEMORY, layer.scorer)
    torch.testing.assert_close(
        alignment.log_probs, single(given.queries, given.memory, given.mask).log_probs
    )
    emission = Concatenated(layer.query_size).double()
    found = alignment.log_marginal(emission, given.target)

    def marginal(b, t):
        weights = brute.prior(layer, given, b, t)
        query = torch.cat([given.queries[b, t], head(b, t)]).unsqueeze(0)
        return sum(
            weights[s]
            * brute.token_probs(emission(query, given.memory[b, s : s + 1])[0])[given.target[b, t]]
            for s in range(LENGTHS[b])
        ).log()

    torch.testing.assert_close(found, rows(marginal))
    assert_same_gradients(
        found, rows(marginal), layer, emission, inputs=(given.queries, given.memory)
    )


def test_soft_heads_are_independent(given):
    layer = LatentAttention(QUERY, MEMORY, heads=4).double()
    wide = layer(given.queries, given.memory, given.mask).queries
    for head in range(3):
        alone = LatentAttention(QUERY, MEMORY, heads=2).double()
        alone.soft_heads.query = alone.soft_heads.key = alone.soft_heads.value = None
        for name in ("query", "key", "value"):
            part = getattr(layer.soft_heads, name)
            linear = nn.Linear(part.in_features, 1).double()
            linear.weight.data = part.weight[head : head + 1].data
            linear.bias.data = part.bias[head : head + 1].data
            setattr(alone.soft_heads, name, linear)
        one = alone(given.queries, given.memory, given.mask).queries
        torch.testing.assert_close(one[..., QUERY:], wide[..., QUERY + head : QUERY + head + 1])


class Nearest(Scorer):
    """A user-defined scorer: minus the squared distance."""

    def keys(self, annotations):
        return annotations[..., :QUERY]

    def forward(self, hidden, keys):
        return -(hidden.unsqueeze(2) - keys.unsqueeze(1)).square().sum(-1)


def test_a_scorer_may_be_passed_in(given):
    layer = LatentAttention(QUERY, MEMORY, Nearest())
    found = layer(given.queries, given.memory, given.mask)
    torch.testing.assert_close(
        found.probs, rows(lambda b, t: padded(brute.prior(layer, given, b, t)))
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scorer": "cosine"}, "unknown scorer 'cosine'.*dot, general, scaled, mlp"),
        ({"scorer": "dot"}, r"4 features\).*\(5\)"),
        ({"heads": 0}, "heads = 0.*1 to the query size"),
        ({"heads": 5}, r"heads = 5.*\(4\)"),
    ],
)
def test_invalid_input_is_rejected(arguments, message):
    with pytest.raises(ConfigError, match=message):
        LatentAttention(QUERY, MEMORY, **arguments)


def test_every_scorer_has_a_name():
    for name, kind in SCORERS.items():
        assert type(LatentAttention(4, 4, name).scorer) is kind
