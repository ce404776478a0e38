"""The training loop: Lightning, put together from a configuration."""

from __future__ import annotations

import logging
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyro
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import nn

from pyro_align.config import Config, TrainingConfig
from pyro_align.corpus import BatchLoader, FixedBatches, IndexedCorpus
from pyro_align.errors import (
    ConfigError,
    InterruptedTraining,
    OutputError,
    Terminated,
    TrainingError,
)
from pyro_align.inference import Objective
from pyro_align.training.checkpoint import (
    BestWeights,
    ResumePoint,
    SafeCheckpointIO,
    StepLimit,
)
from pyro_align.training.collapse import CollapseWarning
from pyro_align.training.data import buckets
from pyro_align.training.distributed import processes
from pyro_align.training.interrupts import sigterm_raises
from pyro_align.training.loggers import check_logger, open_loggers
from pyro_align.training.logs import EpochLines, FitProgress, StepRows, in_notebook
from pyro_align.training.optimization import PlateauSchedule
from pyro_align.training.resumed import plain, refuse_changes
from pyro_align.training.task import CRITERION, AlignmentTask
from pyro_align.training.weights import own_parameters


def fit(
    config: Config,
    model: Any,
    guide: Any,
    objective: Objective,
    train: IndexedCorpus,
    valid: IndexedCorpus,
    folder: Path,
    notes: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> float:
    """Train model and guide, going on from ``folder``'s checkpoint if there is one.

    Args:
        config: seed, training and validation settings.
        model: a Pyro program over a batch.
        guide: a Pyro program over a batch.
        objective: an ELBO that takes both.
        train: training pairs.
        valid: validation pairs.
        folder: where ``weights.safetensors``, ``metrics.csv`` and ``checkpoints/`` go.
        notes: kept with the best weights.
        quiet: whether to leave out the progress bar and the line per epoch.

    Returns:
        Seconds of training and validation, those before a resume added.

    Raises:
        TrainingError: if a loss is no number, naming step, batch and the last good checkpoint; or
            if training was interrupted.
        RunError: if a checkpoint cannot be read.
        OutputError: if a checkpoint, weights or metrics cannot be written.
        ConfigError: if this machine has not what is asked for.
    """
    training = config.training
    check_machine(config)
    devices, nodes = processes(training)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    resume = checkpoint if checkpoint.exists() else None
    step = 0
    if resume is not None:
        saved = SafeCheckpointIO().load_checkpoint(resume)
        refuse_changes(config, saved, folder)
        step = saved["global_step"]
    progress = _progress(quiet)
    with _quiet(), _interruptible(folder), open_loggers(config, folder, step) as loggers:
        trainer = Trainer(
            accelerator="cuda" if _uses_cuda(training) else "cpu",
            devices=devices,
            num_nodes=nodes,
            strategy="ddp" if devices * nodes > 1 else "auto",
            precision="bf16-mixed" if training.precision == "bf16" else "32-true",
            max_epochs=training.epochs,
            accumulate_grad_batches=training.accumulate,
            gradient_clip_val=training.clip,
            logger=loggers,
            callbacks=[
                StepLimit(training.max_steps),
                StepRows(),
                BestWeights(folder / "weights.safetensors", notes or {}),
                Stopping(CRITERION, patience=training.early_stopping),
                ResumePoint(checkpoint, training.checkpoint_every, plain(config)),
                *_occasional(training, own_parameters(guide, model)),
                *progress,
            ],
            plugins=[SafeCheckpointIO()],
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            enable_progress_bar=any(isinstance(each, FitProgress) for each in progress),
        )
        # Dropout and samples of their own in every process.
        rank, world_size = trainer.global_rank, trainer.world_size
        pyro.set_rng_seed((config.seed + rank) % 2**32)
        # Only now, for an objective may make a network of its own.
        task = AlignmentTask(model, guide, objective, training)
        own = {"rank": rank, "world_size": world_size}
        pin = trainer.strategy.root_device.type == "cuda"
        try:
            trainer.fit(
                task,
                BatchLoader(train, buckets(config, train, shuffle=True, **own), pin),
                FixedBatches(valid, buckets(config, valid, shuffle=False, **own), pin),
                ckpt_path=resume,
                weights_only=True,
            )
        except TrainingError as error:
            kept = f"last good checkpoint: {_good(checkpoint)}"
            raise TrainingError(error.reason, kept) from None
        except OutputError as error:
            raise OutputError(
                f"{error}; make room, then go on with "
                f"`pyro-align fit --resume {shlex.quote(str(folder))}`"
            ) from error
    return task.fit_seconds


class Stopping(EarlyStopping):
    """Early stopping whose patience is that of the configuration after a resume too."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        super().load_state_dict({**state_dict, "patience": self.patience})


def check_machine(config: Config) -> None:
    """Refuse a configuration that asks for what is not there.

    Raises:
        ConfigError: naming the setting.
    """
    training = config.training
    if training.accelerator == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "training.accelerator = 'cuda', but this machine has no CUDA device: use "
            "--device cpu, or --set training.accelerator=cpu"
        )
    devices, _ = processes(training)
    if _uses_cuda(training) and devices > (there := torch.cuda.device_count()):
        raise ConfigError(
            f"{devices} devices asked for, but this machine has {there}: lower "
            f"--devices, or train on the CPU with --device cpu"
        )
    uses_lstm = config.network.cell == "lstm"
    if training.precision == "bf16" and uses_lstm and not _uses_cuda(training):
        # PyTorch hands it to oneDNN, which has no such primitive.
        raise ConfigError(
            "training.precision = 'bf16' needs a CUDA device, for the CPU has no LSTM in bf16: "
            "take training.precision=fp32, or network.cell=gru"
        )
    check_logger(training.logger)


def _uses_cuda(training: TrainingConfig) -> bool:
    return training.accelerator != "cpu" and torch.cuda.is_available()


def _good(checkpoint: Path) -> str:
    if not checkpoint.exists():
        return "none yet"
    return f"{checkpoint} (step {saved_step(checkpoint)})"


def _occasional(training: TrainingConfig, inferred: Sequence[nn.Parameter]) -> list[Callback]:
    """Callbacks that not every fit has."""
    callbacks: list[Callback] = []
    if inferred:
        callbacks.append(CollapseWarning(inferred))
    if training.schedule == "plateau":
        callbacks.append(PlateauSchedule(CRITERION, training.patience))
    return callbacks


def _progress(quiet: bool) -> list[Callback]:
    """Callbacks that show how training goes: lines, and where it can be seen a bar."""
    if quiet:
        return []
    return [EpochLines(), *([FitProgress()] if sys.stderr.isatty() or in_notebook() else [])]


def is_finished(config: Config, folder: Path) -> bool:
    """Whether a finished fit's last checkpoint was made with this very configuration.

    There is nothing to train then: checkpoints lie before the end of an epoch, and the last
    epoch would be trained once more.
    """
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if not checkpoint.exists():
        return False
    saved: dict[str, Any] = SafeCheckpointIO().load_checkpoint(checkpoint)["config"]
    return saved == plain(config)


def saved_step(checkpoint: Path) -> int:
    """Optimiser steps that lie behind a checkpoint.

    Raises:
        RunError: if the file is damaged or cut off.
    """
    step: int = SafeCheckpointIO().load_checkpoint(checkpoint)["global_step"]
    return step


@contextmanager
def _interruptible(folder: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM end in an error that says how to go on; handlers stay as they were."""
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    kept = f"go on with `pyro-align fit --resume {folder}`"
    try:
        with sigterm_raises():
            yield
    except (KeyboardInterrupt, Terminated) as cause:
        raise InterruptedTraining(cause, kept) from None
    except SystemExit as ended:
        # Lightning exits when it is interrupted, and leaves Ctrl-C without effect.
        if not isinstance(ended.__context__, KeyboardInterrupt):
            raise
        raise InterruptedTraining(ended.__context__, kept) from None
    finally:
        if is_main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advertisements, and its advice that does not fit this loader."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in (
                r".*does not have many workers.*",
                r".*GPU available but not used.*",
                r"The number of training batches \(.*\) is smaller than the logging interval.*",
                r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6 on torch 2.13
                r"Found \d+ module\(s\) in eval mode.*",  # a frozen model's
                r"You're resuming from a checkpoint that ended before the epoch ended.*",
            ):
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
