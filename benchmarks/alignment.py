"""Word alignment against fast_align and eflomal: error rates on XL-WA, and time on Multi30k.

    PYRO_ALIGN_DATA=… python benchmarks/alignment.py --save
    PYRO_ALIGN_DATA=… python benchmarks/alignment.py --only pyro-align
    PYRO_ALIGN_DATA=… python benchmarks/alignment.py --growth 7000 29000 116000

English with Italian and with Dutch, lowercased. Aligners are fitted to the text of train, dev and
test (no links), optionally with extra text, and scored on the manual links of dev and test:
micro-averaged AER, all links sure; the two directions of the other aligners are symmetrised by
grow-diag-final-and. Japanese–English (KFTT) and Romanian–English (NAACL 2003) are the text of a
test set alone. A *frozen* aligner was fitted only to the train text (and the extra text); dev and
test are new text for it. Defaults were chosen on the two dev sets. eflomal is random, so it is run
with three seeds and the mean is reported; the others are deterministic.

Every aligner is a process with one thread. CPU seconds are those of the process, including start
and reading, and do not depend on other load. fast_align and eflomal come from PyPI (systran-align,
eflomal) and run in a separate environment, which is created in a temporary folder unless given with
--python.
"""

from __future__ import annotations

import argparse
import gzip
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from zlib import crc32

import pandas as pd
from common import environment, machine, markdown, save

from pyro_align.data import GoldLinks, Link, parse_links
from pyro_align.evaluation import AlignmentErrorRate
from pyro_align.word_alignment import grow_diag_final_and

PACKAGES = ("eflomal==2.0.0", "systran-align==3.5.0", "numpy<3")
Pair = tuple[str, str]
Links = list[frozenset[Link]]
T = TypeVar("T")

FAST_ALIGN = """
import sys, systran_align
text, folder = sys.argv[1:]
tables = [f"{folder}/forward", f"{folder}/reverse"]
systran_align.generate_alignment_probabilities(
    text, *tables, favor_diagonal=True, optimize_tension=True, variational_bayes=True)
pairs = [line.rstrip("\\n").split(" ||| ") for line in open(text, encoding="utf-8")]
aligner = systran_align.Aligner(*tables)
for begin in range(0, len(pairs), 1000):
    part = pairs[begin : begin + 1000]
    for each in aligner.align_batch([p[0].split() for p in part], [p[1].split() for p in part]):
        print(" ".join(f"{i}-{j}" for i, j in each["alignments"]))
"""
"""fast_align with the options of its README (-d -o -v), symmetrised by grow-diag-final-and."""


LAUNCH = """
import resource, subprocess, sys
status = subprocess.call(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=file)
sys.exit(status)
"""
"""Run a command from a small process: its maximum memory includes that of the process it is forked
from."""


class Bench:
    """Runs aligners on text in a folder and measures their CPU seconds and memory in MB."""

    def __init__(self, folder: Path, python: Path, only: str = ""):
        self.folder = folder
        self.python = python
        self.only = only
        self.seconds = self.memory = 0.0

    def chosen(self, aligners: dict[str, T]) -> dict[str, T]:
        """Return the aligners that are wanted."""
        return {name: one for name, one in aligners.items() if name.startswith(self.only)}

    def run(self, *command: object) -> str:
        memory = self.folder / "memory"
        process = subprocess.Popen(
            [sys.executable, "-S", "-c", LAUNCH, memory, *map(str, command)],
            stdout=(self.folder / "out").open("w"),
            stderr=(self.folder / "log").open("w"),
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{command} failed:\n{(self.folder / 'log').read_text()}")
        self.seconds += usage.ru_utime + usage.ru_stime
        self.memory = max(self.memory, int(memory.read_text()) / 1e3)
        return (self.folder / "out").read_text()

    def write(self, name: str, pairs: Sequence[Pair], prefix: int | None = None) -> Path:
        path = self.folder / name
        with path.open("w", encoding="utf-8") as file:
            for pair in pairs:
                sides = (" ".join(word[:prefix] for word in side.split()) for side in pair)
                print(*sides, sep=" ||| ", file=file)
        return path

    def fast_align(self, pairs: Sequence[Pair]) -> Links:
        text = self.write("text.fa", pairs)
        return read(self.run(self.python, "-c", FAST_ALIGN, text, self.folder))

    def eflomal(self, pairs: Sequence[Pair], prefix: int | None = None) -> Links:
        text = self.write("text.fa", pairs, prefix)
        sides = [self.folder / name for name in ("forward", "reverse")]
        command = [self.python.with_name("eflomal-align"), "--overwrite", "-m", 3, "-i", text]
        self.run(*command, "-f", sides[0], "-r", sides[1])
        forward, reverse = (read(side.read_text()) for side in sides)
        return [grow_diag_final_and(*both) for both in zip(forward, reverse, strict=True)]

    def ours(self, pairs: Sequence[Pair], *options: object) -> Links:
        text = self.write("text.fa", pairs)
        return read(self.run(sys.executable, "-m", "pyro_align", "align", *options, text))

    def frozen(self, pairs: Sequence[Pair], number: int) -> Links:
        """Fit to all pairs except the first ``number``, and align only these."""
        with tempfile.TemporaryDirectory() as scratch:
            aligner = Path(scratch) / "aligner"
            self.ours(pairs[number:], "--train", "--save", aligner)
            found = self.ours(pairs[:number], aligner)
        return found + [frozenset()] * (len(pairs) - number)


def read(text: str) -> Links:
    return [parse_links(line).sure for line in text.split("\n")[:-1]]


def corpus(data: Path, language: str, extra: bool) -> tuple[list[Pair], dict[str, list[GoldLinks]]]:
    """Return sentence pairs, dev and test first, and the gold links of dev and test."""
    pairs: list[Pair] = []
    gold: dict[str, list[GoldLinks]] = {}
    for part in ("dev", "test", "train"):
        for line in (data / language / f"{part}.tsv").read_text(encoding="utf-8").splitlines():
            source, target, links = line.split("\t")
            pairs.append((source.lower(), target.lower()))
            if part != "train":
                gold.setdefault(part, []).append(parse_links(links))
    if extra:
        with gzip.open(data / language / f"extra.en-{language}.fa.gz", "rt", encoding="utf-8") as f:
            sides = (line.rstrip("\n").split(" ||| ") for line in f)
            pairs += [(s, t) for s, t in sides if s.split() and t.split()]
    return pairs, gold


def test_set(data: Path, name: str) -> tuple[list[Pair], dict[str, list[GoldLinks]]]:
    """Return the sentence pairs of a test set, and its gold links, which count from 1."""
    lines = (data / f"{name}.src-tgt").read_text(encoding="utf-8").splitlines()
    pairs = []
    for line in lines:
        # An ideographic space is a word of this text, but eflomal separates words there.
        source, target = line.lower().replace("\u3000", "_").split(" ||| ")
        pairs.append((source.strip(), target.strip()))
    gold = (data / f"{name}.gold").read_text(encoding="utf-8").splitlines()
    links = [parse_links(line).sure for line in gold]
    return pairs, {
        "test": [GoldLinks(frozenset((i - 1, j - 1) for i, j in each)) for each in links]
    }


def error_rates(links: Links, gold: dict[str, list[GoldLinks]]) -> list[float]:
    rates, begin = [], 0
    for part in gold.values():
        rate = AlignmentErrorRate()
        for found, true in zip(links[begin : begin + len(part)], part, strict=True):
            rate.update(found, true)
        begin += len(part)
        rates.append(100 * rate.error_rate)
    return rates


HEURISTIC = ("--symmetrise", "grow-diag-final-and")


def xl_wa(bench: Bench, data: Path) -> pd.DataFrame:
    rows = []
    for extra in (False, True):
        for language in ("it", "nl"):
            pairs, gold = corpus(data, language, extra)
            known = sum(map(len, gold.values()))
            aligners: dict[str, tuple[Callable[[], Links], int]] = {
                "fast_align": (lambda: bench.fast_align(pairs), 1),  # noqa: B023
                "eflomal": (lambda: bench.eflomal(pairs), 3),  # noqa: B023
                "eflomal, 4 characters": (lambda: bench.eflomal(pairs, 4), 3),  # noqa: B023
                "pyro-align": (lambda: bench.ours(pairs, "--train"), 1),  # noqa: B023
                "pyro-align --fast": (lambda: bench.ours(pairs, "--train", "--fast"), 1),  # noqa: B023
                "pyro-align, grow-diag-final-and": (
                    lambda: bench.ours(pairs, "--train", *HEURISTIC),  # noqa: B023
                    1,
                ),
                "pyro-align, frozen": (lambda: bench.frozen(pairs, known), 1),  # noqa: B023
            }
            for name, (align, seeds) in bench.chosen(aligners).items():
                bench.seconds = 0.0
                rates = [error_rates(align(), gold) for _ in range(seeds)]
                dev, test = (statistics.mean(each) for each in zip(*rates, strict=True))
                rows.append(
                    {
                        "text": f"en-{language}{' + extra' if extra else ''}, {len(pairs)} pairs",
                        "aligner": name,
                        "AER dev": f"{dev:.1f}",
                        "AER test": f"{test:.1f}",
                        "CPU s": f"{bench.seconds / seeds:.0f}",
                    }
                )
                print(*rows[-1].values(), sep=" | ", file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def test_sets(bench: Bench, data: Path) -> pd.DataFrame:
    rows = []
    for name, label in (("jaen", "ja-en"), ("roen", "ro-en")):
        pairs, gold = test_set(data, name)
        aligners: dict[str, tuple[Callable[[], Links], int]] = {
            "fast_align": (lambda: bench.fast_align(pairs), 1),  # noqa: B023
            "eflomal": (lambda: bench.eflomal(pairs), 3),  # noqa: B023
            "eflomal, 4 characters": (lambda: bench.eflomal(pairs, 4), 3),  # noqa: B023
            "pyro-align": (lambda: bench.ours(pairs, "--train"), 1),  # noqa: B023
            "pyro-align, grow-diag-final-and": (
                lambda: bench.ours(pairs, "--train", *HEURISTIC),  # noqa: B023
                1,
            ),
        }
        for aligner, (align, seeds) in bench.chosen(aligners).items():
            rates = [error_rates(align(), gold)[0] for _ in range(seeds)]
            spread = f" ± {statistics.stdev(rates):.1f}" if seeds > 1 else ""
            rows.append(
                {
                    "text": f"{label}, {len(pairs)} pairs",
                    "aligner": aligner,
                    "AER": f"{statistics.mean(rates):.1f}{spread}",
                }
            )
            print(*rows[-1].values(), sep=" | ", file=sys.stderr, flush=True)
    return pd.DataFrame(rows)


def multi30k(data: Path) -> list[Pair]:
    sides = []
    for side in ("de", "en"):
        with gzip.open(data / f"train.{side}.gz", "rt", encoding="utf-8") as file:
            sides.append([line.strip().lower() for line in file])
    return list(zip(*sides, strict=True))


def speed(bench: Bench, data: Path) -> pd.DataFrame:
    pairs, rows = multi30k(data), []
    aligners = {
        "eflomal": lambda: bench.eflomal(pairs),
        "fast_align": lambda: bench.fast_align(pairs),
        "pyro-align": lambda: bench.ours(pairs, "--train"),
        "pyro-align --fast": lambda: bench.ours(pairs, "--train", "--fast"),
    }
    for name, align in bench.chosen(aligners).items():
        bench.seconds = 0.0
        align()
        rows.append({"aligner": name, "CPU s": bench.seconds})
        print(*rows[-1].values(), sep=" | ", file=sys.stderr, flush=True)
    for row in rows:
        row[f"of {rows[0]['aligner']}'s"] = f"{row['CPU s'] / rows[0]['CPU s']:.2f}"
    for row in rows:
        row["CPU s"] = f"{row['CPU s']:.0f}"
    return pd.DataFrame(rows)


def renamed(word: str, copy: int) -> str:
    """Return another word in about half of the cases, the same for each copy of the text."""
    return f"{word}{copy}" if copy and crc32(f"{word}{copy}".encode()) % 2 else word


def growth(bench: Bench, data: Path, sizes: Sequence[int]) -> pd.DataFrame:
    """Time and memory of parts of Multi30k and of it several times, with other words each time."""
    text, rows = multi30k(data), []
    for size in sizes:
        pairs = [
            (
                " ".join(renamed(w, copy) for w in s.split()),
                " ".join(renamed(w, copy) for w in t.split()),
            )
            for copy in range(-(-size // len(text)))
            for s, t in text[: size - copy * len(text)]
        ]
        aligners = {
            "eflomal": lambda: bench.eflomal(pairs),  # noqa: B023
            "pyro-align": lambda: bench.ours(pairs, "--train"),  # noqa: B023
        }
        for name, align in bench.chosen(aligners).items():
            bench.seconds = bench.memory = 0.0
            align()
            rows.append(
                {"aligner": name, "pairs": size, "CPU s": bench.seconds, "MB": bench.memory}
            )
            print(*rows[-1].values(), sep=" | ", file=sys.stderr, flush=True)
    table = pd.DataFrame(rows)
    more = table.groupby("aligner")
    table["KB per further pair"] = more["MB"].diff() * 1e3 / more["pairs"].diff()
    table["ms per further pair"] = more["CPU s"].diff() * 1e3 / more["pairs"].diff()
    digits = {"CPU s": 0, "MB": 0, "KB per further pair": 1, "ms per further pair": 2}
    for column, number in digits.items():
        table[column] = ["" if pd.isna(value) else f"{value:.{number}f}" for value in table[column]]
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--python", type=Path, help="Python of an environment with the other aligners"
    )
    parser.add_argument("--only", default="", help="only aligners whose names start with this")
    parser.add_argument(
        "--growth", type=int, nargs="+", metavar="PAIRS", help="only time and memory of such texts"
    )
    parser.add_argument("--save", action="store_true", help="write results/alignment.md")
    options = parser.parse_args()
    if "PYRO_ALIGN_DATA" not in os.environ:
        sys.exit("set PYRO_ALIGN_DATA to the folder with xl-wa and multi30k")
    data = Path(os.environ["PYRO_ALIGN_DATA"])
    with tempfile.TemporaryDirectory() as scratch:
        python = options.python or environment(Path(scratch) / "venv", *PACKAGES)
        bench = Bench(Path(scratch), python, options.only)
        if options.growth:
            print(markdown(growth(bench, data / "multi30k", options.growth)))
            return
        times = speed(bench, data / "multi30k")
        table = xl_wa(bench, data / "xl-wa")
        sets = test_sets(bench, data / "gold")
    report = (
        f"{markdown(table)}\n\n{markdown(sets)}\n\n"
        "The 29,000 pairs of Multi30k de→en, both directions fitted and aligned:\n\n"
        f"{markdown(times)}\n\n" + machine("one thread per process")
    )
    print(report)
    if options.save:
        save("alignment", "Word alignment", report)


if __name__ == "__main__":
    main()
