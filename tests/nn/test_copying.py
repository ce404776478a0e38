"""Emissions that copy, against the mixture written out for each position."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from pyro_align.distributions import CopyMixture, VocabularyCategorical
from pyro_align.nn import CopyEmission, ProductEmission, TanhEmission, expected, pick

BATCH, TARGET, SOURCE, HIDDEN, ANNOTATION, FEATURE, VOCABULARY = 2, 3, 4, 5, 6, 4, 7
COPIES = torch.tensor([-1, 4, 2, -1, 6])
"""Target ids of five source symbols, two of which have none."""

KINDS = pytest.mark.parametrize("kind", [TanhEmission, ProductEmission])


def emission(kind) -> CopyEmission:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(VOCABULARY, FEATURE))
    made = CopyEmission(kind(ANNOTATION, HIDDEN, weight), ANNOTATION, HIDDEN, COPIES)
    with torch.no_grad():
        made.generator.gain.fill_(1.0)
    return made.double()


class Case:
    """Random states, annotations and source ids, every symbol among them."""

    def __init__(self, made: CopyEmission):
        generator = torch.Generator().manual_seed(1)
        self.emission = made
        self.source = torch.tensor([[0, 1, 2, 3], [4, 4, 1, 0]])
        self.hidden, self.annotations = (
            torch.randn(BATCH, *shape, generator=generator, dtype=torch.float64)
            for shape in ((TARGET, HIDDEN), (SOURCE, ANNOTATION))
        )
        self.log_weights = torch.randn(
            BATCH, TARGET, SOURCE, generator=generator, dtype=torch.float64
        ).log_softmax(-1)
        self.values = made.values(made.annotate(self.annotations, self.source))

    def probs(self, b: int, t: int, s: int) -> torch.Tensor:
        """``g p_gen(y) + (1 − g) 1[y = x_s]``, by the formula."""
        made = self.emission
        h, m = self.hidden[b, t], self.annotations[b, s]
        copied = int(COPIES[self.source[b, s]])
        value = made.generator.values(m.view(1, 1, -1))[0, 0]
        generated = made.generator(h, value).probs
        if copied < 0:
            return generated
        gate = torch.sigmoid(
            made.from_hidden.weight[0] @ h + made.from_hidden.bias + made.from_annotation.weight @ m
        )
        result = gate * generated
        result[copied] += 1 - gate.item()
        return result


@KINDS
def test_each_alignment_copies_its_own_symbol(kind):
    made = emission(kind)
    case = Case(made)
    target = torch.randint(VOCABULARY, (BATCH, TARGET))
    support = torch.arange(SOURCE).reshape(-1, 1, 1)
    enumerated = made(case.hidden, pick(case.values, support))
    log_probs = enumerated.log_prob(target)
    assert log_probs.shape == (SOURCE, BATCH, TARGET)
    for b in range(BATCH):
        for t in range(TARGET):
            for s in range(SOURCE):
                expected = case.probs(b, t, s)
                torch.testing.assert_close(enumerated.probs[s, b, t], expected)
                torch.testing.assert_close(log_probs[s, b, t].exp(), expected[target[b, t]])


@KINDS
@pytest.mark.parametrize("precomputed", [False, True])
@pytest.mark.parametrize("top_k", [None, 2])
def test_mixture_is_the_weighted_sum_over_positions(kind, precomputed, top_k):
    made = emission(kind)
    case = Case(made)
    factors = made.factors(case.values) if precomputed else None
    with torch.no_grad():
        found = made.log_mixture(
            case.hidden, case.values, case.log_weights, top_k=top_k, factors=factors
        ).exp()
    weights = case.log_weights.exp()
    if top_k is not None:
        least = weights.topk(top_k, dim=-1).values[..., -1:]
        weights = weights.where(weights >= least, 0.0)
        weights = weights / weights.sum(-1, keepdim=True)
    for b in range(BATCH):
        for t in range(TARGET):
            expected = sum(weights[b, t, s] * case.probs(b, t, s) for s in range(SOURCE))
            torch.testing.assert_close(found[b, t], expected)


@KINDS
def test_attention_weights_copy_in_proportion(kind):
    """With an expected value, all source symbols share the probability to copy."""
    made = emission(kind)
    case = Case(made)
    weights = case.log_weights.exp()
    found = made(case.hidden, expected(case.values, weights))
    torch.testing.assert_close(found.probs.sum(-1), torch.ones(BATCH, TARGET, dtype=torch.float64))
    value, gate, _ = made._split(expected(case.values, weights))
    generate = torch.sigmoid(made.from_hidden(case.hidden) + gate).squeeze(-1)
    generated = made.generator(case.hidden, value).probs
    for b in range(BATCH):
        for t in range(TARGET):
            mass = {int(c): 0.0 for c in COPIES}
            for s in range(SOURCE):
                mass[int(COPIES[case.source[b, s]])] += weights[b, t, s].item()
            generating = generate[b, t] + (1 - generate[b, t]) * mass.pop(-1)
            by_hand = generating * generated[b, t]
            for token, share in mass.items():
                by_hand[token] += (1 - generate[b, t]) * share
            torch.testing.assert_close(found.probs[b, t], by_hand)


def test_gradients_match_finite_differences():
    weight, bias = torch.randn(VOCABULARY, FEATURE).double(), torch.zeros(VOCABULARY).double()
    value = torch.tensor([0, 3])

    def outputs(features, gate, scores):
        # The weights of the first row include its token, those of the second do not.
        copied = torch.nn.functional.pad(scores.softmax(-1), (0, VOCABULARY - 2))
        made = CopyMixture(VocabularyCategorical(features, weight, bias), gate, copied)
        return made.log_prob(value), made.logits, made.mixture(scores[:, 0])

    shapes = (2, FEATURE), (2,), (2, 2)
    inputs = [torch.randn(*shape).double().requires_grad_() for shape in shapes]
    assert gradcheck(outputs, inputs)


@pytest.mark.parametrize("gate", [-200.0, 200.0])
def test_an_extreme_gate_stays_finite(gate):
    features = torch.zeros(1, FEATURE, requires_grad=True)
    generated = VocabularyCategorical(features, torch.zeros(VOCABULARY, FEATURE), torch.zeros(7))
    logit = torch.tensor([gate], requires_grad=True)
    copied = torch.nn.functional.one_hot(torch.tensor([2]), VOCABULARY).float()
    made = CopyMixture(generated, logit, copied)
    log_probs = made.log_prob(torch.tensor([[2], [5]]))
    expected = torch.tensor([[0.0], [-gate]]) if gate < 0 else torch.full((2, 1), 1 / 7).log()
    torch.testing.assert_close(log_probs[0], expected[0])
    assert log_probs.isfinite().all()
    gradients = torch.autograd.grad(log_probs.sum(), (features, logit))
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_samples_and_support():
    made = emission(ProductEmission)
    case = Case(made)
    positions = torch.tensor([[1, 2, 2], [0, 1, 0]])
    mixture = made(case.hidden, pick(case.values, positions)).expand((5, BATCH, TARGET))
    torch.manual_seed(0)
    drawn = mixture.sample((4_000,))
    assert drawn.shape == (4_000, 5, BATCH, TARGET)
    frequencies = torch.nn.functional.one_hot(drawn, VOCABULARY).double().mean((0, 1))
    expected = mixture.probs[0].detach()
    error = (expected * (1 - expected) / 20_000).sqrt()
    # Six standard errors of each of 42 frequencies: a false alarm below 1e-6.
    assert ((frequencies - expected).abs() < 6 * error + 1e-12).all()
    assert mixture.enumerate_support().shape == (VOCABULARY, 5, BATCH, TARGET)
