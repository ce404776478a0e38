"""Beam search against JoeyNMT at equal output lengths.

    PYRO_ALIGN_DATA=… python benchmarks/search.py --save

Networks with the sizes of the recipe `multi30k-de-en`, or with --transformer of the recipe
`multi30k-transformer`, and untrained weights translate random sentences. Every translation is
forced to the length of the longest source of its batch, in both toolkits, so that the same number
of tokens is scored. Measured is the CPU time of one thread, so that other processes matter little;
the toolkits take turns. JoeyNMT runs in a separate environment, which is created in a temporary
folder unless given with --python. The candidates of the sparse product are random.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyro
import torch
from common import environment, machine, markdown, save
from peers import OURS, PACKAGES, RECIPE, THEIRS, TRANSFORMER, Theirs, shared_settings

from pyro_align.config import Config
from pyro_align.config.registry import MODELS
from pyro_align.data.batch import EOS
from pyro_align.decoding import BeamSearch
from pyro_align.networks import SequenceToSequence

VOCABULARY = 4000
SIDES = {
    **OURS,
    "exact marginal, sparse product": ("categorical", "exact", "sparse-product", "true"),
}


def sentences(count: int, tokens: int = 1024) -> list[list[list[int]]]:
    """Return batches of random ids, longest first, with about the lengths of captions."""
    draw = random.Random(0)
    lengths = (max(4, min(40, round(draw.gauss(15, 5)))) for _ in range(count))
    batches: list[list[list[int]]] = [[]]
    for length in sorted(lengths, reverse=True):
        if batches[-1] and len(batches[-1][0]) * (len(batches[-1]) + 1) > tokens:
            batches.append([])
        ids = [draw.randrange(EOS + 1, VOCABULARY) for _ in range(length - 1)]
        batches[-1].append([*ids, EOS])
    return batches


class Ours:
    """A model of this package with random weights."""

    def __init__(self, name: str, recipe: Path, given: dict[str, Any]):
        model, _, emission, lexical = SIDES[name]
        changes = [f'network.emission="{emission}"', f"network.lexical={lexical}"]
        config: Any = Config.load(recipe, changes)
        candidates = torch.randint(VOCABULARY, (VOCABULARY, config.network.candidates))
        network = SequenceToSequence.from_config(
            config.network, VOCABULARY, VOCABULARY, candidates=candidates
        )
        self.model = MODELS.build(model, {}, network).eval()
        self.given = given

    def force(self, number: int) -> tuple[float, float]:
        """Run beam search; return seconds of this process and number of tokens."""
        sources = self.given["test"][number]
        length = max(map(len, sources))
        search = BeamSearch(
            self.model, beam=self.given["beam"], min_length=length, max_length=length
        )
        began = time.process_time()
        found = search.search(sources)
        seconds = time.process_time() - began
        return seconds, float(sum(len(best.tokens) for best, *_ in found))


class Forced(Theirs):
    """JoeyNMT, run in a separate process."""

    def force(self, number: int) -> tuple[float, float]:
        """See :meth:`Ours.force`."""
        seconds, tokens = self.ask(["force", number])
        return seconds, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sentences", type=int, default=150)
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--transformer", action="store_true", help="Transformers on both sides")
    parser.add_argument("--alone", action="store_true", help="without JoeyNMT")
    parser.add_argument("--python", type=Path, help="Python of an environment with JoeyNMT")
    parser.add_argument("--save", action="store_true", help="write results/search….md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe = TRANSFORMER if options.transformer else RECIPE
    config: Any = Config.load(recipe)
    given = {
        **shared_settings(config, [VOCABULARY, VOCABULARY]),
        "beam": options.beam,
        "test": sentences(options.sentences),
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "given.json").write_text(json.dumps(given))
        sides: dict[str, Any] = {name: Ours(name, recipe, given) for name in SIDES}
        if not options.alone:
            python = options.python or environment(folder / "joeynmt", *PACKAGES)
            sides[THEIRS] = Forced(python, folder / "given.json", False, sys.stderr)
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for turn in range(options.rounds + 1):
            for name, side in sides.items():
                found = [side.force(number) for number in range(len(given["test"]))]
                tokens = sum(each for _, each in found)
                if turn:  # the first warms up
                    seconds[name].append(sum(each for each, _ in found))
    best, middle = (
        {name: f(spent) for name, spent in seconds.items()} for f in (min, statistics.median)
    )
    base, other = ("soft attention",) * 2 if options.alone else (THEIRS, "JoeyNMT")
    rows = [
        {
            "side": name,
            "tokens per CPU second": f"{tokens / best[name]:,.0f}",
            f"to {other}'s": f"{best[base] / best[name]:.2f}x",
            "median of the rounds": f"{middle[base] / middle[name]:.2f}x",
        }
        for name in sides
    ]
    report = f"{markdown(pd.DataFrame(rows))}\n\n{machine('one thread per toolkit')}"
    print(report)
    if options.save:
        kind = "-transformer" * options.transformer
        save("search" + kind, "Beam search at equal output lengths, against JoeyNMT 2.3.0", report)


if __name__ == "__main__":
    pyro.enable_validation(False)
    main()
