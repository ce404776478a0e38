"""Sums over all paths of a Markov chain of alignments: ways to compute evidence and gradient.

    python benchmarks/markov.py --save

A step is the log evidence of a batch and its gradient for the logits of the chain and the emission,
with S = T positions. All ways take turns on the same input, after their gradients have been
compared:

- *package*: `MarkovChain.log_evidence`, a loop over target positions in the log domain that
  slices its inputs once, with automatic differentiation;
- *indexed*: the same loop, with an index at each position, whose gradient has the size of all;
- *explicit*: an `autograd.Function` with the backward algorithm written out;
- *associative scan*: products of pairs of adjacent S×S matrices, in log T rounds;
- *compiled*: the loop by `torch.compile`, which first takes 8 to 35 s for each shape
  (with --compile).

*transitions* is the time to compute the transitions from attention and jump scores, with gradient,
by `Jumps` and the softmax of `MarkovChain`; it comes on top of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import torch
from common import machine, markdown, save
from torch import Tensor

from pyro_align.distributions import MarkovChain
from pyro_align.nn import Jumps

HIDDEN, WIDTH = 64, 5


def indexed(initial: Tensor, transition: Tensor, emission: Tensor) -> Tensor:
    total = initial + emission[:, 0]
    for t in range(1, emission.shape[1]):
        moved = (total.unsqueeze(-1) + transition[:, t - 1]).logsumexp(-2)
        total = moved + emission[:, t]
    return total.logsumexp(-1)


def sliced(initial: Tensor, transition: Tensor, emission: Tensor) -> Tensor:
    first, *rest = emission.unbind(1)
    total = initial + first
    for step, likelihood in zip(transition.unbind(1), rest, strict=True):
        total = (total.unsqueeze(-1) + step).logsumexp(-2) + likelihood
    return total.logsumexp(-1)


class Explicit(torch.autograd.Function):
    """The backward algorithm; the gradient is a pass forward with the posterior transitions."""

    @staticmethod
    def forward(ctx: Any, initial: Tensor, transition: Tensor, emission: Tensor) -> Tensor:
        later = torch.zeros_like(emission)
        ahead = emission[:, -1]
        for t in range(emission.shape[1] - 1, 0, -1):
            later[:, t - 1] = (transition[:, t - 1] + ahead.unsqueeze(-2)).logsumexp(-1)
            ahead = later[:, t - 1] + emission[:, t - 1]
        total = (initial + ahead).logsumexp(-1)
        ctx.save_for_backward(initial, transition, emission, later, total)
        return total

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, ...]:
        initial, transition, emission, later, total = ctx.saved_tensors
        ahead = emission + later
        marginal = (initial + ahead[:, 0] - total.unsqueeze(-1)).exp() * grad.unsqueeze(-1)
        pairs = transition + ahead[:, 1:].unsqueeze(-2)
        pairs = pairs.sub_(later[:, :-1].unsqueeze(-1)).exp_()
        marginals = [marginal]
        for step in pairs.unbind(1):
            marginals.append((marginals[-1].unsqueeze(-2) @ step).squeeze(-2))
        found = torch.stack(marginals, 1)
        return found[:, 0], pairs.mul_(found[:, :-1].unsqueeze(-1)), found


def scan(initial: Tensor, transition: Tensor, emission: Tensor) -> Tensor:
    steps = transition + emission[:, 1:].unsqueeze(-2)
    logs = steps.detach().amax((-1, -2))
    products = (steps - logs[..., None, None]).exp()
    while products.shape[1] > 1:
        even = products.shape[1] // 2 * 2
        rest = products[:, even:], logs[:, even:]
        products = products[:, 0:even:2] @ products[:, 1:even:2]
        scale = products.detach().amax((-1, -2))
        logs = logs[:, 0:even:2] + logs[:, 1:even:2] + scale.log()
        products = torch.cat([products / scale[..., None, None], rest[0]], 1)
        logs = torch.cat([logs, rest[1]], 1)
    first = initial + emission[:, 0]
    largest = first.detach().amax(-1, keepdim=True)
    last = ((first - largest).exp().unsqueeze(-2) @ products[:, 0]).sum((-1, -2))
    return last.log() + largest.squeeze(-1) + logs[:, 0]


def package(initial: Tensor, transition: Tensor, emission: Tensor) -> Tensor:
    """The recursion of the package, without the softmax of the logits that others lack."""
    chain = MarkovChain.__new__(MarkovChain)
    chain.initial, chain.transition, chain.mask = initial, transition, None
    return chain.log_evidence(emission).sum(-1)


WAYS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "package": package,
    "indexed": indexed,
    "explicit": Explicit.apply,
    "associative scan": scan,
}


def case(batch: int, size: int) -> list[Tensor]:
    """Log probabilities of the first position and of transitions, and an emission."""
    generator = torch.Generator().manual_seed(0)
    initial, transition, emission = (
        3 * torch.randn(batch, *shape, generator=generator)
        for shape in ((size,), (size - 1, size, size), (size, size))
    )
    inputs = [initial.log_softmax(-1), transition.log_softmax(-1), emission - 5.0]
    return [each.requires_grad_() for each in inputs]


def seconds(step: Callable[[], Any]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--compile", action="store_true", help="measure the compiled loop as well")
    parser.add_argument("--save", action="store_true", help="write results/markov.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.compile:
        WAYS["compiled"] = torch.compile(sliced, dynamic=False)
    rows = []
    for batch in (32, 128):
        for size in (10, 20, 40):
            inputs = case(batch, size)
            jumps = Jumps(HIDDEN, WIDTH)
            hidden, scores = torch.randn(batch, size, HIDDEN), inputs[2]
            direction = torch.randn(batch, size, 1 + size, size)

            def transitions(
                jumps: Jumps = jumps, at: Any = (hidden, scores), way: Tensor = direction
            ) -> Any:
                return torch.autograd.grad(jumps(*at).log_softmax(-1), jumps.parameters(), way)

            steps = {
                name: lambda way=way, given=inputs: torch.autograd.grad(way(*given).sum(), given)
                for name, way in WAYS.items()
            }
            expected = steps["package"]()
            for step in steps.values():
                for ours, theirs in zip(expected, step(), strict=True):
                    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
            steps["transitions"] = transitions
            times: dict[str, list[float]] = {name: [] for name in steps}
            for _ in range(options.rounds):
                for name, step in steps.items():
                    times[name].append(seconds(step))
            # The least time depends least on other load of the machine.
            least = {name: 1e3 * min(each) for name, each in times.items()}
            rows.append(
                {
                    "sentences": batch,
                    "S = T": size,
                    "package, ms": f"{least['package']:.1f}",
                    **{
                        f"{name} / package": f"{least[name] / least['package']:.2f}"
                        for name in steps
                        if name != "package"
                    },
                }
            )
            print(*rows[-1].items(), flush=True)
    report = f"{markdown(pd.DataFrame(rows))}\n\n{machine('one thread')}"
    print(report)
    if options.save:
        save("markov", "Sums over all paths of a Markov chain", report)


if __name__ == "__main__":
    main()
