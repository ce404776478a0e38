"""Pronunciations of SIGMORPHON 2020: languages by methods, with the sizes of the recipe g2p.

    PYRO_ALIGN_DATA=… python benchmarks/g2p.py --languages ice kor --jobs 2 --out runs/g2p

Each language, method and seed is a `pyro-align fit` in a separate process with one thread, all with
the same networks, batches and epochs; the weights with the best perplexity on the development words
are evaluated. Word and phoneme error rates are those of `pyro-align evaluate` on the test words, or
with `--part dev` on the development words, with beam 5. A finished run is not fitted again.

PYRO_ALIGN_DATA/g2p has the folders train, dev and test with files such as train/ice_train.tsv, see
github.com/sigmorphon/2020 (task 1).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from common import machine, markdown, save

RECIPE = Path(__file__).parent.parent / "recipes" / "g2p.toml"
LANGUAGES = (
    *("ady", "arm", "bul", "dut", "fre", "geo", "gre", "hin"),
    *("hun", "ice", "jpn", "kor", "lit", "rum", "vie"),
)
METHODS = {
    "soft": ("soft", "none", "likelihood"),
    "hard": ("categorical", "prior", "enumerated"),
    "variational": ("categorical", "corrected-prior", "score-function"),
    "exact": ("categorical", "none", "exact"),
    "first-order": ("markov", "none", "exact"),
    "monotonic": ("markov", "none", "exact", "model.monotonic=true"),
}
"""Model, guide, objective and further settings."""


def fit(language: str, method: str, seed: int, arguments: argparse.Namespace) -> dict[str, object]:
    """Return a row of the table."""
    data = Path(os.environ["PYRO_ALIGN_DATA"]) / "g2p"
    folder = arguments.out / f"{language}-{method}-{seed}"
    files = {part: data / part / f"{language}_{part}.tsv" for part in ("train", "dev", "test")}
    model, guide, objective, *settings = METHODS[method]
    settings = [f"seed={seed}", *settings, *arguments.settings]
    if not (folder / "results.json").exists():
        command = [
            *(sys.executable, "-m", "pyro_align", "fit", "--config", str(RECIPE), "--overwrite"),
            *("--model", model, "--guide", guide, "--objective", objective),
            *("--train", str(files["train"]), "--valid", str(files["dev"])),
            *("--test", str(files[arguments.part]), "--device", "cpu", "--out", str(folder)),
            *(word for setting in settings for word in ("--set", setting)),
        ]
        log = folder.with_suffix(".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as file:
            threads = {**os.environ, "OMP_NUM_THREADS": "1"}
            process = subprocess.run(command, stdout=file, stderr=file, env=threads, check=False)
        if process.returncode:
            sys.exit(f"{folder.name} failed:\n{log.read_text()}")
        print(folder.name, file=sys.stderr, flush=True)
    results = json.loads((folder / "results.json").read_text())
    return {
        "language": language,
        "method": method,
        "seed": seed,
        "WER": results["word_error_rate"],
        "PER": results["symbol_error_rate"],
        "perplexity": results["perplexity"],
        "seconds": results["fit_seconds"],
    }


def main() -> None:
    """Fit all runs and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--languages", nargs="+", default=LANGUAGES, choices=LANGUAGES)
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--part", choices=("dev", "test"), default="test")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/g2p"))
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--dry-run", action="store_true", help="do not write results/g2p.md")
    arguments = parser.parse_args()
    chosen = itertools.product(arguments.languages, arguments.methods, arguments.seeds)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        rows = list(pool.map(lambda one: fit(*one, arguments), chosen))
    table = pd.DataFrame(rows)
    means = table.groupby(["language", "method"], sort=False).mean().reset_index()
    macro = means.groupby("method", sort=False).mean(numeric_only=True).reset_index()
    shown = pd.concat([means, macro.assign(language="macro average")]).drop(columns="seed")
    for name, digits in (("WER", 2), ("PER", 2), ("perplexity", 3), ("seconds", 0)):
        shown[name] = [f"{value:.{digits}f}" for value in shown[name]]
    seeds = f"{len(arguments.seeds)} seed{'s' * (len(arguments.seeds) > 1)}"
    note = (
        f"Means over {seeds}; {arguments.part} words; error rates in percent, perplexity per "
        f"phoneme, seconds of training in {arguments.jobs} processes at once."
    )
    report = f"{machine('one thread per process')}\n\n{note}\n\n{markdown(shown)}"
    print(report)
    if not arguments.dry_run:
        save("g2p", "Grapheme-to-phoneme conversion", report)


if __name__ == "__main__":
    main()
