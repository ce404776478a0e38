"""Compile the layer with each kind of emission into one graph; compare with eager execution."""

from __future__ import annotations

import brute
import torch
from brute import MEMORY, QUERY, VOCABULARY, Concatenated
from torch import Tensor, nn

from pyro_align.nn import Alignment, LatentAttention, ProductEmission

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)  # rounding is far below the tolerance

layer = LatentAttention(QUERY, MEMORY, heads=2)
function = Concatenated(layer.query_size)
product = ProductEmission(MEMORY, layer.query_size, nn.Parameter(torch.randn(VOCABULARY, 4)))


def quantities(
    queries: Tensor, memory: Tensor, mask: Tensor, target: Tensor
) -> tuple[Alignment, Tensor, Tensor]:
    """What a training step computes."""
    alignment = layer(queries, memory, mask)
    marginals = (alignment.log_marginal(each, target, chunk=12) for each in (function, product))
    return alignment, *marginals


if __name__ == "__main__":
    given = brute.case(torch.float64)
    inputs = (given.queries, given.memory, given.mask, given.target)
    modules = (layer, function, product)
    parameters = [given.queries, *(each for module in modules for each in module.parameters())]
    results = []
    for step in (torch.compile(quantities, backend="eager", fullgraph=True), quantities):
        alignment, first, second = step(*inputs)
        slopes = torch.autograd.grad((first + second).sum(), parameters)
        results.append((alignment.log_probs, alignment.context, first, second, *slopes))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)
