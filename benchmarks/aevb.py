"""Figures 2 and 3 of Kingma & Welling 2014: AEVB, wake-sleep and Monte Carlo EM.

    PYRO_ALIGN_DATA=path/to/data python benchmarks/aevb.py --save

Frey Face (Gaussian decoder), and with --digits the 1,797 digits of scikit-learn (Bernoulli decoder)
in place of MNIST. Minibatches of 100, one sample, Adagrad, one seed.

- Figure 2: evidence lower bound against training samples seen, 200 hidden units, with 2, 5, 10 and
  20 latent dimensions; the step size of each curve is the best of --rates after an eighth of the
  training, by the bound of the training set.
- Figure 3: marginal likelihood, 3 latent dimensions, 100 hidden units, 1,000 training points. It is
  estimated by importance sampling with 200 samples of a Gaussian per point, whose moments are those
  of Markov chains of the posterior; the same for all methods, whether they have an encoder or not.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyro
import pyro.distributions as dist
import torch
from common import RESULTS, machine, markdown, save
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from pyro_align.config import TrainingConfig
from pyro_align.data import VectorBatch, VectorExamples
from pyro_align.guides import NoGuide
from pyro_align.inference import (
    Likelihood,
    MonteCarloEM,
    WakeSleep,
    score_sentences,
    sentence_plate,
)
from pyro_align.training import TrainingModule

sys.path.insert(0, str(Path(__file__).parents[1]))

from examples.gaussian_vae import Decoder, Encoder

BATCH = 100
OBJECTIVES = {"AEVB": Likelihood, "wake-sleep": WakeSleep, "MCEM": MonteCarloEM}
COLOURS = {"AEVB": "C0", "wake-sleep": "C1", "MCEM": "C2"}


class Minibatches(IterableDataset):  # type: ignore[type-arg]
    """Shuffled minibatches without end."""

    def __init__(self, vectors: Tensor):
        self.examples = VectorExamples(vectors)

    def __iter__(self) -> Iterator[VectorBatch]:
        random = np.random.default_rng(0)
        while True:
            order = random.permutation(len(self.examples))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                yield self.examples.batch(order[start : start + BATCH])


class Adagrad(TrainingModule):
    """The package's training module with the optimiser of the publication."""

    def configure_optimizers(self) -> Any:
        return torch.optim.Adagrad(self.parameters(), lr=self.settings.learning_rate)


class Curve(Callback):
    """Measures at steps that are spaced logarithmically."""

    def __init__(self, steps: int, points: int, measure: Callable[[], dict[str, float]]):
        self.at = set(np.geomspace(steps / 2 ** (points - 1), steps, points).round().astype(int))
        self.measure = measure
        self.rows: list[dict[str, float]] = []

    def on_train_batch_end(self, trainer: Trainer, *args: Any, **kwargs: Any) -> None:
        if trainer.global_step in self.at:
            self.rows.append({"samples": trainer.global_step * BATCH, **self.measure()})


def train(
    method: str,
    vectors: Tensor,
    *,
    latent: int,
    hidden: int,
    steps: int,
    rate: float,
    points: int,
    bernoulli: bool,
    measure: Callable[[Any, Any], dict[str, float]],
) -> list[dict[str, float]]:
    """Train from the same initial weights and return a row per measurement."""
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    size = vectors.shape[1]
    model = Decoder(size, latent, hidden, bernoulli=bernoulli)
    guide: Any = NoGuide(model) if method == "MCEM" else Encoder(size, latent, hidden)
    for parameter in [*model.parameters(), *guide.parameters()]:
        torch.nn.init.normal_(parameter, std=0.01 if parameter.dim() == 1 else 0.05)
    settings = TrainingConfig(learning_rate=rate, clip=1e9, schedule="constant")
    module = Adagrad(model, guide, OBJECTIVES[method](), settings)
    curve = Curve(steps, points, lambda: measure(model, guide))
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        gradient_clip_val=1e9,
        callbacks=[curve],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(Minibatches(vectors), batch_size=None))
    return curve.rows


def bounds(parts: dict[str, VectorBatch]) -> Callable[[Any, Any], dict[str, float]]:
    """Lower bound per example of each part, averaged over ten samples."""

    def measure(model: Any, guide: Any) -> dict[str, float]:
        return {
            name: float(score_sentences(model, guide, batch, draws=10).elbo.mean())
            for name, batch in parts.items()
        }

    return measure


class Moments:
    """A Gaussian per example with the moments of Markov chains, as a guide."""

    def __init__(self, samples: Tensor):  # [example, sample, dimension]
        centred = samples - samples.mean(1, keepdim=True)
        identity = 1e-6 * torch.eye(samples.shape[-1])
        covariance = centred.mT @ centred / samples.shape[1]
        self.loc = samples.mean(1)
        # Wider than the posterior, so that weights are bounded.
        self.scale_tril = torch.linalg.cholesky(1.5 * covariance + identity)

    def __call__(self, batch: VectorBatch) -> None:
        loc, scale = (each[batch.indices].unsqueeze(1) for each in (self.loc, self.scale_tril))
        with sentence_plate(batch):
            pyro.sample("code", dist.MultivariateNormal(loc, scale_tril=scale))


def evidence(
    parts: dict[str, VectorBatch], *, chains: int = 2, burn: int = 50, kept: int = 30
) -> Callable[[Any, Any], dict[str, float]]:
    """Marginal likelihood per example of each part."""

    def measure(model: Any, guide: Any) -> dict[str, float]:
        found = {}
        for name, batch in parts.items():
            rows, sampler = batch.repeated(chains), MonteCarloEM()
            values = {"code": torch.randn(len(rows), 1, model.latent)}
            samples = []
            for number in range(burn + kept):
                values = dict(sampler.move(model, rows, values).values)
                if number >= burn:
                    samples.append(values["code"].reshape(len(batch), chains, -1))
            proposal = Moments(torch.cat(samples, 1))
            scores = score_sentences(model, proposal, batch, draws=200)
            found[name] = float(scores.log_evidence.mean())
            found[f"{name}, sample size"] = float(scores.effective_sample_size.mean())
        return found

    return measure


def figure_two(vectors: Tensor, options: argparse.Namespace, *, bernoulli: bool) -> pd.DataFrame:
    """Bounds of AEVB and wake-sleep by latent dimensions."""
    held, trained = vectors[:200], vectors[200:]
    parts = {"train": VectorBatch.of(trained[:500]), "test": VectorBatch.of(held)}
    frames = []
    for latent in options.dimensions:
        for method in ("AEVB", "wake-sleep"):
            common = {
                "latent": latent,
                "hidden": 200,
                "bernoulli": bernoulli,
                "measure": bounds(parts),
            }
            tried = {
                rate: train(
                    method, trained, rate=rate, steps=options.steps // 8, points=1, **common
                )[-1]["train"]
                for rate in options.rates
            }
            rate = max(tried, key=lambda each: np.nan_to_num(tried[each], nan=-np.inf))
            rows = train(method, trained, rate=rate, steps=options.steps, points=8, **common)
            frame = pd.DataFrame(rows).assign(method=method, latent=latent, rate=rate)
            print(frame.tail(1).to_string(header=False), flush=True)
            frames.append(frame)
    return pd.concat(frames)


def figure_three(vectors: Tensor, options: argparse.Namespace, *, bernoulli: bool) -> pd.DataFrame:
    """Marginal likelihood of all three methods."""
    held, trained = vectors[:200], vectors[200:1200]
    parts = {"train": VectorBatch.of(trained[:60]), "test": VectorBatch.of(held[:60])}
    frames = []
    for method in OBJECTIVES:
        began = time.perf_counter()
        rows = train(
            method,
            trained,
            latent=3,
            hidden=100,
            steps=options.steps // 2,
            rate=options.rates[0],
            points=5,
            bernoulli=bernoulli,
            measure=evidence(parts),
        )
        frame = pd.DataFrame(rows).assign(method=method)
        print(frame.to_string(), f"{time.perf_counter() - began:.0f} s", flush=True)
        frames.append(frame)
    return pd.concat(frames)


def draw(two: pd.DataFrame, three: pd.DataFrame, path: Path) -> None:
    """Draw both figures."""
    dimensions = sorted(two["latent"].unique())
    figure, axes = plt.subplots(1, len(dimensions) + 1, figsize=(3 * len(dimensions) + 3, 3.2))
    for axis, latent in zip(axes, dimensions, strict=False):
        for method, rows in two[two["latent"] == latent].groupby("method"):
            axis.plot(rows["samples"], rows["train"], color=COLOURS[method], label=method)
            axis.plot(rows["samples"], rows["test"], color=COLOURS[method], linestyle="--")
        axis.set(title=f"{latent} dimensions", xscale="log", xlabel="training samples seen")
        # The first steps are far below.
        axis.set_ylim(two["test"].quantile(0.25), two["train"].max() + 10)
    axes[0].set_ylabel("lower bound (nats per example)")
    axes[0].legend(loc="lower right", title="solid: training, dashed: test")
    for method, rows in three.groupby("method"):
        axes[-1].plot(rows["samples"], rows["train"], color=COLOURS[method], label=method)
        axes[-1].plot(rows["samples"], rows["test"], color=COLOURS[method], linestyle="--")
    axes[-1].set(title="marginal likelihood")
    axes[-1].set_xlabel("training samples seen")
    axes[-1].legend(loc="upper left")
    figure.tight_layout()
    figure.savefig(path)


def frey() -> Tensor:
    """Read the 1,965 faces, in random order."""
    if not (folder := os.environ.get("PYRO_ALIGN_DATA")):
        sys.exit("set PYRO_ALIGN_DATA to the folder that contains frey/freyfaces.npz")
    faces = np.load(Path(folder) / "frey" / "freyfaces.npz")["faces"]
    return _shuffled(faces.reshape(len(faces), -1).astype(np.float32) / 255)


def digits() -> Tensor:
    """Read the 1,797 digits of scikit-learn, in random order; grey values round to 0 and 1."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        sys.exit("--digits needs scikit-learn: pip install scikit-learn")
    return _shuffled((load_digits().data > 7.5).astype(np.float32))


def _shuffled(rows: np.ndarray) -> Tensor:
    return torch.from_numpy(rows[np.random.default_rng(0).permutation(len(rows))])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steps", type=int, default=800, help="steps of figure 2; half of it for figure 3"
    )
    parser.add_argument("--dimensions", type=int, nargs="+", default=[2, 5, 10, 20])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.02, 0.1])
    parser.add_argument("--digits", action="store_true", help="digits in place of faces")
    parser.add_argument("--save", action="store_true", help="write results/aevb.md and a picture")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.disable(logging.INFO)
    vectors = digits() if options.digits else frey()
    two = figure_two(vectors, options, bernoulli=options.digits)
    three = figure_three(vectors, options, bernoulli=options.digits)
    last = two.groupby(["latent", "method"], sort=False).last().reset_index()
    last = last.round({"train": 1, "test": 1})
    table = three.round(2)[["method", *three.columns.drop("method")]]
    name = "aevb_digits" if options.digits else "aevb"
    report = "\n\n".join(
        [
            machine("1 thread, one seed"),
            f"![curves]({name}.svg)",
            "Bound after the last step, nats per example:",
            markdown(last),
            "Marginal likelihood, nats per example (importance sampling with 200 samples of a "
            "Gaussian with the moments of Markov chains of the posterior):",
            markdown(table),
        ]
    )
    print(report)
    if options.save:
        title = "AEVB, wake-sleep and Monte Carlo EM"
        save(name, f"{title} on {'digits' if options.digits else 'Frey Face'}", report)
        draw(two, three, RESULTS / f"{name}.svg")


if __name__ == "__main__":
    main()
