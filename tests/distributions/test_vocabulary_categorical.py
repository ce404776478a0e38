"""The chunked Categorical equals Pyro's Categorical, at a lower cost."""

from __future__ import annotations

import pyro.distributions as dist
import pytest
import torch
from pyro.ops.provenance import (
    ProvenanceTensor,
    detach_provenance,
    get_provenance,
    track_provenance,
)
from support import rows_of_a_chunk
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pyro_align.distributions import VocabularyCategorical

VOCABULARY, FEATURE = 7, 5


def arguments(batch_shape=(4, 3), dtype=torch.float64, requires_grad=True):
    generator = torch.Generator().manual_seed(3)
    return tuple(
        torch.randn(shape, generator=generator, dtype=dtype).requires_grad_(requires_grad)
        for shape in ((*batch_shape, FEATURE), (VOCABULARY, FEATURE), (VOCABULARY,))
    )


def stock(features, weight, bias):
    return dist.Categorical(logits=features @ weight.T + bias)


def tokens(shape):
    return torch.randint(VOCABULARY, shape, generator=torch.Generator().manual_seed(5))


@pytest.fixture(params=[1, 2, 5, 1 << 10])
def chunk(request, monkeypatch):
    """Chunks of one, two, five rows, and all."""
    rows_of_a_chunk(monkeypatch, request.param)


SHAPES = [
    # batch shape, shape of the tokens
    ((), ()),
    ((4, 3), (4, 3)),
    ((6, 4, 3), (4, 3)),  # alignments enumerated or drawn, one observation
    ((4, 3), (6, 4, 3)),
    ((6, 1, 3), (4, 1)),
    ((4, 3), (VOCABULARY, 1, 1)),
]


@pytest.mark.usefixtures("chunk")
@pytest.mark.parametrize(("batch_shape", "shape"), SHAPES)
def test_log_prob_and_gradients_equal_those_of_categorical(batch_shape, shape):
    inputs, value = arguments(batch_shape), tokens(shape)
    ours = VocabularyCategorical(*inputs).log_prob(value)
    theirs = stock(*inputs).log_prob(value)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)
    weighting = torch.randn_like(theirs)
    for grad, expected in zip(
        torch.autograd.grad((ours * weighting).sum(), inputs),
        torch.autograd.grad((theirs * weighting).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(grad, expected, rtol=1e-11, atol=1e-12)


@pytest.mark.usefixtures("chunk")
def test_gradcheck():
    value = tokens((2, 3))
    assert torch.autograd.gradcheck(
        lambda *inputs: VocabularyCategorical(*inputs).log_prob(value), arguments((2, 3))
    )


@pytest.mark.parametrize("frozen", [{0}, {1}, {2}, {1, 2}, {0, 2}])
def test_inputs_without_gradient(frozen):
    inputs = tuple(x.detach() if i in frozen else x for i, x in enumerate(arguments((2, 3))))
    wanted = [x for x in inputs if x.requires_grad]
    value = tokens((2, 3))
    ours = torch.autograd.grad(VocabularyCategorical(*inputs).log_prob(value).sum(), wanted)
    theirs = torch.autograd.grad(stock(*inputs).log_prob(value).sum(), wanted)
    for grad, expected in zip(ours, theirs, strict=True):
        torch.testing.assert_close(grad, expected)


def test_logits_are_normalised():
    inputs = arguments()
    logits = VocabularyCategorical(*inputs).logits
    torch.testing.assert_close(logits, stock(*inputs).logits)
    torch.testing.assert_close(logits.logsumexp(-1), torch.zeros(4, 3, dtype=torch.float64))


@pytest.mark.parametrize("expand", [True, False])
def test_enumerate_support(expand):
    ours, theirs = VocabularyCategorical(*arguments()), stock(*arguments())
    support = ours.enumerate_support(expand=expand)
    assert torch.equal(support, theirs.enumerate_support(expand=expand))
    total = ours.log_prob(support).logsumexp(0)
    torch.testing.assert_close(total, torch.zeros(4, 3, dtype=torch.float64))
    assert ours.has_enumerate_support


def test_expand():
    distribution = VocabularyCategorical(*arguments((4, 1)))
    wide = distribution.expand((6, 4, 3))
    assert wide.batch_shape == (6, 4, 3)
    assert wide.event_shape == ()
    value = tokens((6, 4, 3))
    torch.testing.assert_close(wide.log_prob(value), distribution.log_prob(value))
    assert wide.sample().shape == (6, 4, 3)
    assert wide.sample((2,)).shape == (2, 6, 4, 3)


def test_sample_frequencies_match_the_probabilities():
    draws = 20_000
    distribution = VocabularyCategorical(*arguments(requires_grad=False))
    counts = torch.nn.functional.one_hot(distribution.sample((draws,)), VOCABULARY).sum(0)
    probs = stock(*arguments(requires_grad=False)).probs
    # 84 frequencies at 6 standard errors: a false alarm is rarer than 84 · 2·10⁻⁹.
    error = (draws * probs * (1 - probs)).sqrt()
    assert ((counts - draws * probs).abs() < 6 * error + 6).all()


@pytest.mark.parametrize("value", [-1, VOCABULARY])
def test_a_token_outside_the_vocabulary_is_rejected(value):
    distribution = VocabularyCategorical(*arguments(), validate_args=True)
    with pytest.raises(ValueError, match="support"):
        distribution.log_prob(torch.full((4, 3), value))


@pytest.mark.parametrize("tracked", [0, 1, 2])
def test_provenance_and_gradient_are_both_kept(tracked):
    """A Function applied to Pyro's tensor subclass silently returns a tensor without graph."""
    inputs, value = list(arguments()), tokens((4, 3))
    plain = VocabularyCategorical(*inputs).log_prob(value)
    marked = list(inputs)
    marked[tracked] = track_provenance(inputs[tracked], frozenset({"alignment"}))
    log_prob = VocabularyCategorical(*marked).log_prob(value)
    assert isinstance(log_prob, ProvenanceTensor)
    assert get_provenance(log_prob) == {"alignment"}
    log_prob = detach_provenance(log_prob)
    torch.testing.assert_close(log_prob, plain)
    for grad, expected in zip(
        torch.autograd.grad(log_prob.sum(), inputs),
        torch.autograd.grad(plain.sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(grad, expected)


def test_provenance_of_the_token_is_tracked():
    value = track_provenance(tokens((4, 3)), frozenset({"tokens"}))
    assert get_provenance(VocabularyCategorical(*arguments()).log_prob(value)) == {"tokens"}


def test_without_provenance_the_result_is_a_plain_tensor():
    assert type(VocabularyCategorical(*arguments()).log_prob(tokens((4, 3)))) is torch.Tensor


@pytest.mark.parametrize("features_dtype", [torch.float32, torch.bfloat16])
def test_log_prob_under_autocast_is_fp32_and_close(features_dtype):
    features, weight, bias = arguments((40, 3), torch.float32)
    features = features.detach().to(features_dtype).requires_grad_()
    value = tokens((40, 3))
    with torch.autocast("cpu", torch.bfloat16):
        distribution = VocabularyCategorical(features, weight, bias)
        log_prob = distribution.log_prob(value)
        logits = distribution.logits
    assert log_prob.dtype == logits.dtype == torch.float32
    exact = stock(features.float(), weight, bias).log_prob(value)
    # bf16 has 8 bits of mantissa: products up to 10 are accurate to about 0.05.
    torch.testing.assert_close(log_prob, exact, rtol=0, atol=0.1)
    torch.testing.assert_close(
        log_prob, logits.gather(-1, value.unsqueeze(-1)).squeeze(-1), rtol=1e-5, atol=1e-5
    )
    for name, x in (("features", features), ("weight", weight), ("bias", bias)):
        (grad,) = torch.autograd.grad(log_prob.sum(), x, retain_graph=True)
        (expected,) = torch.autograd.grad(exact.sum(), x, retain_graph=True)
        assert grad.dtype == x.dtype
        distance = (grad.float() - expected.float()).norm() / expected.float().norm()
        assert distance < 0.03, name


class LargestTensor(TorchDispatchMode):
    """Record the number of elements of the largest tensor that any operation returned."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        sizes = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        self.elements = max([self.elements, *sizes])
        return result


def test_no_tensor_is_larger_than_a_chunk_or_the_input(monkeypatch):
    rows, vocabulary = 200, 50
    rows_of_a_chunk(monkeypatch, 30)
    features = torch.randn(rows, 4, requires_grad=True)
    weight = torch.randn(vocabulary, 4, requires_grad=True)
    bias = torch.randn(vocabulary, requires_grad=True)
    with LargestTensor() as largest:
        VocabularyCategorical(features, weight, bias).log_prob(
            torch.zeros(rows, dtype=torch.long)
        ).sum().backward()
    assert largest.elements == 30 * vocabulary
    with LargestTensor() as largest:
        stock(features, weight, bias).log_prob(torch.zeros(rows, dtype=torch.long)).sum()
    assert largest.elements == rows * vocabulary


def test_a_mixture_makes_no_tensor_larger_than_a_chunk(monkeypatch):
    mixtures, components, vocabulary = 20, 10, 50
    rows_of_a_chunk(monkeypatch, 30)
    features, weight, bias = (
        torch.randn(shape) for shape in ((mixtures, components, 4), (vocabulary, 4), (vocabulary,))
    )
    log_weights = torch.randn(mixtures, components).log_softmax(-1)
    with LargestTensor() as largest:
        found = VocabularyCategorical(features, weight, bias).mixture(log_weights)
    # The result has 20 rows, a chunk 3 mixtures of 10 rows each.
    assert largest.elements == 30 * vocabulary
    logits = stock(features, weight, bias).logits
    torch.testing.assert_close(found, (log_weights.unsqueeze(-1) + logits).logsumexp(1))
