"""Comparison with yoyodyne on pronunciations: error rates, training and prediction time.

    PYRO_ALIGN_DATA=… python benchmarks/g2p_peers.py --languages ice --epochs 40

yoyodyne 0.5.27 runs in a separate environment, which is created in a temporary folder unless given
with --python. Its models have the sizes and the dropout of the recipe g2p; its Adam, batches of 32
words and learning rate are its own defaults. Each trains for --epochs, and the weights with the
best accuracy on the development words predict, greedily. Ours are fits of the recipe, which predict
with beam 5. One thread each, in turn.

CPU seconds include the start of the program and validation. A number of training symbols a CPU
second counts phonemes, one end per word among them. The table holds all lines of the file
results/g2p_peers.csv, to which every command adds what it measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from common import RESULTS, environment, machine, markdown, save

from pyro_align.evaluation import FormScores

VERSION = "0.5.27"
FILE = RESULTS / "g2p_peers.csv"
RECIPE = Path(__file__).parent.parent / "recipes" / "g2p.toml"
OURS = {
    "soft": ("soft", "likelihood"),
    "exact": ("categorical", "exact"),
    "first order": ("markov", "exact"),
}
THEIRS = {
    "yoyodyne, attentive LSTM": ("SoftAttentionLSTMModel", "LSTMEncoder", {}),
    "yoyodyne, hard attention": (
        "HardAttentionLSTMModel",
        "LSTMEncoder",
        {"attention_context": 1, "enforce_monotonic": True},
    ),
    "yoyodyne, Transformer": ("TransformerModel", "TransformerEncoder", {"decoder_layers": 4}),
}
"""Class of the model, class of its encoder, further arguments of the model."""


class Measured(NamedTuple):
    """What one system gave."""

    epochs: int
    training: float
    prediction: float
    predicted: list[str]


def cpu_seconds(command: list[str], log: Path) -> float:
    """Run a command, and return its CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with log.open("a") as file:
        threads = {**os.environ, "OMP_NUM_THREADS": "1"}
        status = subprocess.run(command, stdout=file, stderr=file, env=threads, check=False)
    if status.returncode:
        sys.exit(f"{' '.join(command)} failed, see {log}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ours(name: str, files: dict[str, Path], out: Path, seed: int) -> Measured:
    """Fit the recipe, and predict the test words."""
    model, objective = OURS[name]
    program, run, log = [sys.executable, "-m", "pyro_align"], out / "run", out / "log"
    fitted = [
        *(*program, "fit", "--config", str(RECIPE), "--out", str(run), "--overwrite"),
        *("--model", model, "--objective", objective, "--device", "cpu", "--seed", str(seed)),
        *(word for part, file in files.items() for word in (f"--{part}", str(file))),
    ]
    training = cpu_seconds(fitted, log)
    words = out / "words.txt"
    words.write_text("".join(f"{source}\n" for source, _ in pairs(files["test"])))
    predicted = out / "predicted.txt"
    command = [*program, "predict", str(run), str(words), "--out", str(predicted)]
    prediction = cpu_seconds(command, log)
    epochs = pd.read_csv(run / "metrics.csv")["epoch"].max()
    return Measured(int(epochs), training, prediction, predicted.read_text().splitlines())


def theirs(
    name: str, files: dict[str, Path], out: Path, python: Path, epochs: int, seed: int
) -> Measured:
    """Fit a model of yoyodyne, and predict the test words."""
    model, encoder, further = THEIRS[name]
    sizes: dict[str, Any] = {"hidden_size": 128, "dropout": 0.5, "embedding_size": 128}
    if encoder == "TransformerEncoder":
        sizes |= {"layers": 4, "dropout": 0.3}
    arguments = {
        "embedding_size": 128,
        "decoder_hidden_size": 128 if encoder == "TransformerEncoder" else 256,
        "decoder_dropout": sizes["dropout"],
        "source_encoder": {"class_path": f"yoyodyne.models.modules.{encoder}", "init_args": sizes},
        **further,
    }
    config = {
        "seed_everything": seed,
        "trainer": {
            "accelerator": "cpu",
            "default_root_dir": str(out),
            "max_epochs": epochs,
            "enable_progress_bar": False,
        },
        "data": {
            "train": str(files["train"]),
            "val": str(files["valid"]),
            "predict": str(files["test"]),
            "model_dir": str(out),
            "target_sep": " ",
        },
        "model": {"class_path": f"yoyodyne.models.{model}", "init_args": arguments},
        "checkpoint": {"filename": "best", "monitor": "val_accuracy", "mode": "max"},
        "prediction": {"path": str(out / "predicted.txt")},
    }
    given, log = out / "config.yaml", out / "log"
    given.write_text(json.dumps(config))  # JSON is YAML
    program = str(python.with_name("yoyodyne"))
    training = cpu_seconds([program, "fit", "--config", str(given)], log)
    [best] = out.glob("lightning_logs/*/checkpoints/best.ckpt")
    command = [program, "predict", "--config", str(given), "--ckpt_path", str(best)]
    prediction = cpu_seconds(command, log)
    predicted = (out / "predicted.txt").read_text().splitlines()
    return Measured(epochs, training, prediction, predicted)


def pairs(file: Path) -> list[tuple[str, str]]:
    """Read words and their phonemes."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [(source, target) for source, target in (line.split("\t") for line in lines)]


def line_of(language: str, name: str, found: Measured, files: dict[str, Path]) -> dict[str, Any]:
    """Return a line of the table."""
    scores = FormScores()
    for (_, reference), predicted in zip(pairs(files["test"]), found.predicted, strict=True):
        scores.update(reference.split(), predicted.split())
    rates = scores.rates()
    symbols = sum(len(target.split()) + 1 for _, target in pairs(files["train"]))
    return {
        "language": language,
        "system": name,
        "WER": f"{rates.word_error_rate:.2f}",
        "PER": f"{rates.symbol_error_rate:.2f}",
        "epochs": found.epochs,
        "training, CPU s": round(found.training),
        "symbols / CPU s": round(symbols * found.epochs / found.training),
        "prediction, CPU s": round(found.prediction, 1),
    }


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--languages", nargs="+", default=["ice"])
    parser.add_argument("--systems", nargs="+", default=[*OURS, *THEIRS], choices=[*OURS, *THEIRS])
    parser.add_argument("--epochs", type=int, default=40, help="epochs of yoyodyne")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--python", type=Path, help="Python of an environment with yoyodyne")
    arguments = parser.parse_args()
    data = Path(os.environ["PYRO_ALIGN_DATA"]) / "g2p"
    with tempfile.TemporaryDirectory() as scratch:
        python = arguments.python or environment(
            Path(scratch) / "environment", f"yoyodyne=={VERSION}"
        )
        for language in arguments.languages:
            parts = {"train": "train", "valid": "dev", "test": "test"}
            files = {to: data / of / f"{language}_{of}.tsv" for to, of in parts.items()}
            for name in arguments.systems:
                out = Path(tempfile.mkdtemp(dir=scratch))
                if name in OURS:
                    found = ours(name, files, out, arguments.seed)
                else:
                    found = theirs(name, files, out, python, arguments.epochs, arguments.seed)
                line = pd.DataFrame([line_of(language, name, found, files)])
                line.insert(2, "seed", arguments.seed)
                line.to_csv(FILE, mode="a", header=not FILE.exists(), index=False)
                print(*line.iloc[0], file=sys.stderr, flush=True)
    table = pd.read_csv(FILE, dtype=str).sort_values("language", kind="stable")
    text = f"{machine('one thread')}\n\n{markdown(table)}"
    print(text)
    save("g2p_peers", f"Pronunciations: comparison with yoyodyne {VERSION}", text)


if __name__ == "__main__":
    main()
