"""Progress output and ``metrics.csv`` of a fit."""

from __future__ import annotations

import csv
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from pyro_align.evaluation.quantities import QUANTITIES, named
from pyro_align.files import atomic_write
from pyro_align.training.module import TrainingModule

LOG_EVERY = 20
"""Optimiser steps between rows of training metrics."""

COLUMNS = (
    "step",
    "epoch",
    "train/perplexity",
    "train/elbo",
    "train/kl",
    "train/kl_weight",
    "train/learning_rate",
    "train/tokens_per_second",
    "train/seconds",
    "valid/perplexity",
    "valid/elbo",
    "valid/kl",
)
"""Columns of ``metrics.csv``: perplexities, nats per token, steps, and seconds of training since
the start of the fit, without validation and interruptions. Cells are empty if not measured."""


class MetricsCSV(Logger):
    """Logger that writes one row per measurement to ``metrics.csv``, immediately.

    Args:
        path: the file; existing rows are kept up to ``step``.
        step: optimiser step to continue from.
    """

    def __init__(self, path: Path, step: int = 0):
        super().__init__()
        self.path = path
        self._start(step)

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """Version of the logger."""
        return "csv"

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """Do nothing: hyperparameters are in the run's configuration."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a row."""
        row = {name: value for name, value in metrics.items() if name in COLUMNS}
        row["step"] = (step or 0) + 1  # Lightning counts from 0
        row["epoch"] = int(metrics.get("epoch", 0)) + 1
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)

    @rank_zero_only
    def _start(self, step: int) -> None:
        """Write the header, and the rows before the step that training resumes from."""
        kept: list[dict[str, str]] = []
        if step and self.path.exists():
            with self.path.open(newline="", encoding="utf-8") as file:
                # The last row may be incomplete if the process was killed.
                whole = [row for row in csv.DictReader(file) if None not in row.values()]
            kept = [row for row in whole if int(row["step"]) <= step]
        with atomic_write(self.path, "t") as rows:
            writer = csv.DictWriter(rows, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)


class StepRows(Callback):
    """Log training metrics every :data:`LOG_EVERY` optimiser steps and at the end of an epoch.

    It must come before the callback that saves checkpoints: Lightning's own logging comes after it
    and could lose a row if the process is killed in between.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log a row if one is due."""
        assert isinstance(pl_module, TrainingModule)
        if pl_module.device.type == "cpu":
            pl_module.refuse_nonfinite()
        is_last = trainer.is_last_batch or trainer.should_stop
        is_step = is_last or (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if is_step and (is_last or trainer.global_step % LOG_EVERY == 0):
            figures = pl_module.figures()
            pl_module.log_dict(figures, logger=False)
            for logger in trainer.loggers:
                row = {**figures, "epoch": trainer.current_epoch}
                logger.log_metrics(row, step=trainer.global_step - 1)


def in_notebook() -> bool:
    """Whether this process is a notebook kernel."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


class EpochLines(Callback):
    """Print one line per epoch on standard error, or on standard output in a notebook.

    Args:
        target: what a target position is called.
    """

    def __init__(self, target: str) -> None:
        self._speed = named(QUANTITIES["tokens_per_second"].unit, target.removeprefix("target "))
        self._began = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the metrics of the epoch."""
        if not trainer.is_global_zero:
            return
        of = {name: float(value) for name, value in trainer.callback_metrics.items()}
        perplexity = QUANTITIES["perplexity"]
        parts = [
            f"epoch {trainer.current_epoch + 1:3d}",
            f"{time.monotonic() - self._began:5.0f} s",
            f"valid {perplexity.heading} {of['valid/perplexity']:8.3f}",
            f"{QUANTITIES['elbo'].heading} {of['valid/elbo']:7.3f}",
            f"{QUANTITIES['kl'].heading} {of['valid/kl']:6.3f}",
        ]
        if "train/perplexity" in of:
            assert isinstance(pl_module, TrainingModule)
            trained, speed = pl_module.epoch_figures()
            parts.append(f"train {perplexity.heading} {trained:8.3f}")
            parts.append(f"{speed:7.0f} {self._speed}")
        stream = sys.stdout if in_notebook() else sys.stderr
        print("  ".join(parts), file=stream, flush=True)


class FitProgress(TQDMProgressBar):
    """Lightning's progress bar with this package's metrics, removed after each epoch."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=5, leave=False)

    def on_train_epoch_start(self, trainer: Trainer, *args: Any) -> None:
        """Number epochs from 1; Lightning counts from 0."""
        super().on_train_epoch_start(trainer, *args)
        self.train_progress_bar.set_description(f"epoch {trainer.current_epoch + 1}")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """Return perplexity, ELBO, KL divergence and tokens/s of the last steps."""
        shown = {
            "ppl": "train/perplexity",
            **{
                QUANTITIES[name].heading: f"train/{name}"
                for name in ("elbo", "kl", "tokens_per_second")
            },
        }
        metrics = trainer.callback_metrics
        return {
            label: f"{float(metrics[name]):.4g}" for label, name in shown.items() if name in metrics
        }
