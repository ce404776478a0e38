"""Quality at equal time: validation perplexity on Multi30k German–English against seconds.

    PYRO_ALIGN_DATA=… python benchmarks/quality_at_equal_time.py --seconds 1200 --save

Each method is a `pyro-align fit` in a separate process with one thread, all with the same encoder,
decoder, batches and seed; it stops after the first epoch that ends after --seconds of training, or
after --epochs. Perplexity is exact, with alignments summed out. Time is training time, the column
`train/seconds` of `metrics.csv`. With --jobs 1 there are no parallel fits.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from common import RESULTS, machine, markdown, save
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

METHODS = {
    "soft attention, tanh": ("soft", "none", "likelihood", "tanh"),
    "exact marginal, tanh": ("categorical", "none", "exact", "tanh"),
    "exact marginal, product": ("categorical", "none", "exact", "product"),
    "variational, enumerated, product": ("categorical", "amortized", "enumerated", "product"),
}
PRODUCT = "exact marginal, product"
RECIPE = Path(__file__).parent.parent / "recipes" / "multi30k-de-en.toml"
NAME = "quality_at_equal_time"
POINTS = 6
"""Number of columns of the table: the time budget, half of it, and so on."""

Curve = list[tuple[float, float]]
"""Seconds of training and validation perplexity of every epoch."""


def curve(metrics: Path) -> Curve:
    """Read the points written so far."""
    points: Curve = []
    seconds = 0.0
    if metrics.exists():
        with metrics.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["train/seconds"]:
                    seconds = float(row["train/seconds"])
                # The last row may be incomplete.
                if row["valid/perplexity"] and row["valid/kl"]:
                    points.append((seconds, float(row["valid/perplexity"])))
    return points


def fit(method: str, folder: Path, options: argparse.Namespace) -> Curve:
    """Return the curve of a method; an existing run is resumed."""
    metrics = folder / "metrics.csv"
    command = [sys.executable, "-m", "pyro_align", "fit"]
    if (folder / "run.json").exists():
        command += ["--resume", str(folder)]
    else:
        model, guide, objective, emission = METHODS[method]
        command += ["--config", str(RECIPE), "--out", str(folder)]
        for setting in (
            f'model.name="{model}"',
            f'guide.name="{guide}"',
            f'objective.name="{objective}"',
            f'network.emission="{emission}"',
            "training.schedule=plateau",
            "training.accelerator=cpu",
            f"training.epochs={options.epochs}",
            *options.extra,
        ):
            command += ["--set", setting]
    log = folder.with_suffix(".log")
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, env={**os.environ, "OMP_NUM_THREADS": "1"}
        )
        while process.poll() is None:
            time.sleep(1)
            points = curve(metrics)
            if len(points) >= options.epochs or (points and points[-1][0] >= options.seconds):
                process.kill()
                process.wait()
                break
        else:
            if process.returncode:
                sys.exit(f"{method} failed:\n{log.read_text()}")
    points = curve(metrics)
    print(f"{method}: {points[-1][1]:.2f} after {points[-1][0]:.0f} s", file=sys.stderr, flush=True)
    return points


def best(points: Curve, seconds: float) -> float:
    """Return the best perplexity within a time; infinite if no epoch ended within it."""
    return min((value for spent, value in points if spent <= seconds), default=math.inf)


def table(curves: dict[str, Curve], budget: float) -> pd.DataFrame:
    """Return the best perplexity so far at doubling times."""
    moments = [budget / 2**step for step in reversed(range(POINTS))]
    rows = []
    for method, points in curves.items():
        row = {
            "method": method,
            "epochs": len(points),
            "s/epoch": f"{points[-1][0] / len(points):.0f}",
        }
        for moment in moments:
            found = best(points, moment)
            row[f"{moment:.0f} s"] = f"{found:.2f}" if math.isfinite(found) else "–"
        row["final"] = f"{min(value for _, value in points):.2f}"
        rows.append(row)
    return pd.DataFrame(rows)


def lead(curves: dict[str, Curve], method: str) -> str:
    """Describe how often, and until when, other methods were ahead of a method."""
    sentences = []
    mine = curves.get(method, [])
    for other, theirs in curves.items():
        if other == method or not mine:
            continue
        end = min(mine[-1][0], theirs[-1][0])
        moments = sorted(seconds for seconds, _ in mine + theirs if seconds <= end)
        behind = [t for t in moments if best(theirs, t) < best(mine, t)]
        sentences.append(
            f"{other!r}: {len(behind)} of {len(moments)}"
            + (f", for the last time at {behind[-1]:.0f} s" if behind else "")
        )
    if not sentences:
        return ""
    return (
        f"Times at the end of an epoch of either method at which {method!r} was behind:\n\n"
        + "\n".join(f"- {sentence}" for sentence in sentences)
    )


def plot(curves: dict[str, Curve], path: Path) -> None:
    """Plot the curves with logarithmic axes."""
    with mpl.rc_context({"svg.hashsalt": NAME, "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        for method, points in curves.items():
            axes.plot(*zip(*points, strict=True), marker=".", label=method)
        axes.set(
            xscale="log",
            yscale="log",
            xlabel="seconds of training",
            ylabel="validation perplexity per target token",
        )
        for axis, labelled in ((axes.xaxis, (1, 2, 5)), (axes.yaxis, range(1, 10))):
            axis.set_major_locator(LogLocator(subs=labelled))
            axis.set_major_formatter(ScalarFormatter())
            axis.set_minor_formatter(NullFormatter())
        axes.grid(True, which="both", alpha=0.3)
        axes.legend()
        figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--seconds", type=float, default=1200, help="seconds of training per method"
    )
    parser.add_argument("--epochs", type=int, default=100, help="maximum number of epochs")
    parser.add_argument("--jobs", type=int, default=1, help="number of parallel fits")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--set", dest="extra", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, help="keep the runs here, and resume existing ones")
    parser.add_argument("--save", action="store_true", help=f"write results/{NAME}.md and .svg")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(options.jobs) as pool:
        out = options.out or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        jobs = {
            method: pool.submit(fit, method, out / f"{list(METHODS).index(method):02d}", options)
            for method in options.methods
        }
        curves = {method: job.result() for method, job in jobs.items()}
    budget = min(options.seconds, max(points[-1][0] for points in curves.values()))
    parts = [markdown(table(curves, budget)), lead(curves, PRODUCT)]
    if options.save:
        RESULTS.mkdir(exist_ok=True)
        plot(curves, RESULTS / f"{NAME}.svg")
        parts.append(f"![validation perplexity against seconds of training]({NAME}.svg)")
    parts.append(machine(f"one thread per method, {options.jobs} at a time"))
    report = "\n\n".join(part for part in parts if part)
    print(report)
    if options.save:
        save(NAME, "Quality at equal time", report)


if __name__ == "__main__":
    main()
