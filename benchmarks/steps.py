"""Cost of a training step of each objective, relative to soft attention.

    python benchmarks/steps.py --save

Sentences have S source and S target tokens of a vocabulary of size V, with random ids; a batch has
about 1,300 target tokens (20,000 on a GPU). In one process the methods take turns on the same
batch; a step is the loss and its gradient. Time is the median of CPU seconds (on a GPU, seconds),
relative to soft attention with the same emission; with the sparse product, which makes soft
attention dearer, relative to soft attention with the product. Its candidates are random. A step of
more than --patience seconds is run once. Memory is what the forward pass
keeps for the backward pass on a CPU, and the allocator's peak on a GPU.

`stock` is `TraceEnum_ELBO` with the paper's emission as a plain `Categorical`, as in Pyro without
this package. It is skipped if it would keep more than --limit MiB.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyro
import pyro.distributions as dist
import torch
from common import machine, markdown, save
from pyro.infer import TraceEnum_ELBO, config_enumerate
from torch import Tensor, nn

from pyro_align.data.batch import EOS, TextBatch
from pyro_align.guides import AmortizedGuide, CorrectedPriorGuide, NoGuide
from pyro_align.inference import (
    EnumeratedELBO,
    ExactMarginal,
    Likelihood,
    ScoreFunctionELBO,
    TopKMarginal,
)
from pyro_align.inference.diagnostics import kept_bytes
from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.networks import NetworkConfig, SequenceToSequence
from pyro_align.nn import TanhEmission

METHODS: dict[str, tuple[str, Any, Any, Any]] = {
    "soft, tanh": ("tanh", SoftModel, NoGuide, Likelihood),
    "score function, tanh": ("tanh", CategoricalModel, AmortizedGuide, ScoreFunctionELBO),
    "score function, corrected prior, tanh": (
        "tanh",
        CategoricalModel,
        CorrectedPriorGuide,
        ScoreFunctionELBO,
    ),
    "top-5, tanh": ("tanh", CategoricalModel, NoGuide, TopKMarginal),
    "enumerated, tanh": ("tanh", CategoricalModel, AmortizedGuide, EnumeratedELBO),
    "exact, tanh": ("tanh", CategoricalModel, NoGuide, ExactMarginal),
    "stock enumeration, tanh": ("stock", CategoricalModel, NoGuide, TraceEnum_ELBO),
    "soft, product": ("product", SoftModel, NoGuide, Likelihood),
    "score function, corrected prior, product": (
        "product",
        CategoricalModel,
        CorrectedPriorGuide,
        ScoreFunctionELBO,
    ),
    "score function, product": ("product", CategoricalModel, AmortizedGuide, ScoreFunctionELBO),
    "enumerated, product": ("product", CategoricalModel, AmortizedGuide, EnumeratedELBO),
    "exact, product": ("product", CategoricalModel, NoGuide, ExactMarginal),
    "exact with guide, product": ("product", CategoricalModel, AmortizedGuide, ExactMarginal),
    "soft, sparse product": ("sparse-product", SoftModel, NoGuide, Likelihood),
    "score function, corrected prior, sparse product": (
        "sparse-product",
        CategoricalModel,
        CorrectedPriorGuide,
        ScoreFunctionELBO,
    ),
    "exact, sparse product": ("sparse-product", CategoricalModel, NoGuide, ExactMarginal),
}
SIZES = {"embedding": 128, "encoder_hidden": 128, "decoder_hidden": 128, "dropout": 0.0}
GUIDE = 64
CANDIDATES = 32


class StockEmission(TanhEmission):
    """The paper's emission as a Categorical with logits."""

    def forward(self, hidden: Tensor, context: Tensor) -> Any:
        """Compute all logits of every context."""
        features = torch.tanh(self.query(hidden) + context)
        return dist.Categorical(logits=features @ self.weight.T + self.bias)


def step_of(
    method: str, vocabulary: int, device: str
) -> tuple[Callable[[TextBatch], Tensor], list[Any]]:
    """Return a function from a batch to the loss, and the parameters."""
    emission, model_kind, guide_kind, objective_kind = METHODS[method]
    torch.manual_seed(0)
    kind = "tanh" if emission == "stock" else emission
    networks = SequenceToSequence.from_config(
        NetworkConfig(emission=kind, **SIZES),
        vocabulary,
        vocabulary,
        candidates=torch.randint(vocabulary, (vocabulary, CANDIDATES)),
    )
    if emission == "stock":
        networks.emission.__class__ = StockEmission
    model = model_kind(networks)
    guide = guide_kind(model, **({} if guide_kind is NoGuide else {"hidden": GUIDE}))
    programs = nn.ModuleList([model, guide]).to(device)
    if objective_kind is TraceEnum_ELBO:
        stock = TraceEnum_ELBO(max_plate_nesting=2)
        enumerated = config_enumerate(model)
        return lambda batch: stock.differentiable_loss(enumerated, guide, batch), [
            *programs.parameters()
        ]
    objective = objective_kind()
    return lambda batch: objective.differentiable_loss(model, guide, batch), [
        *programs.parameters()
    ]


def measure(length: int, vocabulary: int, options: argparse.Namespace) -> pd.DataFrame:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # Other processes on the machine change the time of a step, but hardly its CPU time.
    clock = time.process_time if device == "cpu" else time.perf_counter
    generator = torch.Generator().manual_seed(0)
    sentences = max(1, (20_000 if device == "cuda" else 1_300) // length)
    ids = torch.randint(EOS + 1, vocabulary, (2, sentences, length), generator=generator)
    batch = TextBatch.from_ids(*ids.tolist()).to(device)
    steps, kept, times = {}, {}, {}
    for method in options.methods:
        mebibytes = sentences * length * length * vocabulary * 4 * 2 / 2**20
        if METHODS[method][0] == "stock" and mebibytes > options.limit:
            continue
        step, parameters = step_of(method, vocabulary, device)
        steps[method], times[method] = step, []
        if device == "cpu":
            kept[method] = kept_bytes(lambda step=step: step(batch), parameters) / 2**20
        else:
            torch.cuda.reset_peak_memory_stats()
            step(batch).backward()
            kept[method] = torch.cuda.max_memory_allocated() / 2**20
    for round_ in range(options.rounds + 1):
        for method, step in steps.items():
            if times[method] and times[method][0] > options.patience:
                continue
            began = clock()
            step(batch).backward()
            if device == "cuda":
                torch.cuda.synchronize()
            seconds = clock() - began
            if round_ or seconds > options.patience:  # the first is a warm-up
                times[method].append(seconds)
    rows = []
    for method, each in times.items():
        base = "soft, product" if METHODS[method][0].endswith("product") else "soft, tanh"
        ratio = statistics.median(each) / statistics.median(times[base])
        rows.append((method, length, vocabulary, f"{ratio:.2f}x", f"{kept[method]:.0f}"))
        print(*rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows, columns=["method", "S", "V", "time", "MiB"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", nargs="+", type=int, default=[10, 20, 40, 80])
    parser.add_argument("--vocabularies", nargs="+", type=int, default=[4_000, 14_000, 32_000])
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=METHODS,
        default=[*METHODS],
        help="with their soft attention",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--patience", type=float, default=15, help="maximum seconds of a step that is repeated"
    )
    parser.add_argument("--limit", type=int, default=4_000, help="maximum MiB of stock enumeration")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="write results/steps.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pyro.enable_validation(False)
    with pyro.settings.context(module_local_params=True):
        table = pd.concat(
            measure(length, vocabulary, options)
            for vocabulary in options.vocabularies
            for length in options.lengths
        )
    wide = [
        table.pivot(index="method", columns=["V", "S"], values=value).reindex(options.methods)
        for value in ("time", "MiB")
    ]
    reports = []
    for title, each in zip(
        ("Time of a step, relative to soft attention", "MiB"), wide, strict=True
    ):
        each.columns = [f"V={v:,} S={s}" for v, s in each.columns]
        reports.append(f"## {title}\n\n{markdown(each.reset_index())}")
    report = "\n\n".join([*reports, machine(f"{options.threads} thread(s)")])
    print(report)
    if options.save:
        save("steps", "The cost of a step", report)


if __name__ == "__main__":
    main()
