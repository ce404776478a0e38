"""Four ways to fit one small model on Multi30k German–English: what each reaches, and its cost.

    PYRO_ALIGN_DATA=… python benchmarks/multi30k.py --epochs 5

Each method is a `pyro-align fit` in a process of its own, one after the other, all with the same
networks, batches and seed. Perplexity is exact (alignments summed out) on the validation text, BLEU
is on test_2016_flickr, tokens/s are target pieces in training, memory is the process's peak.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

METHODS = {
    "soft": ("soft", "none", "likelihood"),
    "score function": ("categorical", "amortized", "score-function"),
    "enumerated ELBO": ("categorical", "amortized", "enumerated"),
    "exact": ("categorical", "none", "exact"),
}
SETTINGS = (
    "vocabulary.size=2000",
    "network.embedding=128",
    "network.encoder_hidden=64",
    "network.decoder_hidden=128",
    "network.dropout=0.2",
    "training.batch_tokens=1500",
    "training.learning_rate=3e-3",
    "training.schedule=plateau",
)


def fit(method: str, folder: Path, extra: list[str]) -> dict[str, object]:
    model, guide, objective = METHODS[method]
    recipe = Path(__file__).parent.parent / "recipes" / "multi30k-de-en.toml"
    command = [sys.executable, "-m", "pyro_align", "fit", "--config", str(recipe)]
    command += ["--model", model, "--guide", guide, "--objective", objective]
    command += ["--out", str(folder)]
    for setting in (*SETTINGS, *extra):
        command += ["--set", setting]
    began = time.monotonic()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{method}: {' '.join(command)} failed")
    metrics = pd.read_csv(folder / "metrics.csv")
    valid = metrics.dropna(subset=["valid/perplexity"])
    results = json.loads((folder / "results.json").read_text())
    return {
        "method": method,
        "epochs": len(valid),
        "valid perplexity, by epoch": " ".join(f"{x:.2f}" for x in valid["valid/perplexity"]),
        "valid KL": round(float(valid["valid/kl"].iloc[-1]), 3),
        "test perplexity": round(results["perplexity"], 2),
        "BLEU": round(results["bleu"], 2),
        "prior entropy": round(results["prior_entropy"], 2),
        "tokens/s": round(float(metrics["train/tokens_per_second"].median())),
        "peak MiB": usage.ru_maxrss // 1024,
        "seconds": round(time.monotonic() - began),
        "signature": results["bleu_signature"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--set", dest="extra", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, help="keep the runs here")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        out = options.out or Path(scratch)
        for method in options.methods:
            folder = out / method.replace(" ", "-")
            rows.append(fit(method, folder, [f"training.epochs={options.epochs}", *options.extra]))
            table = pd.DataFrame(rows)
            print(table.drop(columns="signature").to_string(index=False), flush=True)
    print(f"BLEU {rows[0]['signature']}")


if __name__ == "__main__":
    main()
