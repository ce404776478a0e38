"""Questions about images: the methods of Deng et al. (2018), table 1, on scenes and on easy-VQA.

    python benchmarks/vqa.py --data scenes --seeds 1 2 3 --out runs/vqa

Each method and seed is what `pyro-align fit` does with one thread and the recipe `scenes` or
`easy-vqa`; the weights with the best validation likelihood are evaluated on the test questions. The
time of a training step, forward and backward on one batch, is the median CPU time of 60 steps of an
untrained model, as a multiple of that of soft attention, measured in turn.

Every result is a line of results/vqa.csv. What is in this file with the present recipe is not
fitted again; the table in results/vqa.md holds all of it.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from common import RESULTS, machine, markdown, save

FILE = RESULTS / "vqa.csv"
RECIPES = Path(__file__).parent.parent / "recipes"
METHODS = {
    "soft": ("soft", "none", "likelihood"),
    "exact": ("categorical", "none", "exact"),
    "hard, enumerated": ("categorical", "prior", "enumerated"),
    "hard, sampled": ("categorical", "prior", "score-function"),
    "variational, enumerated": ("categorical", "amortized", "enumerated"),
    "variational, sampled": ("categorical", "amortized", "score-function"),
    "variational, enumerated, corrected prior": ("categorical", "corrected-prior", "enumerated"),
    "variational, sampled, corrected prior": ("categorical", "corrected-prior", "score-function"),
    "RWS": ("categorical", "amortized", "rws"),
    "VIMCO": ("categorical", "amortized", "vimco"),
}
"""Model, guide and objective."""

MEASURES = {
    "NLL": "nll",
    "accuracy": "answer_accuracy",
    "gold mass of the prior": "gold_mass_prior",
    "gold mass of the posterior": "gold_mass_posterior",
    "gold region of the prior": "gold_accuracy_prior",
    "gold region of the posterior": "gold_accuracy_posterior",
}
"""Columns of the table, with their names in results.json."""

KEYS = ["data", "method", "seed", "settings"]


def chosen(method: str, settings: list[str]) -> list[str]:
    """Return the settings of a method."""
    names = zip(("model", "guide", "objective"), METHODS[method], strict=True)
    return [*(f"{kind}.name={name}" for kind, name in names), *settings]


def digest(data: str, settings: list[str]) -> str:
    """Return a digest of the recipe and of further settings."""
    text = (RECIPES / f"{data}.toml").read_text(encoding="utf-8")
    return hashlib.sha256(repr((text, sorted(settings))).encode()).hexdigest()[:12]


def measured() -> pd.DataFrame:
    """Read the file of results."""
    columns = [*KEYS, *MEASURES, "CPU seconds"]
    return pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=columns)


def fit(data: str, method: str, seed: int, arguments: argparse.Namespace) -> None:
    """Fit one run, and append its line to the file of results."""
    from pyro_align.config import Config, config_file
    from pyro_align.runs import Run

    folder = arguments.out / f"{data}-{method.replace(', ', '-')}-{seed}"
    settings = [*chosen(method, arguments.settings), f"seed={seed}"]
    config = Config.load(config_file(RECIPES / f"{data}.toml"), settings)
    run = Run.create(config, folder, overwrite=True, echo=lambda line: None)
    began = time.process_time()
    run.fit(echo=lambda line: None, quiet=True)
    seconds = time.process_time() - began
    facts = run.evaluate().to_dict()
    line = {
        **dict(zip(KEYS, (data, method, seed, digest(data, arguments.settings)), strict=True)),
        **{label: facts.get(name) for label, name in MEASURES.items()},
        "CPU seconds": round(seconds, 1),
    }
    pd.DataFrame([line]).to_csv(FILE, mode="a", header=not FILE.exists(), index=False)
    print(*line.values(), file=sys.stderr, flush=True)


def step_times(data: str, settings: list[str], repeats: int = 60) -> dict[str, float]:
    """Measure the time of a step of each method, as a multiple of that of soft attention."""
    import pyro

    from pyro_align.config import Config, config_file
    from pyro_align.runs import Run

    found: dict[str, list[float]] = {method: [] for method in METHODS}
    with tempfile.TemporaryDirectory() as folder, pyro.settings.context(module_local_params=True):
        runs = {}
        for method in METHODS:
            config = Config.load(config_file(RECIPES / f"{data}.toml"), chosen(method, settings))
            path = Path(folder) / method
            runs[method] = run = Run.create(config, path, echo=lambda line: None)
            run.objective(run.model, run.guide)
        examples = run.task.examples("train")
        batch = examples.batch(np.arange(run.config.training.batch_tokens))
        for _, (method, run) in product(range(repeats + 3), runs.items()):
            began = time.process_time()
            run.objective.terms(run.model, run.guide, batch.with_new_noise()).loss.backward()
            found[method].append(time.process_time() - began)
    medians = {method: statistics.median(times[3:]) for method, times in found.items()}
    return {method: median / medians["soft"] for method, median in medians.items()}


def report(rows: pd.DataFrame, steps: dict[str, dict[str, float]]) -> str:
    """Return a table with means over seeds, with the standard deviation of the NLL."""
    shown = []
    for (data, method), group in rows.groupby(["data", "method"], sort=False):
        spread = f" ± {group['NLL'].std():.3f}" if len(group) > 1 else ""
        means = {
            label: "–" if group[label].isna().all() else f"{group[label].mean():.3f}"
            for label in MEASURES
        }
        means["NLL"] += spread
        step = f"{steps[data][method]:.2f}" if data in steps else "–"
        own = {"data": data, "method": method, "seeds": len(group)}
        shown.append(
            {**own, **means, "step": step, "CPU seconds": f"{group['CPU seconds'].mean():.0f}"}
        )
    return markdown(pd.DataFrame(shown))


def main() -> None:
    """Fit all runs that are not in the file of results, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", nargs="+", default=["scenes"], choices=("scenes", "easy-vqa"))
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--out", type=Path, default=Path("runs/vqa"))
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    done = set(measured()[KEYS].itertuples(index=False, name=None))
    for seed, data, method in product(arguments.seeds, arguments.data, arguments.methods):
        if (data, method, seed, digest(data, arguments.settings)) not in done:
            fit(data, method, seed, arguments)
    rows = measured()
    digests = rows["data"].map(lambda data: digest(data, arguments.settings))
    rows = rows[rows["settings"] == digests]
    rows = rows.sort_values("method", key=lambda names: names.map([*METHODS].index), kind="stable")
    steps = {data: step_times(data, arguments.settings) for data in arguments.data}
    notes = (
        "NLL in nats per question, with regions summed out (±: standard deviation over seeds); of "
        "soft attention the prior is the attention. Step: CPU time of forward and backward pass as "
        "a multiple of that of soft attention."
    )
    text = f"{report(rows, steps)}\n\n{notes}\n\n{machine('one thread')}"
    save("vqa", "Questions about images", text)
    print(text)


if __name__ == "__main__":
    main()
