"""Comparison with JoeyNMT: soft attention of the same sizes.

    PYRO_ALIGN_DATA=… python benchmarks/peers.py --save

Multi30k German–English with the same vocabularies, batches, encoder, decoder, attention, dropout
and Adam in both toolkits, one thread each. They take turns: a few steps of one, then the same steps
of the other; after training, batches of test sentences are translated with beam 5. JoeyNMT runs in
a separate environment, which is created in a temporary folder unless given with --python. Its step
is `TrainManager._train_step`, clipping and Adam, its translation `joeynmt.search.search`. Ours are
an objective's loss, clipping and Adam, and `BeamSearch`. Text processing is not included. Measured
is the CPU time of one thread, so that other processes matter little. A less trained model finds
shorter translations faster, so tokens per second are reported too; choose --steps large enough for
similar lengths, or see `search.py`.

With --minutes each side trains for so much CPU time, with a learning rate that falls to zero; the
table then has BLEU at equal time, of as many --sentences as are translated.

With --input-feeding every decoder reads the previous context. JoeyNMT's recurrent decoder processes
the target position by position in either case. With --transformer both are pre-norm Transformers
with the sizes of the recipe `multi30k-transformer`, label smoothing and one embedding for all; the
learning rate of JoeyNMT is then the one by which the equalised weights change here. Both warm up as
in the recipe: a model that diverges computes with denormal numbers, at half the speed on a CPU.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyro
import torch
from common import environment, machine, markdown, save
from sacrebleu import corpus_bleu

from pyro_align.config import Config
from pyro_align.data import BatchLoader, IndexedCorpus, index_text
from pyro_align.data.batch import TextBatch
from pyro_align.decoding import BeamSearch
from pyro_align.inference import label_smoothing
from pyro_align.runs import Run
from pyro_align.training import buckets

RECIPES = Path(__file__).parent.parent / "recipes"
RECIPE = RECIPES / "multi30k-de-en.toml"
TRANSFORMER = RECIPES / "multi30k-transformer.toml"
PACKAGES = (f"torch=={torch.__version__.partition('+')[0]}", "joeynmt==2.3.0", "importlib_metadata")
"""Requirements of JoeyNMT's environment; JoeyNMT imports the last without declaring it."""

OURS = {
    "soft attention": ("soft", "likelihood", "tanh", "false"),
    "exact marginal, product": ("categorical", "exact", "product", "true"),
}
THEIRS = "JoeyNMT, soft attention"


class Ours:
    """A model of this package, run in this process."""

    def __init__(self, run: Run, given: dict[str, Any]):
        self.given = given
        self.run = run
        self.loss = run.objective(run.model, run.guide)
        self.optimizer = torch.optim.Adam(self.loss.parameters(), given["learning_rate"])
        self.parameters = sum(each.numel() for each in self.loss.parameters())

    def train(self, numbers: list[int], rate: float) -> tuple[float, float]:
        """Train on batches; return seconds of this process and mean loss per token.

        Args:
            numbers: numbers of the batches.
            rate: what the learning rate is multiplied by.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.given["learning_rate"]
        batches = [TextBatch.from_ids(*self.given["train"][number]) for number in numbers]
        self.loss.train()
        began = time.process_time()
        losses = [self.step(batch) for batch in batches]
        return time.process_time() - began, sum(losses) / len(losses)

    def step(self, batch: TextBatch) -> float:
        """Make a training step."""
        self.optimizer.zero_grad()
        with label_smoothing(self.given["smoothing"]):
            loss = self.loss(batch) / batch.num_targets
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.loss.parameters(), self.given["clip"])
        self.optimizer.step()
        return loss.item()

    def translate(self, number: int) -> tuple[float, list[list[int]]]:
        """Run beam search; return seconds of this process, and ids of each translation."""
        self.loss.eval()
        search = BeamSearch(self.run.model, beam=self.given["beam"])
        began = time.process_time()
        found = search.search(self.given["test"][number])
        seconds = time.process_time() - began
        return seconds, [list(best.tokens) for best, *_ in found]


class Theirs:
    """JoeyNMT, run in a separate process."""

    def __init__(self, python: Path, given: Path, input_feeding: bool, log: Any):
        self.process = subprocess.Popen(
            [python, "-W", "ignore", Path(__file__).with_name("joeynmt_side.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        self.parameters = self.ask([str(given), input_feeding])

    def ask(self, question: list[Any]) -> Any:
        """Read an answer; exit if there is none."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(question), file=self.process.stdin, flush=True)
        if not (answer := self.process.stdout.readline()):
            sys.exit("JoeyNMT's process has ended; see its messages above")
        return json.loads(answer)

    def train(self, numbers: list[int], rate: float) -> tuple[float, float]:
        """See :meth:`Ours.train`."""
        seconds, loss = self.ask(["train", numbers, rate])
        return seconds, loss

    def translate(self, number: int) -> tuple[float, list[list[int]]]:
        """See :meth:`Ours.translate`."""
        seconds, found = self.ask(["translate", number])
        return seconds, found


def shared_settings(config: Config, vocabularies: Sequence[int]) -> dict[str, Any]:
    """Settings of both toolkits: sizes, learning rate, smoothing and clipping.

    Args:
        config: configuration of the package's model.
        vocabularies: sizes of source and target vocabulary.
    """
    network: Any = config.network
    return {
        "kind": network.kind,
        "heads": network.heads,
        "feedforward": network.feedforward,
        "embedding": network.embedding,
        "encoder_hidden": network.encoder_hidden,
        "decoder_hidden": network.decoder_hidden,
        "layers": network.encoder_layers,
        "dropout": network.dropout,
        "vocabularies": list(vocabularies),
        "learning_rate": config.training.learning_rate,
        "warmup": max(1, config.training.warmup_steps),
        "smoothing": config.training.label_smoothing,
        "clip": config.training.clip,
    }


def ids_of(corpus: IndexedCorpus, config: Config, steps: int | None = None) -> list[Any]:
    """Return training batches as lists of ids: the first ones, or those of a whole epoch."""
    given = []
    for batch in itertools.islice(
        BatchLoader(corpus, buckets(config, corpus, shuffle=True), False), steps
    ):
        sides = (batch.source, batch.source_lengths), (batch.target, batch.target_lengths)
        given.append(
            [
                [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]
                for ids, lengths in sides
            ]
        )
    return given


def sentences_of(
    run: Run, sentences: int, tokens: int = 1024
) -> tuple[list[list[list[int]]], list[str]]:
    """Return batches of source ids of test sentences, longest first, and their references."""
    pairs = list(itertools.islice(run.task.text("test"), sentences))
    encoded = run.source_vocabulary.encode_all([pair.source for pair in pairs])
    rows = sorted(zip(encoded, pairs, strict=True), key=lambda row: len(row[0]), reverse=True)
    batches: list[list[list[int]]] = [[]]
    for ids, _ in rows:
        batch = batches[-1]
        if batch and len(batch[0]) * (len(batch) + 1) > tokens:
            batches.append(batch := [])
        batch.append(ids)
    return batches, [pair.target for _, pair in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500, help="training steps of each toolkit")
    parser.add_argument("--minutes", type=float, help="CPU time of each toolkit, instead of steps")
    parser.add_argument("--turn", type=int, default=5, help="steps per turn")
    parser.add_argument("--sentences", type=int, default=300, help="sentences to translate")
    parser.add_argument("--beam", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=[*OURS], choices=OURS)
    parser.add_argument("--input-feeding", action="store_true")
    parser.add_argument("--transformer", action="store_true", help="Transformers on both sides")
    parser.add_argument("--python", type=Path, help="Python of an environment with JoeyNMT")
    parser.add_argument("--set", dest="extra", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--save", action="store_true", help="write results/peers….md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pyro.enable_validation(False)
    feeding = str(options.input_feeding).lower()

    def config_of(name: str) -> Config:
        model, objective, emission, lexical = OURS[name]
        return Config.load(
            TRANSFORMER if options.transformer else RECIPE,
            [
                f'model.name="{model}"',
                'guide.name="none"',
                f'objective.name="{objective}"',
                f'network.emission="{emission}"',
                f"network.lexical={lexical}",
                f"network.input_feeding={feeding}",
                *options.extra,
            ],
        )

    with (
        tempfile.TemporaryDirectory() as scratch,
        pyro.settings.context(module_local_params=True),
    ):
        folder = Path(scratch)
        python = options.python or environment(folder / "joeynmt", *PACKAGES)
        runs = {
            name: Run.create(config_of(name), folder / str(number), echo=lambda line: None)
            for number, name in enumerate(options.methods)
        }
        base = runs[options.methods[0]]
        vocabularies = (base.source_vocabulary, base.target_vocabulary)
        corpus = index_text(base.task.text("train"), vocabularies, base.config.data)
        timed = options.minutes is not None
        sources, references = sentences_of(base, options.sentences)
        given = {
            **shared_settings(base.config, [len(each) for each in vocabularies]),
            "beam": options.beam,
            "train": ids_of(corpus, base.config, None if timed else options.steps),
            "test": sources,
        }
        (folder / "given.json").write_text(json.dumps(given))
        sides: dict[str, Ours | Theirs] = {name: Ours(run, given) for name, run in runs.items()}
        sides[THEIRS] = Theirs(python, folder / "given.json", options.input_feeding, sys.stderr)
        trained = train(sides, given, options.turn, options.steps, options.minutes)
        found = translate(sides, given)

        def bleu(translations: list[list[int]]) -> float:
            texts = [base.target_vocabulary.decode(ids) for ids in translations]
            return corpus_bleu(texts, [references]).score

        compared = table(sides, trained, found, bleu if timed else None)
    report = f"{markdown(compared)}\n\n{machine('one thread per toolkit')}"
    print(report)
    if options.save:
        kind = "-transformer" * options.transformer + "-input-feeding" * options.input_feeding
        save("peers" + kind, "Against JoeyNMT 2.3.0", report)


@dataclass
class Training:
    """What a side has done so far.

    Attributes:
        seconds: CPU time.
        speeds: tokens per CPU second, of each turn.
        loss: mean loss of the last turn.
        steps: number of steps.
    """

    seconds: float = 0.0
    speeds: list[float] = field(default_factory=list)
    loss: float = math.nan
    steps: int = 0


def train(
    sides: dict[str, Any], given: dict[str, Any], turn: int, steps: int, minutes: float | None
) -> dict[str, Training]:
    """Train all sides in turns, for a number of steps or each for so many minutes of CPU time."""
    tokens = [sum(map(len, targets)) for _, targets in given["train"]]
    order: list[int] = []
    trained = {name: Training() for name in sides}

    def left(each: Training) -> float:
        """Return the part of the time that is left; for a number of steps 1 until they are done."""
        return float(each.steps < steps) if minutes is None else 1 - each.seconds / (60 * minutes)

    while going := [name for name, each in trained.items() if left(each) > 0]:
        start = max(each.steps for each in trained.values())
        while len(order) < start + turn:
            order += random.Random(len(order)).sample(range(len(tokens)), len(tokens))
        numbers = order[start : start + turn]
        warmed = min(1.0, (start + 1) / given["warmup"])
        for name in going:
            each = trained[name]
            seconds, each.loss = sides[name].train(numbers, warmed * left(each))
            each.seconds += seconds
            each.steps += turn
            each.speeds.append(sum(tokens[number] for number in numbers) / seconds)
    return trained


def translate(
    sides: dict[str, Any], given: dict[str, Any]
) -> dict[str, tuple[float, list[list[int]]]]:
    """Translate the test sentences in turns; return CPU seconds and translations."""
    found: dict[str, tuple[float, list[list[int]]]] = {name: (0.0, []) for name in sides}
    for number in range(len(given["test"])):
        for name, side in sides.items():
            seconds, translations = side.translate(number)
            spent, others = found[name]
            found[name] = spent + seconds, others + translations
    return found


def table(
    sides: dict[str, Any],
    trained: dict[str, Training],
    found: dict[str, tuple[float, list[list[int]]]],
    bleu: Callable[[list[list[int]]], float] | None,
) -> pd.DataFrame:
    """Compare speed and, at equal time, BLEU."""
    training = {name: statistics.median(each.speeds[1:]) for name, each in trained.items()}
    made = {name: sum(map(len, translations)) for name, (_, translations) in found.items()}
    spent = {name: seconds for name, (seconds, _) in found.items()}
    rows = []
    for name, side in sides.items():
        _, translations = found[name]
        pace = made[name] / spent[name] / (made[THEIRS] / spent[THEIRS])
        row = {
            "side": name,
            "parameters": f"{side.parameters:,}",
            "training, tokens per CPU s": f"{training[name]:,.0f}",
            "to JoeyNMT's": f"{training[name] / training[THEIRS]:.2f}x",
            "steps": f"{trained[name].steps:,}",
            "last loss": f"{trained[name].loss:.2f}",
            "beam search, sentences per CPU s": f"{len(translations) / spent[name]:.1f}",
            "to its": f"{spent[THEIRS] / spent[name]:.2f}x",
            "tokens per sentence": f"{made[name] / len(translations):.1f}",
            "tokens per CPU s, to its": f"{pace:.2f}x",
        }
        if bleu is not None:
            row["BLEU"] = f"{bleu(translations):.2f}"
        rows.append(row)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
