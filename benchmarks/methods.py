"""All methods on Multi30k German–English with the same sizes and steps: the paper's table.

    PYRO_ALIGN_DATA=… python benchmarks/methods.py --epochs 8 --jobs 2

Each method is a `pyro-align fit` in a separate process with one thread, all with the same networks,
batches and seed. Perplexity is exact (alignments summed out); it is reported on the validation text
by epoch and on test_2016_flickr at the end, with BLEU (beam 5), divergences and entropies (nats per
target token). The gap is KL(q ‖ exact posterior).

The time of a step is measured separately: in one process with one thread, the methods take turns on
the same batches, and the ratio of the medians to soft attention is reported.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from common import machine, markdown, save

METHODS = {
    "soft attention": ("soft", "none", "likelihood"),
    "exact marginal": ("categorical", "none", "exact"),
    "exact marginal, with guide": ("categorical", "amortized", "exact"),
    "hard attention, enumerated": ("categorical", "prior", "enumerated"),
    "hard attention, sampled": ("categorical", "prior", "score-function"),
    "variational, enumerated": ("categorical", "amortized", "enumerated"),
    "variational, sampled": ("categorical", "amortized", "score-function"),
    "variational, sampled, corrected prior": ("categorical", "corrected-prior", "score-function"),
    "variational, RLOO, K = 4": (
        "categorical",
        "amortized",
        "score-function",
        "objective.baseline=leave-one-out",
        "objective.samples=4",
    ),
    "variational, relaxed": ("dirichlet", "amortized-dirichlet", "relaxed"),
    "reweighted wake-sleep, K = 5": ("categorical", "amortized", "rws", "objective.samples=5"),
    "importance-weighted, K = 5": (
        "categorical",
        "amortized",
        "importance-weighted",
        "objective.samples=5",
    ),
    "VIMCO, K = 5": ("categorical", "amortized", "vimco", "objective.samples=5"),
    "Gumbel-softmax": ("categorical", "gumbel", "gumbel-softmax"),
}
READING_EMBEDDINGS = ("amortized", "amortized-dirichlet", "gumbel")
SETTINGS = (
    "vocabulary.size=2000",
    "network.embedding=128",
    "network.encoder_hidden=64",
    "network.decoder_hidden=128",
    "network.dropout=0.2",
    "training.batch_tokens=1500",
    "training.learning_rate=3e-3",
    "training.schedule=plateau",
    "training.accelerator=cpu",
)
RECIPE = Path(__file__).parent.parent / "recipes" / "multi30k-de-en.toml"


def settings(method: str, extra: list[str]) -> list[str]:
    model, guide, objective, *options = METHODS[method]
    return [
        f'model.name="{model}"',
        f'guide.name="{guide}"',
        f'objective.name="{objective}"',
        *([] if guide in ("none", "prior") else ["guide.hidden=64"]),
        # As in the paper, the guide uses the model's embeddings.
        *(["guide.share_embeddings=true"] if guide in READING_EMBEDDINGS else []),
        *options,
        *SETTINGS,
        *extra,
    ]


def fit(method: str, folder: Path, extra: list[str]) -> dict[str, object]:
    """Return a row of the table; a finished run is not fitted again."""
    if not (folder / "results.json").exists():
        command = [sys.executable, "-m", "pyro_align", "fit", "--config", str(RECIPE)]
        command += ["--out", str(folder), "--overwrite"]
        for setting in settings(method, extra):
            command += ["--set", setting]
        began = time.monotonic()
        log = folder.with_suffix(".log")
        with log.open("w") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
        if process.wait():
            sys.exit(f"{method} failed:\n{log.read_text()}")
        print(f"{method}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    metrics = pd.read_csv(folder / "metrics.csv")
    valid = metrics["valid/perplexity"].dropna()
    results = json.loads((folder / "results.json").read_text())

    def figure(name: str, digits: int) -> str:
        return "–" if results.get(name) is None else f"{results[name]:.{digits}f}"

    return {
        "method": method,
        "PPL": figure("perplexity", 2),
        "BLEU": figure("bleu", 2),
        "KL(q‖p)": figure("kl", 3),
        "gap": figure("gap", 3),
        "entropy of p": figure("prior_entropy", 2),
        "of the posterior": figure("posterior_entropy", 2),
        "tokens/s": f"{metrics['train/tokens_per_second'].median():.0f}",
        "validation PPL by epoch": " ".join(f"{x:.2f}" for x in valid),
        "signature": results["bleu_signature"],
    }


def step_times(rounds: int) -> dict[str, float]:
    """Measure the median time of a training step; methods take turns on the same batches."""
    import pyro
    import torch

    from pyro_align.config import Config
    from pyro_align.data import BatchLoader
    from pyro_align.runs import Run
    from pyro_align.training import buckets

    torch.set_num_threads(1)
    pyro.enable_validation(False)
    with tempfile.TemporaryDirectory() as scratch, pyro.settings.context(module_local_params=True):
        parts = {}
        for number, method in enumerate(METHODS):
            config = Config.load(RECIPE, settings(method, []))
            run = Run.create(config, Path(scratch) / str(number), echo=lambda line: None)
            loss = run.objective(run.model, run.guide)
            parts[method] = (loss, torch.optim.Adam(loss.parameters(), 1e-4))
        corpus = run.task.examples("train")
        loader = BatchLoader(corpus, buckets(config, corpus, shuffle=True), False)
        batches = list(itertools.islice(loader, rounds))
        times: dict[str, list[float]] = {method: [] for method in METHODS}
        for batch in batches:
            for method, (loss, optimizer) in parts.items():
                began = time.perf_counter()
                optimizer.zero_grad()
                (loss(batch) / batch.num_targets).backward()
                optimizer.step()
                times[method].append(time.perf_counter() - began)
    return {method: statistics.median(each) for method, each in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=30, help="timed steps per method")
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel fits")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--set", dest="extra", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--out", type=Path, help="keep the runs here; finished ones are not fitted again"
    )
    parser.add_argument("--save", action="store_true", help="write results/methods.md")
    options = parser.parse_args()

    times = step_times(options.rounds)
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(options.jobs) as pool:
        out = options.out or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        jobs = [
            pool.submit(
                fit,
                method,
                out / f"{list(METHODS).index(method):02d}",
                [f"training.epochs={options.epochs}", *options.extra],
            )
            for method in options.methods
        ]
        table = pd.DataFrame([job.result() for job in jobs])
    soft = times["soft attention"]
    ratios = [f"{times[method] / soft:.2f}" for method in table["method"]]
    table.insert(3, "step", ratios)
    signature = table.pop("signature")[0]
    report = (
        f"{markdown(table)}\n\n"
        f"BLEU {signature}; a step of soft attention takes {soft * 1e3:.0f} ms.\n\n"
        + machine(f"one thread per method, {options.jobs} at a time")
    )
    print(report)
    if options.save:
        save("methods", "Every method on Multi30k de→en", report)


if __name__ == "__main__":
    main()
