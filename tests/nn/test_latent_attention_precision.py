"""The layer in half precision, under autocast, and compiled."""

import subprocess
import sys
from pathlib import Path

import brute
import pytest
import torch
from brute import MEMORY, QUERY, VOCABULARY, Concatenated
from torch import nn

from pyro_align.nn import LatentAttention, ProductEmission, TanhEmission

HALVES = [torch.float16, torch.bfloat16]


def parts(kind, heads=2):
    """A layer and an emission."""
    layer = LatentAttention(QUERY, MEMORY, heads=heads)
    if kind is Concatenated:
        return layer, Concatenated(layer.query_size)
    return layer, kind(MEMORY, layer.query_size, nn.Parameter(0.1 * torch.randn(VOCABULARY, 4)))


def values(layer, emission, given):
    """Each quantity, and gradients of the marginal."""
    alignment = layer(given.queries, given.memory, given.mask)
    log_p = alignment.log_marginal(emission, given.target, chunk=5)
    found = [
        log_p,
        alignment.log_probs,
        alignment.entropy,
        alignment.log_predictive(emission),
        alignment.posterior(emission, given.target).log_probs,
    ]
    parameters = [*layer.parameters(), *emission.parameters(), given.queries, given.memory]
    return found, torch.autograd.grad(log_p.sum(), parameters)


def halved(given, dtype):
    return brute.Case(
        given.queries.detach().to(dtype).requires_grad_(),
        given.memory.detach().to(dtype).requires_grad_(),
        given.mask,
        given.target,
    )


def clipped(tensor):
    """Clip log probabilities of padding, whose size depends on the precision."""
    return tensor.float().clamp_min(-100)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("kind", [Concatenated, TanhEmission, ProductEmission])
def test_half_precision_gives_fp32_results_near_those_of_fp32(kind, dtype):
    given = halved(brute.case(), dtype)
    layer, emission = (part.to(dtype) for part in parts(kind))
    found, gradients = values(layer, emission, given)
    assert all(each.dtype == torch.float32 and each.isfinite().all() for each in found)
    single = halved(given, torch.float32)
    expected, slopes = values(layer.float(), emission.float(), single)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(clipped(mine), clipped(theirs), atol=0.1, rtol=0.05)
    for mine, theirs in zip(gradients, slopes, strict=True):
        assert mine.dtype == dtype
        torch.testing.assert_close(mine.float(), theirs, atol=0.1, rtol=0.1)


@pytest.mark.parametrize("kind", [Concatenated, TanhEmission, ProductEmission])
def test_under_autocast_results_are_in_fp32(kind):
    given = halved(brute.case(), torch.float32)
    layer, emission = parts(kind)
    expected, slopes = values(layer, emission, given)
    with torch.autocast("cpu", torch.bfloat16):
        found, gradients = values(layer, emission, given)
    assert all(each.dtype == torch.float32 and each.isfinite().all() for each in found)
    for mine, theirs in zip((*found, *gradients), (*expected, *slopes), strict=True):
        torch.testing.assert_close(clipped(mine), clipped(theirs), atol=0.1, rtol=0.05)


@pytest.mark.parametrize("scorer", ["dot", "general"])
def test_scores_do_not_overflow_in_fp16(scorer):
    layer = LatentAttention(64, 64, scorer).half()
    if scorer == "general":
        nn.init.eye_(layer.scorer.projection.weight)
    queries = torch.full((1, 1, 64), 40.0, dtype=torch.float16)
    memory = torch.stack([queries[0], -queries[0], queries[0] * 1.01], 1)
    found = layer(queries, memory)  # scores of 64 · 40² = 102,400; fp16 ends at 65,504
    assert found.log_probs.isfinite().all()
    assert found.probs.argmax() == 2


def test_the_layer_compiles_to_one_graph():
    # In a separate process, because the shape checks of the tests cannot be compiled.
    script = Path(__file__).with_name("compiled.py")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
