"""Multi30k, German to English, with and without a latent variable of the sentence pair.

    PYRO_ALIGN_DATA=… python benchmarks/variational_nmt.py --out runs/variational --seeds 1

Sizes and vocabulary are those of the recipe multi30k-de-en, with fewer epochs and a cosine schedule
so that a fit takes at most 20 minutes of one core. Both models have the same word dropout; the
latent variable has free bits. Alignments are summed out exactly in both. The negative log
likelihood of the test captions is exact without the latent variable, and with it estimated by
importance weighting, an upper bound in expectation; translations are those of the prior's mean,
with beam 5.

What is in the folder `--out` is neither fitted nor evaluated again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
from common import machine, markdown, save

RECIPE = Path(__file__).parent.parent / "recipes" / "multi30k-de-en.toml"
SETTINGS = (
    "network.word_dropout=0.1",
    "training.epochs=10",
    "training.batch_tokens=2000",
    "training.schedule=cosine",
)
METHODS = {
    "without": ("categorical", "none"),
    "with": (
        *("variational", "gaussian", "model.latent=8"),
        "objective.free_bits_per_dimension=0.2",
    ),
}
"""Model, guide and further settings."""


def pyro_align(*words: str) -> str:
    """Run a command with one thread, and return what it prints."""
    threads = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pyro_align", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=threads, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def row(method: str, seed: int, out: Path, draws: int) -> dict[str, object]:
    """Fit a run, unless it exists, and evaluate it."""
    folder = out / f"{method}-{seed}"
    model, guide, *settings = METHODS[method]
    evaluation = folder / f"evaluation-{draws}.json"
    if not (evaluation.exists() or (folder / "results.json").exists()):
        given = [f"seed={seed}", *SETTINGS, *settings]
        pyro_align(
            *("fit", "--config", str(RECIPE), "--overwrite", "--device", "cpu", "--quiet"),
            *("--model", model, "--guide", guide, "--objective", "exact", "--out", str(folder)),
            *(word for setting in given for word in ("--set", setting)),
        )
    if not evaluation.exists():
        chosen = ("--draws", str(draws)) if guide == "gaussian" else ()
        evaluation.write_text(pyro_align("evaluate", str(folder), "--json", "--quiet", *chosen))
    found = json.loads(evaluation.read_text())
    means = found.get("per_sentence")
    nll = -found["log_evidence"] * found["tokens"] / found["sentences"]
    seconds = pd.read_csv(folder / "metrics.csv")["train/seconds"].max()
    return {
        "latent variable": method,
        "seed": seed,
        "NLL": f"{nll:.2f}",
        "ELBO": f"{means['elbo']:.2f}" if means else None,
        "KL": f"{means['divergences']['sentence']:.2f}" if means else None,
        "perplexity": f"{found['perplexity']:.3f}",
        "BLEU": f"{found['bleu']:.2f}",
        "chrF": f"{found['chrf']:.2f}",
        "s": f"{seconds:.0f}",
    }


def main() -> None:
    """Fit, evaluate and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--draws", type=int, default=300, help="importance samples per caption")
    parser.add_argument("--note", default="one thread", help="how the machine was used")
    arguments = parser.parse_args()
    rows = [
        row(method, seed, arguments.out, arguments.draws)
        for seed in arguments.seeds
        for method in METHODS
    ]
    report = (
        f"{machine(arguments.note)}\n\n"
        f"Nats per caption of test_2016_flickr (1,000 captions), {arguments.draws} importance "
        f"samples; BLEU is cased, 13a. Settings: `{' '.join(SETTINGS)}`, and "
        f"`{' '.join(METHODS['with'][2:])}` with the latent variable; s: seconds of training.\n\n"
        f"{markdown(pd.DataFrame(rows))}"
    )
    save("variational_nmt", "Variational translation", report)
    print(report)


if __name__ == "__main__":
    main()
