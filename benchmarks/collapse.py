"""Remedies against posterior collapse, on the English captions of Multi30k.

    PYRO_ALIGN_DATA=… python benchmarks/collapse.py --out runs/collapse

Each method and seed is a `pyro-align fit` in a separate process with one thread, with the sizes of
collapse.toml. Captions are in lower case, with punctuation as separate words. The weights after the
last epoch are evaluated on the first captions of the test set of 2016, with 500 importance samples
each.

Every result is a line of results/collapse.csv, with a digest of all settings. What is in this file
is not fitted again: an interrupted command continues where it stopped, and results/collapse.md
holds all that was measured with the present settings, also by earlier commands.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from common import RESULTS, machine, markdown, save

FILE = RESULTS / "collapse.csv"
SIZES = Path(__file__).with_name("collapse.toml")
FREE_BITS = "objective.free_bits_per_dimension=0.27"
ANNEALED = ("training.kl_schedule=linear", "training.kl_steps=800")
VAE = ("sentence-vae", "gaussian", "elbo")
METHODS = {
    "language model": ("language-model", "none", "likelihood"),
    "free bits": (*VAE, FREE_BITS),
    "bag of words": (*VAE, *ANNEALED, "model.bag_of_words=1"),
    "whitened": (
        *("sentence-vae", "whitened", "elbo"),
        "objective.free_bits_per_dimension=10",  # so that the divergence has no gradient
    ),
    "plain": VAE,
    "annealed": (*VAE, *ANNEALED),
    "free bits, skip": (*VAE, FREE_BITS, "network.skip=true"),
    "cyclical": (*VAE, "training.kl_schedule=cyclical", "training.kl_steps=400"),
    "word dropout": (*VAE, *ANNEALED, "network.word_dropout=0.4"),
    "von Mises–Fisher": ("spherical-vae", "von-mises-fisher", "elbo", "guide.concentration=25"),
    "dilated": (*VAE, *ANNEALED, "network.decoder=convolutional", "network.layers=2"),
    "lagging": (*VAE, "training.lagging=true"),
}
"""Model, guide, objective and further settings."""

PARTS = {"train": ("train", None), "valid": ("val", 250), "test": ("test_2016_flickr", 250)}
"""File and number of captions of each part; None for all."""

MEASURES = ("NLL", "NLL error", "ELBO", "KL", "MI", "active", "BLEU")
"""Columns of the table that are measured on the test captions."""

COLUMNS = ("method", "seed", "settings", *MEASURES, "seconds")
"""Columns of the file of results; the first three identify a line."""


def digest(method: str) -> str:
    """Return a digest of all settings of a method."""
    given = (SIZES.read_text(encoding="utf-8"), METHODS[method], PARTS)
    return hashlib.sha256(repr(given).encode()).hexdigest()[:12]


def captions(folder: Path) -> dict[str, Path]:
    """Write the captions of each part as words separated by spaces, and return the files."""
    source = Path(os.environ["PYRO_ALIGN_DATA"]) / "multi30k"
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for part, (name, count) in PARTS.items():
        with gzip.open(source / f"{name}.en.gz", "rt", encoding="utf-8") as lines:
            words = (re.findall(r"\w+(?:['’-]\w+)*|[^\w\s]", line.lower()) for line in lines)
            text = "".join(" ".join(each) + "\n" for each in itertools.islice(words, count))
        files[part] = folder / f"{part}.txt"
        files[part].write_text(text, encoding="utf-8")
    return files


def fit(method: str, seed: int, out: Path) -> dict[str, object]:
    """Fit one run, and return a line of the file of results."""
    folder = out / f"{method.replace(' ', '-').replace(',', '')}-{seed}"
    model, guide, objective, *settings = METHODS[method]
    files = captions(out / "text")
    command = [
        *(sys.executable, "-m", "pyro_align", "fit", "--config", str(SIZES), "--overwrite"),
        *("--model", model, "--guide", guide, "--objective", objective),
        *(word for part, file in files.items() for word in (f"--{part}", str(file))),
        *("--device", "cpu", "--out", str(folder)),
        *(word for setting in (f"seed={seed}", *settings) for word in ("--set", setting)),
    ]
    log = folder.with_suffix(".log")
    with log.open("w") as file:
        threads = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.run(command, stdout=file, stderr=file, env=threads, check=False)
    if process.returncode:
        sys.exit(f"{folder.name} failed:\n{log.read_text()}")
    return line_of(method, seed, json.loads((folder / "results.json").read_text()))


def line_of(method: str, seed: int, results: dict[str, Any]) -> dict[str, object]:
    """Return a line of the file of results."""
    means = results["per_sentence"]
    return {
        "method": method,
        "seed": seed,
        "settings": digest(method),
        "NLL": round(means["nll"], 4),
        "NLL error": round(means["nll_error"], 4),
        "ELBO": means["elbo"],
        "KL": means["divergences"].get("sentence"),
        "MI": results.get("mutual_information"),
        "active": results.get("active_units"),
        "BLEU": results.get("reconstruction_bleu"),
        "seconds": round(results["fit_seconds"]),
    }


def measured() -> pd.DataFrame:
    """Read the lines of the file of results that have the present settings."""
    if not FILE.exists():
        return pd.DataFrame(columns=list(COLUMNS))
    rows = pd.read_csv(FILE)
    rows = rows[rows["method"].isin(METHODS)]
    return rows[rows["settings"] == rows["method"].map(digest)]


def report(rows: pd.DataFrame) -> str:
    """Return a table of means over seeds, with their standard deviation."""
    lines = []
    for method in (name for name in METHODS if name in set(rows["method"])):
        of_method = rows[rows["method"] == method]
        line: dict[str, object] = {"method": method, "seeds": len(of_method)}
        for name in (*MEASURES, "seconds"):
            values = of_method[name].astype(float)
            spread = f" ± {values.std():.2f}" if len(values) > 1 and name != "seconds" else ""
            digits = 0 if name == "seconds" else 1 if name == "active" else 2
            line[name] = "–" if values.isna().any() else f"{values.mean():.{digits}f}{spread}"
        lines.append(line)
    return markdown(pd.DataFrame(lines))


def main() -> None:
    """Fit all runs that are not in the file of results, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--out", type=Path, default=Path("runs/collapse"))
    arguments = parser.parse_args()
    done = set(measured()[["method", "seed"]].itertuples(index=False, name=None))
    for seed, method in itertools.product(arguments.seeds, arguments.methods):
        if (method, seed) not in done:
            line = pd.DataFrame([fit(method, seed, arguments.out)], columns=list(COLUMNS))
            line.to_csv(FILE, mode="a", header=not FILE.exists(), index=False)
            print(*line.iloc[0], file=sys.stderr, flush=True)
    note = (
        "Nats per caption, on 250 test captions; NLL by importance sampling with 500 samples, NLL "
        "error: its standard error over captions, which are the same for all methods. MI: mutual "
        "information of caption and latent variable under the guide, at most log 250 = 5.5. "
        "active: dimensions (of 16) whose posterior mean has a variance above 0.01. "
        "BLEU: of captions decoded from their posterior mean. Mean ± standard deviation over "
        "seeds. Seconds of training on a busy machine mean little."
    )
    text = f"{machine('one thread per process')}\n\n{note}\n\n{report(measured())}"
    print(text)
    save("collapse", "Remedies against posterior collapse", text)


if __name__ == "__main__":
    main()
