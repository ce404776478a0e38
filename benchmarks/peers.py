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
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyro
import torch
from common import environment, machine, markdown, save
from torch.optim.lr_scheduler import LinearLR

from pyro_align.config import Config
from pyro_align.data import BatchLoader, IndexedCorpus, ParallelText, index_text
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
        self.schedule = LinearLR(self.optimizer, 1 / given["warmup"], total_iters=given["warmup"])
        self.parameters = sum(each.numel() for each in self.loss.parameters())

    def train(self, numbers: list[int]) -> tuple[float, float]:
        """Train on batches; return seconds of this process and mean loss per token."""
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
        self.schedule.step()
        return loss.item()

    def translate(self, number: int) -> tuple[float, float]:
        """Run beam search; return seconds of this process and number of tokens."""
        self.loss.eval()
        search = BeamSearch(self.run.model, beam=self.given["beam"])
        began = time.process_time()
        found = search.search(self.given["test"][number])
        seconds = time.process_time() - began
        return seconds, float(sum(len(best.tokens) for best, *_ in found))


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

    def train(self, numbers: list[int]) -> tuple[float, float]:
        """See :meth:`Ours.train`."""
        seconds, loss = self.ask(["train", numbers])
        return seconds, loss

    def translate(self, number: int) -> tuple[float, float]:
        """See :meth:`Ours.translate`."""
        seconds, tokens = self.ask(["translate", number])
        return seconds, tokens


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


def ids_of(corpus: IndexedCorpus, config: Config, steps: int) -> list[Any]:
    """Return training batches as lists of ids."""
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


def sources_of(run: Run, sentences: int, tokens: int = 1024) -> list[list[list[int]]]:
    """Return batches of source ids of test sentences, longest first."""
    text = ParallelText.open(run.config.data.test)
    lines = [pair.source for pair in itertools.islice(text, sentences)]
    encoded = sorted(run.source_vocabulary.encode_all(lines), key=len, reverse=True)
    batches: list[list[list[int]]] = [[]]
    for ids in encoded:
        batch = batches[-1]
        if batch and len(batch[0]) * (len(batch) + 1) > tokens:
            batches.append(batch := [])
        batch.append(ids)
    return batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500, help="training steps of each toolkit")
    parser.add_argument("--turn", type=int, default=5, help="steps per turn")
    parser.add_argument("--sentences", type=int, default=300, help="sentences to translate")
    parser.add_argument("--beam", type=int, default=5)
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
        config = config_of("soft attention")
        runs = {
            name: Run.create(config_of(name), folder / str(number), echo=lambda line: None)
            for number, name in enumerate(OURS)
        }
        base = runs["soft attention"]
        vocabularies = (base.source_vocabulary, base.target_vocabulary)
        corpus = index_text(ParallelText.open(config.data.train), vocabularies, config.data)
        given = {
            **shared_settings(config, [len(each) for each in vocabularies]),
            "beam": options.beam,
            "train": ids_of(corpus, config, options.steps),
            "test": sources_of(base, options.sentences),
        }
        (folder / "given.json").write_text(json.dumps(given))
        sides: dict[str, Ours | Theirs] = {name: Ours(run, given) for name, run in runs.items()}
        sides[THEIRS] = Theirs(python, folder / "given.json", options.input_feeding, sys.stderr)
        table = measure(sides, given, options.turn)
    report = f"{markdown(table)}\n\n{machine('one thread per toolkit')}"
    print(report)
    if options.save:
        kind = "-transformer" * options.transformer + "-input-feeding" * options.input_feeding
        save("peers" + kind, "Against JoeyNMT 2.3.0", report)


def measure(sides: dict[str, Any], given: dict[str, Any], turn: int) -> pd.DataFrame:
    """Train and translate with both toolkits in turns."""
    tokens = [sum(map(len, targets)) for _, targets in given["train"]]
    speed: dict[str, list[float]] = {name: [] for name in sides}
    losses: dict[str, list[float]] = {name: [] for name in sides}
    for start in range(0, len(tokens), turn):
        numbers = list(range(start, min(start + turn, len(tokens))))
        for name, side in sides.items():
            seconds, loss = side.train(numbers)
            speed[name].append(sum(tokens[number] for number in numbers) / seconds)
            losses[name].append(loss)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(len(given["test"])):
        for name, side in sides.items():
            found[name].append(side.translate(number))
    sentences = sum(map(len, given["test"]))
    training = {name: statistics.median(each[1:]) for name, each in speed.items()}
    spent = {name: sum(seconds for seconds, _ in each) for name, each in found.items()}
    made = {name: sum(tokens for _, tokens in each) for name, each in found.items()}
    pace = made[THEIRS] / spent[THEIRS]
    rows = []
    for name, side in sides.items():
        rows.append(
            {
                "side": name,
                "parameters": f"{side.parameters:,}",
                "training, tokens per CPU s": f"{training[name]:,.0f}",
                "to JoeyNMT's": f"{training[name] / training[THEIRS]:.2f}x",
                "last loss": f"{losses[name][-1]:.2f}",
                "beam search, sentences per CPU s": f"{sentences / spent[name]:.1f}",
                "to its": f"{spent[THEIRS] / spent[name]:.2f}x",
                "tokens per sentence": f"{made[name] / sentences:.1f}",
                "tokens per CPU s, to its": f"{made[name] / spent[name] / pace:.2f}x",
            }
        )
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
