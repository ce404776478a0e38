"""Latent attention written out position by position, in plain Python loops over tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyro_align.nn import LatentAttention

BATCH, TARGET, SOURCE, QUERY, MEMORY, VOCABULARY = 2, 3, 4, 4, 5, 6
LENGTHS = (4, 2)


@dataclass
class Case:
    """Inputs of a layer, the second sentence padded."""

    queries: Tensor
    memory: Tensor
    mask: Tensor
    target: Tensor


def case(dtype: torch.dtype = torch.float64) -> Case:
    """Random inputs that require gradients."""
    return Case(
        torch.randn(BATCH, TARGET, QUERY, dtype=dtype, requires_grad=True),
        torch.randn(BATCH, SOURCE, MEMORY, dtype=dtype, requires_grad=True),
        torch.arange(SOURCE) < torch.tensor(LENGTHS).unsqueeze(1),
        torch.randint(VOCABULARY, (BATCH, TARGET)),
    )


class Concatenated(nn.Module):
    """An emission as a user may write it: a network of query and context side by side."""

    def __init__(self, query: int = QUERY):
        super().__init__()
        self.calls: list[int] = []
        self.inner = nn.Linear(query + MEMORY, 7)
        self.outer = nn.Linear(7, VOCABULARY)

    def forward(self, queries: Tensor, contexts: Tensor) -> Tensor:
        """Logits; the number of rows is noted."""
        if not torch.compiler.is_compiling():
            self.calls.append(len(queries))
        logits: Tensor = self.outer(torch.tanh(self.inner(torch.cat([queries, contexts], -1))))
        return logits


def prior(layer: LatentAttention, given: Case, b: int, t: int) -> Tensor:
    """Softmax over the real positions of one query's scores."""
    scores = [
        layer.scorer(given.queries[b : b + 1, t : t + 1], layer.scorer.keys(row.view(1, 1, -1)))
        for row in given.memory[b, : LENGTHS[b]]
    ]
    return torch.stack([score.squeeze() for score in scores]).softmax(0)


def token_probs(logits: Tensor) -> Tensor:
    """Probabilities, without a log-sum-exp."""
    return logits.exp() / logits.exp().sum()


def marginal(layer: LatentAttention, emission: nn.Module, given: Case, b: int, t: int) -> Tensor:
    """``Σ_s p(s) p(y | s)`` for every token ``y``."""
    weights = prior(layer, given, b, t)
    total = torch.zeros(VOCABULARY, dtype=weights.dtype)
    for s in range(LENGTHS[b]):
        logits = emission(given.queries[b, t].view(1, -1), given.memory[b, s].view(1, -1))
        total = total + weights[s] * token_probs(logits[0])
    return total
