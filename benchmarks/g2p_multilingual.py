"""Pronunciations of SIGMORPHON 2020 by one model of all languages, alone and in an ensemble.

    PYRO_ALIGN_DATA=… python benchmarks/g2p_multilingual.py --jobs 2 --out runs/multilingual

One run is fitted on all languages, with larger networks than the recipe g2p. For each language,
runs of the recipe are fitted with the vocabularies of the first, so that all of them predict
together: with alignments that depend on the previous one (first order), also monotonic ones, and
independent ones (exact). Error rates are those of `pyro-align evaluate` with beam 5: of each run,
of the three of a language together, and of these with the run of all languages. Fits that are
finished in --out are not fitted again.

The data are those of g2p.py. With `--part dev` the development words are evaluated.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from common import machine, markdown, save
from g2p import LANGUAGES, RECIPE, program

ALL = {
    "network.encoder_hidden": 192,
    "network.decoder_hidden": 384,
    "network.dropout": 0.4,
    "training.batch_tokens": 1500,
    "training.epochs": 15,
}
"""Settings of the run of all languages: it has 15 times as many words as that of one language."""

MEMBERS: dict[str, dict[str, object]] = {
    "first order": {},
    "monotonic": {"model.monotonic": True},
    "exact": {"model.name": "categorical"},
}
"""Settings of the runs of one language."""


def files(part: str, languages: list[str]) -> list[str]:
    """Return the files of a part, ``train``, ``dev`` or ``test``."""
    folder = Path(os.environ["PYRO_ALIGN_DATA"]) / "g2p" / part
    return [str(folder / f"{language}_{part}.tsv") for language in languages]


def fit(folder: Path, languages: list[str], seed: int, settings: dict[str, object]) -> Path:
    """Fit a run, unless it is finished, and return its folder."""
    if (folder / "results.json").exists():
        return folder
    given = {"seed": seed, "data.languages": ",".join(languages), **settings}
    program(
        *("fit", "--config", str(RECIPE), "--device", "cpu", "--out", str(folder), "--overwrite"),
        *(word for file in files("train", languages) for word in ("--train", file)),
        *(word for file in files("dev", languages) for word in ("--valid", file)),
        *(word for key, value in given.items() for word in ("--set", f"{key}={value}")),
        log=folder.with_suffix(".log"),
    )
    print("fitted", folder.name, file=sys.stderr, flush=True)
    return folder


def rates(runs: list[Path], language: str, arguments: argparse.Namespace) -> list[float]:
    """Evaluate runs together; return word and symbol error rate."""
    first, *others = map(str, runs)
    found = program(
        *("evaluate", first, *(word for each in others for word in ("--with", each))),
        *("--test", *files(arguments.part, [language]), "--language", language, "--json", "-q"),
        log=arguments.out / f"evaluate-{language}.log",
    )
    results = json.loads(found)
    return [results["word_error_rate"], results["symbol_error_rate"]]


def measure(language: str, whole: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Fit the runs of a language, and return the error rates of each way to predict."""
    given = {f"vocabulary.{side}": whole / f"{side}.symbols.json" for side in ("source", "target")}
    own = {
        name: fit(
            arguments.out / f"{language}-{name.replace(' ', '-')}",
            [language],
            arguments.seed,
            given | settings,
        )
        for name, settings in MEMBERS.items()
    }
    members = list(own.values())
    return {
        **{name: rates([run], language, arguments) for name, run in own.items()},
        "these together": rates(members, language, arguments),
        "all languages": rates([whole], language, arguments),
        "all together": rates([whole, *members], language, arguments),
    }


def main() -> None:
    """Fit what is missing, evaluate, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--languages", nargs="+", default=LANGUAGES, choices=LANGUAGES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", choices=("dev", "test"), default="test")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/multilingual"))
    arguments = parser.parse_args()
    whole = fit(arguments.out / "all", list(LANGUAGES), arguments.seed, ALL)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        found = pool.map(lambda name: measure(name, whole, arguments), arguments.languages)
        scores = dict(zip(arguments.languages, found, strict=True))
    tables = []
    for place, rate in enumerate(("WER", "PER")):
        table = pd.DataFrame(scores).T.map(lambda pair, place=place: pair[place])
        table.loc["**mean**"] = table.mean()
        tables.append(table.map("{:.2f}".format).add_prefix(f"{rate}, "))
    text = (
        f"{machine('one thread per process')}\n\nError rates in percent of the {arguments.part} "
        "words.\n\n"
        + "\n\n".join(markdown(each.rename_axis("language").reset_index()) for each in tables)
    )
    print(text)
    if arguments.part == "test":
        save("g2p_multilingual", "Pronunciations by one model of all languages", text)


if __name__ == "__main__":
    main()
