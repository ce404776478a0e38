"""Pronunciations of SIGMORPHON 2020: languages by methods, with the sizes of the recipe g2p.

    PYRO_ALIGN_DATA=… python benchmarks/g2p.py --languages ice kor --jobs 2 --out runs/g2p

Each language, method and seed is a `pyro-align fit` in a separate process with one thread, all with
the same networks, batches and epochs; the weights with the best perplexity on the development words
are evaluated. Word and phoneme error rates are those of `pyro-align evaluate` on the test words, or
with `--part dev` on the development words, with beam 5.

Every result is a line of results/g2p.csv, with a digest of the recipe and all settings. What is in
this file is not fitted again: an interrupted command continues where it stopped, and the table in
results/g2p.md holds all that was measured with the present recipe, also by earlier commands.

PYRO_ALIGN_DATA/g2p has the folders train, dev and test with files such as train/ice_train.tsv, see
github.com/sigmorphon/2020 (task 1).
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pandas as pd
from common import RESULTS, machine, markdown, save

FILE = RESULTS / "g2p.csv"
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


ENSEMBLE = ", ensemble of "
"""Between the method and the number of members, in the method of an ensemble."""

COLUMNS = (
    *("language", "method", "seed", "part", "settings"),
    *("WER", "PER", "perplexity", "seconds"),
)
"""Columns of the file of results; the first five identify a line."""


def digest(method: str, settings: list[str]) -> str:
    """Return a digest of the recipe, the method and further settings."""
    recipe = tomllib.loads(RECIPE.read_text(encoding="utf-8"))
    given = json.dumps([recipe, METHODS[base(method)], sorted(settings)], sort_keys=True)
    return hashlib.sha256(given.encode()).hexdigest()[:12]


def base(method: str) -> str:
    """Return the method of the members of an ensemble, or of a single model."""
    return method.partition(ENSEMBLE)[0]


def measured() -> pd.DataFrame:
    """Read the file of results."""
    return pd.read_csv(FILE) if FILE.exists() else pd.DataFrame(columns=list(COLUMNS))


def program(*arguments: str, log: Path) -> str:
    """Run a command of pyro-align with one thread, and return its output."""
    command = [sys.executable, "-m", "pyro_align", *arguments]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as file:
        threads = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=file, text=True, env=threads, check=False
        )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text()}")
    return done.stdout


def fit(language: str, method: str, seed: int, arguments: argparse.Namespace) -> dict[str, object]:
    """Fit one run, and return a line of the file of results."""
    data = Path(os.environ["PYRO_ALIGN_DATA"]) / "g2p"
    folder = arguments.out / f"{language}-{method}-{seed}"
    files = {part: data / part / f"{language}_{part}.tsv" for part in ("train", "dev", "test")}
    model, guide, objective, *settings = METHODS[method]
    settings = [f"seed={seed}", *settings, *arguments.settings]
    program(
        *("fit", "--config", str(RECIPE), "--overwrite"),
        *("--model", model, "--guide", guide, "--objective", objective),
        *("--train", str(files["train"]), "--valid", str(files["dev"])),
        *("--test", str(files[arguments.part]), "--device", "cpu", "--out", str(folder)),
        *(word for setting in settings for word in ("--set", setting)),
        log=folder.with_suffix(".log"),
    )
    results = json.loads((folder / "results.json").read_text())
    return line_of(language, method, seed, results, arguments)


def together(
    language: str, method: str, seed: int, arguments: argparse.Namespace
) -> dict[str, object]:
    """Evaluate the ensemble of all seeds, and return a line of the file of results."""
    names = (f"{language}-{base(method)}-{member}" for member in arguments.seeds)
    first, *rest = (arguments.out / name for name in names)
    file = Path(os.environ["PYRO_ALIGN_DATA"]) / "g2p" / arguments.part
    found = program(
        *("evaluate", str(first), "--json", "--quiet"),
        *(word for other in rest for word in ("--with", str(other))),
        *("--test", str(file / f"{language}_{arguments.part}.tsv")),
        log=arguments.out / f"{language}-{method.replace(' ', '-')}.log",
    )
    results = json.loads(found)
    return line_of(language, method, seed, results, arguments)


def line_of(
    language: str,
    method: str,
    seed: int,
    results: dict[str, float],
    arguments: argparse.Namespace,
) -> dict[str, object]:
    """Return a line of the file of results."""
    return {
        "language": language,
        "method": method,
        "seed": seed,
        "part": arguments.part,
        "settings": digest(method, arguments.settings),
        "WER": round(results["word_error_rate"], 4),
        "PER": round(results["symbol_error_rate"], 4),
        "perplexity": round(results["perplexity"], 5),
        "seconds": round(results.get("fit_seconds", 0)),
    }


def measure(
    function: Callable[..., dict[str, object]],
    wanted: list[tuple[str, str, int]],
    arguments: argparse.Namespace,
) -> None:
    """Append a line to the file of results for each language, method and seed that is not in it."""
    done = set(measured()[list(COLUMNS[:5])].itertuples(index=False, name=None))
    missing = [
        (language, method, seed)
        for language, method, seed in wanted
        if (language, method, seed, arguments.part, digest(method, arguments.settings)) not in done
    ]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for one in as_completed([pool.submit(function, *each, arguments) for each in missing]):
            line = pd.DataFrame([one.result()], columns=list(COLUMNS))
            line.to_csv(FILE, mode="a", header=not FILE.exists(), index=False)
            print(*line.iloc[0], file=sys.stderr, flush=True)


def report(rows: pd.DataFrame) -> str:
    """Return a table with means over seeds, and their means over languages."""
    groups = rows.groupby(["method", "language"])
    means = groups[["WER", "PER", "perplexity", "seconds"]].mean()
    means.insert(0, "fits", groups.size())
    shown = []
    known = sorted(set(rows["method"]), key=lambda name: [*METHODS].index(base(name)))
    for method in known:
        of_method = means.loc[method].sort_index()
        macro = of_method.mean().to_frame().T
        macro["fits"] = of_method["fits"].sum()
        macro.index = [f"**macro average of {len(of_method)}**"]
        table = pd.concat([macro, of_method])
        table.insert(0, "method", method)
        shown.append(table.rename_axis("language").reset_index())
    table = pd.concat(shown)
    for name, digits in (("fits", 0), ("WER", 2), ("PER", 2), ("perplexity", 3), ("seconds", 0)):
        table[name] = [f"{value:.{digits}f}" for value in table[name]]
    return markdown(table)


def main() -> None:
    """Fit all runs that are not in the file of results, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--languages", nargs="+", default=LANGUAGES, choices=LANGUAGES)
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--part", choices=("dev", "test"), default="test")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/g2p"))
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--ensemble", action="store_true", help="also all seeds together")
    arguments = parser.parse_args()
    singles = itertools.product(arguments.seeds, arguments.methods, arguments.languages)
    measure(fit, [(language, method, seed) for seed, method, language in singles], arguments)
    if arguments.ensemble:
        size = f"{ENSEMBLE}{len(arguments.seeds)}"
        pairs = itertools.product(arguments.methods, arguments.languages)
        measure(together, [(language, method + size, 0) for method, language in pairs], arguments)
    rows = measured()
    digests = rows["method"].map(lambda name: digest(name, arguments.settings))
    rows = rows[(rows["settings"] == digests) & (rows["part"] == arguments.part)]
    note = (
        f"Means over seeds, and of these over languages; {arguments.part} words; error rates in "
        f"percent, perplexity per phoneme. Seconds of training are those of one process of several "
        f"on a busy machine; only their order of magnitude means something. The table grows with "
        f"each call of the command, and holds every line of g2p.csv with the present recipe."
    )
    text = f"{machine('one thread per process')}\n\n{note}\n\n{report(rows)}"
    print(text)
    save("g2p", "Grapheme-to-phoneme conversion", text)


if __name__ == "__main__":
    main()
