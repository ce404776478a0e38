"""A product of two experts equals the softmax of summed logits, at a lower cost."""

from __future__ import annotations

import pytest
import torch
from pyro.ops.provenance import detach_provenance, get_provenance, track_provenance
from support import rows_of_a_chunk
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pyro_align.distributions import (
    ProductCategorical,
    VocabularyCategorical,
    chunks,
    factor_of,
)

VOCABULARY, FEATURE, FEWER = 7, 5, 3

SHAPES = [
    # left, right, tokens
    ((), (), ()),
    ((4, 3), (4, 3), (4, 3)),
    ((4, 3), (6, 4, 1), (4, 3)),  # alignments enumerated
    ((4, 3), (6, 1, 1), (4, 3)),  # the same in all sentences
    ((3,), (6, 4, 1), (4, 3)),
    ((4, 3), (2, 6, 4, 1), (4, 3)),
    ((4, 1), (6, 4, 1), (4, 1)),  # a single position
    ((4, 3, 1), (4, 1, 6), (4, 3, 1)),  # a step of translation
    ((4, 3), (6, 4, 1), (VOCABULARY, 1, 1, 1)),  # tokens enumerated
    ((4, 3), (6, 4, 1), (6, 4, 3)),  # a different token for every alignment
    ((4, 3), (6, 4, 1), (1,)),
    ((5, 4, 3), (4, 3), (4, 3)),
]


@pytest.fixture(params=["kept", "again", "rows", "some"])
def memory(request, monkeypatch):
    """Keep or recompute the factors, for one sentence at a time or several."""
    if request.param != "kept":
        kept = 2 * (3 + 6) * VOCABULARY if request.param == "some" else 0
        monkeypatch.setattr(chunks, "KEPT_ELEMENTS", kept)
    if request.param in ("rows", "some"):
        rows_of_a_chunk(monkeypatch, 1)


def arguments(left=(4, 3), right=(6, 4, 1), scale=1.0, dtype=torch.float64, fewer=FEWER):
    generator = torch.Generator().manual_seed(3)
    return tuple(
        (scale * torch.randn(shape, generator=generator, dtype=dtype)).requires_grad_()
        for shape in ((*left, FEATURE), (*right, fewer), (VOCABULARY, FEATURE), (VOCABULARY,))
    )


def tokens(shape):
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(5))


def by_hand(left, right, weight, bias):
    part = weight[:, : right.shape[-1]]
    return (left @ weight.T + right @ part.T + bias).log_softmax(-1)


def taken(log_probs, value):
    shape = torch.broadcast_shapes(log_probs.shape[:-1], value.shape)
    log_probs = log_probs.expand(*shape, -1)
    return log_probs.gather(-1, value.expand(shape).unsqueeze(-1)).squeeze(-1)


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("fewer", [FEWER, FEATURE])
@pytest.mark.parametrize(("left", "right", "shape"), SHAPES)
def test_log_prob_and_gradients_equal_those_of_a_softmax(left, right, shape, fewer):
    inputs, value = arguments(left, right, fewer=fewer), tokens(shape)
    ours = ProductCategorical(*inputs).log_prob(value)
    theirs = taken(by_hand(*inputs), value)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    weighting = torch.randn_like(theirs)
    for grad, expected in zip(
        torch.autograd.grad((ours * weighting).sum(), inputs),
        torch.autograd.grad((theirs * weighting).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(grad, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("memory")
def test_gradcheck():
    value = tokens((2, 3))
    assert torch.autograd.gradcheck(
        lambda *inputs: ProductCategorical(*inputs).log_prob(value),
        arguments((2, 3), (4, 2, 1)),
    )


def apart():
    """Experts in fp32 whose mass lies on different tokens: every product underflows."""
    left, right = torch.zeros(2, 3, VOCABULARY), torch.zeros(4, 2, 1, VOCABULARY)
    left[..., :3], left[..., 3:] = 80.0, -80.0
    right[..., :3], right[..., 3:] = -80.0, 80.0
    # A token between the two that is slightly more probable than both.
    left[..., 5], right[..., 5] = 1.0, 0.5
    weight, bias = torch.eye(VOCABULARY), torch.linspace(-1, 1, VOCABULARY)
    return tuple(each.requires_grad_() for each in (left, right, weight, bias))


@pytest.mark.usefixtures("memory")
def test_log_prob_if_all_products_underflow_in_fp32():
    inputs = apart()
    a, c = (each.detach() for each in inputs[:2])
    naive = (a - 80).exp() @ (c - 80).exp().mT
    assert (naive == 0).all()  # otherwise this test could not fail
    value = torch.tensor([[0, 3, 5], [5, 6, 2]])
    ours = ProductCategorical(*inputs).log_prob(value)
    exact = tuple(each.detach().double().requires_grad_() for each in inputs)
    theirs = taken(by_hand(*exact), value)
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-4)
    for grad, expected in zip(
        torch.autograd.grad(ours.sum(), inputs),
        torch.autograd.grad(theirs.sum(), exact),
        strict=True,
    ):
        torch.testing.assert_close(grad.double(), expected, rtol=1e-4, atol=1e-3)


def test_mixture_if_all_products_underflow_in_fp32():
    left, right, weight, bias = apart()
    by_position = right.permute(1, 2, 0, 3)  # sentence, 1, alignment, feature
    distribution = ProductCategorical(left.unsqueeze(2), by_position, weight, bias)
    weights = torch.full((2, 3, 4), 0.25).log()
    expected = distribution.joint.probs.mean(2)
    for known in (None, factor_of(by_position, weight)):
        mixed = distribution.mixture(weights, known).exp()
        torch.testing.assert_close(mixed, expected, rtol=1e-4, atol=1e-6)


def test_under_autocast_probabilities_sum_to_one():
    inputs = arguments(scale=2.0, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        distribution = ProductCategorical(*inputs)
        value = torch.arange(VOCABULARY)
        total = torch.stack([distribution.log_prob(y.expand(4, 3)) for y in value]).logsumexp(0)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-5)


MIXTURES = [
    ((4, 3, 1), (4, 1, 6)),
    ((4, 3, 1), (4, 3, 6)),
    ((4, 3, 1), (6,)),
    ((4, 3, 6), (4, 3, 6)),
    ((4, 3, 6), (4, 3, 1)),
]


@pytest.mark.parametrize(("left", "right"), MIXTURES)
def test_mixture(left, right):
    inputs = arguments(left, right)
    distribution = ProductCategorical(*inputs)
    log_weights = torch.randn(4, 3, 6, dtype=torch.float64).log_softmax(-1)
    expected = (by_hand(*inputs) + log_weights.unsqueeze(-1)).logsumexp(-2)
    torch.testing.assert_close(distribution.mixture(log_weights), expected)
    known = factor_of(*inputs[1:3])
    torch.testing.assert_close(distribution.mixture(log_weights, known), expected)
    torch.testing.assert_close(distribution.joint.mixture(log_weights), expected)


class LargestTensor(TorchDispatchMode):
    """Records the largest number of elements that any operation returned."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self.elements = max(self.elements, leaf.numel())
        return result


def test_no_tensor_has_the_size_of_all_pairs_times_the_vocabulary():
    inputs = arguments((4, 9), (8, 4, 1))
    with LargestTensor() as largest:
        ProductCategorical(*inputs, validate_args=False).log_prob(tokens((4, 9))).sum().backward()
    assert largest.elements <= 4 * (9 + 8) * VOCABULARY < 4 * 9 * 8 * VOCABULARY


def test_logits_are_normalised():
    distribution = ProductCategorical(*arguments())
    assert distribution.batch_shape == (6, 4, 3)
    torch.testing.assert_close(distribution.logits, by_hand(*arguments()))
    torch.testing.assert_close(distribution.probs, by_hand(*arguments()).exp())


@pytest.mark.parametrize("expand", [True, False])
def test_enumerate_support(expand):
    distribution = ProductCategorical(*arguments())
    support = distribution.enumerate_support(expand=expand)
    assert support.shape == ((VOCABULARY, 6, 4, 3) if expand else (VOCABULARY, 1, 1, 1))
    total = distribution.log_prob(support).logsumexp(0)
    torch.testing.assert_close(total, torch.zeros(6, 4, 3, dtype=torch.float64))


@pytest.mark.parametrize("shape", [(6, 4, 3), (2, 6, 4, 3), (1, 6, 4, 3)])
def test_expand(shape):
    distribution = ProductCategorical(*arguments())
    wide = distribution.expand(shape)
    assert wide.batch_shape == shape
    value = tokens((4, 3))
    torch.testing.assert_close(wide.log_prob(value), distribution.log_prob(value).expand(shape))
    assert wide.sample((2,)).shape == (2, *shape)


def test_expand_a_dimension_that_neither_factor_has():
    inputs = arguments((4, 1), (6, 1, 1))
    wide = ProductCategorical(*inputs).expand((6, 4, 3))
    value = tokens((4, 3))
    torch.testing.assert_close(wide.log_prob(value), taken(by_hand(*inputs), value))


def test_sample_frequencies_match_the_probabilities():
    draws = 20_000
    distribution = ProductCategorical(*arguments((2, 1), (1, 3)))
    torch.manual_seed(0)
    counts = torch.nn.functional.one_hot(distribution.sample((draws,)), VOCABULARY).sum(0)
    # 42 frequencies within 5 standard errors each: one false alarm in 40,000 runs.
    p = distribution.probs
    assert ((counts / draws - p).abs() < 5 * (p * (1 - p) / draws).sqrt()).all()


def test_provenance_is_tracked():
    left, right, weight, bias = arguments()
    marked = track_provenance(right, frozenset({"alignment"}))
    value = tokens((4, 3))
    log_prob = ProductCategorical(left, marked, weight, bias, validate_args=False).log_prob(value)
    assert get_provenance(log_prob) == {"alignment"}
    plain = ProductCategorical(left, right, weight, bias).log_prob(value)
    (marked_grad,) = torch.autograd.grad(detach_provenance(log_prob).sum(), left)
    (plain_grad,) = torch.autograd.grad(plain.sum(), left)
    torch.testing.assert_close(marked_grad, plain_grad)


@pytest.mark.parametrize("value", [-1, VOCABULARY])
def test_a_token_outside_the_vocabulary_is_rejected(value):
    with pytest.raises(ValueError, match="support"):
        ProductCategorical(*arguments(), validate_args=True).log_prob(torch.tensor(value))


def test_equals_the_vocabulary_categorical_of_the_sum():
    left, right, weight, bias = arguments()
    joint = ProductCategorical(left, right, weight, bias).joint
    assert isinstance(joint, VocabularyCategorical)
    torch.testing.assert_close(joint.features[..., :FEWER], left[..., :FEWER] + right)
    torch.testing.assert_close(joint.features[..., FEWER:], left[..., FEWER:].expand(6, 4, 3, -1))
