"""Device utilisation at the sizes of the paper, for soft attention and other objectives.

    python benchmarks/device.py --save

Encoder 2×512 and decoder 768, two layers each, embeddings 512, MLP attention 512, vocabulary
14,000, sentences of 25 tokens on both sides; a step is the loss, its gradient and Adam. Reports
target tokens per second, floating-point operations relative to the device's peak, peak memory, and
the largest batch that fits, found by doubling. Operations are those of the matrix products, by
formula. --peak sets the device's TFLOP/s in the given precision; the defaults are those of an H200
without sparsity.

--check first compares loss and gradient of every method with the CPU, at a tenth of the sizes in
fp32, and exits with 1 if they differ; then it measures only batches of 64 sentences.

Without a CUDA device all sizes are a tenth, the peak is that of a measured matrix product, and the
largest batch is not searched: the results then only show that the benchmark works.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import pandas as pd
import pyro
import steps
import torch
from common import machine, markdown, save
from torch import nn

from pyro_align.data.batch import EOS, TextBatch
from pyro_align.guides import NoGuide
from pyro_align.inference import EnumeratedELBO, ExactMarginal, ScoreFunctionELBO
from pyro_align.networks import NetworkConfig, SequenceToSequence

METHODS = {
    name: steps.METHODS[name]
    for name in (
        "soft, tanh",
        "exact, product",
        "exact with guide, product",
        "enumerated, tanh",
        "enumerated, product",
        "score function, tanh",
    )
}
LENGTH = 25
SIZES = {
    "embedding": 512,
    "encoder_hidden": 512,
    "decoder_hidden": 768,
    "attention_hidden": 512,
}
VOCABULARY = 14_000
PEAK = {"fp32": 67.0, "bf16": 989.0}
"""Peak TFLOP/s of an H200 without sparsity."""


class Step:
    """A model, a guide and an optimiser; calling it makes a step on a batch."""

    def __init__(self, method: str, device: torch.device, precision: str, scale: int):
        emission, model_kind, guide_kind, objective_kind = METHODS[method]
        torch.manual_seed(0)
        self.config = NetworkConfig(
            emission=emission,
            attention="mlp",
            encoder_layers=2,
            decoder_layers=2,
            lexical=False,
            tie_embeddings="none",
            dropout=0.0,
            **{name: size // scale for name, size in SIZES.items()},
        )
        self.vocabulary = VOCABULARY // scale
        networks = SequenceToSequence.from_config(self.config, self.vocabulary, self.vocabulary)
        model = model_kind(networks)
        options = {} if guide_kind is NoGuide else {"hidden": 512 // scale, "layers": 2}
        guide = guide_kind(model, **options)
        self.device, self.precision, self.emission = device, precision, emission
        self.programs = nn.ModuleList([model, guide]).to(device)
        self.objective = objective_kind()
        self.loss = self.objective(model, guide)
        self.optimizer = torch.optim.Adam(self.loss.parameters(), 3e-4)

    def batch(self, sentences: int) -> TextBatch:
        """Return a batch of random ids."""
        generator = torch.Generator().manual_seed(0)
        shape = (2, sentences, LENGTH)
        ids = torch.randint(EOS + 1, self.vocabulary, shape, generator=generator)
        return TextBatch.from_ids(*ids.tolist()).to(self.device)

    def __call__(self, batch: TextBatch) -> None:
        half = self.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            loss = self.loss(batch) / batch.num_targets
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def operations(self, tokens: int) -> float:
        """Floating-point operations of the matrix products of a step, by number of positions.

        Two per weight and position in the forward pass and four in the backward pass; embeddings
        are looked up. Products with the vocabulary depend on the objective.
        """
        networks = self.programs[0].networks
        tables = {networks.source_embedding.weight, networks.target_embedding.weight}
        output = networks.emission.weight
        weights = {each for each in self.loss.parameters() if each.dim() == 2} - tables - {output}
        dense = 6.0 * tokens * sum(each.numel() for each in weights)
        energies = 6.0 * tokens * LENGTH * self.config.attention_hidden
        vocabulary, feature = output.shape
        rows = tokens
        passes = 6.0
        if self.emission == "product":
            feature += networks.emission.value_size(feature)
        if isinstance(self.objective, EnumeratedELBO | ExactMarginal):
            if self.emission == "tanh":
                rows, passes = tokens * LENGTH, 8.0  # recomputed in the backward pass
            else:
                energies += 6.0 * tokens * LENGTH * vocabulary  # the normalisers of all pairs
        elif isinstance(self.objective, ScoreFunctionELBO):
            passes = 8.0  # the baseline has no backward pass
        return dense + energies + passes * rows * vocabulary * feature


def seconds(step: Step, batch: TextBatch, rounds: int) -> float:
    """Return the median time of a few steps, after two warm-up steps."""
    times = []
    for _ in range(rounds + 2):
        began = time.perf_counter()
        step(batch)
        if step.device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


def largest(step: Step) -> int:
    """Find the largest batch that fits into device memory, by doubling the number of sentences."""
    sentences = 64
    while True:
        try:
            step(step.batch(sentences))
            torch.cuda.synchronize()
        except torch.OutOfMemoryError:
            step.optimizer.zero_grad()
            torch.cuda.empty_cache()
            return sentences // 2
        sentences *= 2


def differences(method: str, device: torch.device, sentences: int = 16) -> tuple[float, float]:
    """Return relative differences of loss and gradient from the CPU, with the same samples."""
    found = []
    for place in (torch.device("cpu"), device):
        step = Step(method, place, "fp32", scale=10)
        torch.manual_seed(0)
        loss = step.loss(step.batch(sentences))
        loss.backward()
        slopes = [
            each.grad.cpu().flatten() for each in step.loss.parameters() if each.grad is not None
        ]
        found.append((loss.detach().cpu(), torch.cat(slopes)))
    (loss, slope), (other_loss, other_slope) = found
    return (
        ((loss - other_loss).abs() / loss.abs()).item(),
        ((slope - other_slope).norm() / slope.norm()).item(),
    )


def check(methods: list[str], device: torch.device) -> bool:
    """Return whether loss and gradient equal those of the CPU, for methods without sampling."""
    agree = True
    for method in methods:
        if METHODS[method][3] is ScoreFunctionELBO:
            continue  # devices sample different alignments
        loss, slope = differences(method, device)
        good = loss < 1e-4 and slope < 1e-3
        agree &= good
        verdict = "equal to the CPU" if good else "DIFFERENT from the CPU"
        print(f"{method}: {verdict}; loss {loss:.1e}, gradient {slope:.1e} off", file=sys.stderr)
    return agree


def product_peak(size: int = 1024) -> float:
    """Measure TFLOP/s of a matrix product in fp32 on this CPU, the best of several."""
    matrix = torch.randn(size, size)
    times = []
    for _ in range(10):
        began = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times) / 1e12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, nargs="+", help="sentences per batch")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1, help="threads on a CPU")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--peak", type=float, help="TFLOP/s, for both precisions")
    parser.add_argument("--check", action="store_true", help="compare with the CPU; fewer sizes")
    parser.add_argument("--save", action="store_true", help="write results/device.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    pyro.enable_validation(False)
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    scale = 1 if cuda else 10
    # LSTMs in bf16 are not supported on a CPU.
    peaks = PEAK if cuda else {"fp32": product_peak()}
    sizes = options.sentences or ([64] if options.check else [6, 64, 512] if cuda else [6, 64])
    rows = []
    agree = True
    if options.check:
        with pyro.settings.context(module_local_params=True):
            agree = check(options.methods, device)
    with pyro.settings.context(module_local_params=True):
        for precision, peak in peaks.items():
            for method in options.methods:
                step = Step(method, device, precision, scale)
                for sentences in sizes:
                    batch = step.batch(sentences)
                    if cuda:
                        torch.cuda.reset_peak_memory_stats()
                    taken = seconds(step, batch, options.rounds)
                    done = step.operations(batch.num_targets) / taken / 1e12
                    row = {
                        "method": method,
                        "precision": precision,
                        "sentences": sentences,
                        "tokens/s": f"{batch.num_targets / taken:,.0f}",
                        "TFLOP/s": f"{done:.3g}",
                        "of the peak": f"{done / (options.peak or peak):.0%}",
                    }
                    if cuda:
                        row["MiB"] = f"{torch.cuda.max_memory_allocated() / 2**20:,.0f}"
                    rows.append(row)
                    print(*row.values(), file=sys.stderr, flush=True)
                if cuda and not options.check:
                    rows[-1]["largest batch, sentences"] = f"{largest(step):,}"
                del step, batch
                if cuda:
                    torch.cuda.empty_cache()
    parts = [markdown(pd.DataFrame(rows))]
    if not cuda:
        parts.append("Measured on a CPU with a tenth of all sizes, without a CUDA device.")
    parts.append(machine(torch.cuda.get_device_name() if cuda else f"{options.threads} thread(s)"))
    report = "\n\n".join(parts)
    print(report)
    if options.save:
        save("device", "Device utilisation", report)
    sys.exit(not agree)


if __name__ == "__main__":
    main()
