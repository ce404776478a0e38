"""The training loop, a Lightning trainer built from a configuration."""

from __future__ import annotations

import logging
import math
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyro
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import Tensor, nn

from pyro_align.config import Config, TrainingConfig
from pyro_align.data import BatchLoader, Examples, FixedBatches
from pyro_align.errors import (
    ConfigError,
    InterruptedTraining,
    OutputError,
    Terminated,
    TrainingError,
)
from pyro_align.inference import Objective
from pyro_align.inference.traces import own_parameters
from pyro_align.training.averaging import WeightAverage
from pyro_align.training.batches import buckets
from pyro_align.training.checkpoint import (
    BestWeights,
    ResumePoint,
    SafeCheckpointIO,
    StepLimit,
)
from pyro_align.training.collapse import CollapseWarning
from pyro_align.training.distributed import processes
from pyro_align.training.interrupts import sigterm_raises
from pyro_align.training.lagging import LaggingInference
from pyro_align.training.loggers import check_logger, open_loggers
from pyro_align.training.logs import EpochLines, FitProgress, StepRows, in_notebook
from pyro_align.training.module import CRITERION, TrainingModule
from pyro_align.training.optimization import PlateauSchedule
from pyro_align.training.resumed import is_unchanged, plain, refuse_changes, refuse_fewer_epochs


def fit(
    config: Config,
    model: Any,
    guide: Any,
    objective: Objective,
    train: Examples,
    valid: Examples,
    folder: Path,
    notes: Mapping[str, str] | None = None,
    quiet: bool = False,
    target: str = "target token",
    echo: Callable[[str], None] = lambda message: None,
) -> float:
    """Train model and guide, continuing from the checkpoint in ``folder`` if there is one.

    Args:
        config: the configuration.
        model: a Pyro program over a batch.
        guide: a Pyro program over a batch.
        objective: an ELBO for model and guide.
        train: training examples.
        valid: validation examples.
        folder: folder for ``weights.safetensors``, ``metrics.csv`` and ``checkpoints/``.
        notes: metadata saved with the best weights.
        quiet: disable the progress bar and the line per epoch.
        target: what a target position is called in the line per epoch.
        echo: called with a message if epochs are added for ``training.min_steps``.

    Returns:
        Seconds of training and validation, including those before a resume.

    Raises:
        TrainingError: if the loss is not finite (the message names step, batch and the last valid
            checkpoint), or if training was interrupted.
        RunError: if a checkpoint cannot be read.
        OutputError: if a checkpoint, weights or metrics cannot be written.
        ConfigError: if a requested device or feature is not available on this machine.
    """
    training = config.training
    check_machine(training, model, guide)
    devices, nodes = processes(training)
    checkpoint = folder / "checkpoints" / "last.ckpt"
    resume = checkpoint if checkpoint.exists() else None
    step = 0
    if resume is not None:
        saved = SafeCheckpointIO().load_checkpoint(resume)
        refuse_changes(config, saved, folder)
        step = saved["global_step"]
    progress = _progress(quiet, target)
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
                BestWeights(folder / "weights.safetensors", notes or {}, training.keep),
                # After validation, which is before a checkpoint at the end of an epoch.
                Stopping(
                    CRITERION,
                    patience=training.early_stopping or sys.maxsize,
                    check_on_train_epoch_end=False,
                ),
                *([WeightAverage(training.average)] if training.average else []),
                *_occasional(training, own_parameters(guide, model)),
                ResumePoint(checkpoint, training.checkpoint_every, plain(config)),
                *progress,
            ],
            plugins=[SafeCheckpointIO()],
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            enable_progress_bar=any(isinstance(each, FitProgress) for each in progress),
        )
        # Every process has its own dropout and samples.
        rank, world_size = trainer.global_rank, trainer.world_size
        pyro.set_rng_seed((config.seed + rank) % 2**32)
        own = {"rank": rank, "world_size": world_size}
        pin = trainer.strategy.root_device.type == "cuda"
        batches = BatchLoader(train, buckets(config, train, shuffle=True, **own), pin)
        per_epoch = math.ceil(len(batches) / training.accumulate)
        most = training.max_steps or sys.maxsize
        epochs = max(training.epochs, math.ceil(min(training.min_steps, most) / per_epoch))
        if epochs > training.epochs:
            echo(
                f"{epochs} epochs instead of {training.epochs}, since each has {per_epoch} "
                f"optimiser steps, and training.min_steps is {training.min_steps}"
            )
        if resume is not None:
            refuse_fewer_epochs(epochs, saved, folder)
        trainer.fit_loop.max_epochs = epochs
        steps = min(epochs * per_epoch, most)
        # After the seed is set, since an objective may create a network of its own.
        module = TrainingModule(model, guide, objective, training, steps)
        try:
            trainer.fit(
                module,
                batches,
                FixedBatches(valid, buckets(config, valid, shuffle=False, **own), pin),
                ckpt_path=resume,
                weights_only=True,
            )
        except TrainingError as error:
            kept = f"last valid checkpoint: {_good(checkpoint)}"
            raise TrainingError(error.reason, kept) from None
        except OutputError as error:
            raise OutputError(
                f"{error}; free disk space, then continue with "
                f"`pyro-align fit --resume {shlex.quote(str(folder))}`"
            ) from error
    return module.fit_seconds


class Stopping(EarlyStopping):
    """Early stopping that takes its patience from the configuration, also after a resume."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the state."""
        super().load_state_dict({**state_dict, "patience": self.patience})


def check_machine(training: TrainingConfig, *programs: nn.Module) -> None:
    """Check that the requested devices and features are available on this machine.

    Args:
        training: settings of the training.
        *programs: model and guide, as soon as they are known.

    Raises:
        ConfigError: naming the setting.
    """
    if training.accelerator == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "training.accelerator = 'cuda', but this machine has no CUDA device: use "
            "--device cpu, or --set training.accelerator=cpu"
        )
    devices, _ = processes(training)
    if _uses_cuda(training) and devices > (there := torch.cuda.device_count()):
        raise ConfigError(
            f"{devices} devices requested, but this machine has {there}: reduce "
            f"--devices, or train on the CPU with --device cpu"
        )
    modules = (module for program in programs for module in program.modules())
    uses_lstm = any(isinstance(module, nn.LSTM) for module in modules)
    if training.precision == "bf16" and uses_lstm and not _uses_cuda(training):
        # PyTorch calls oneDNN, which does not implement it.
        raise ConfigError(
            "training.precision = 'bf16' needs a CUDA device, since LSTMs in bf16 are not "
            "supported on the CPU: use training.precision=fp32, or network.cell=gru"
        )
    check_logger(training.logger)


def _uses_cuda(training: TrainingConfig) -> bool:
    return training.accelerator != "cpu" and torch.cuda.is_available()


def _good(checkpoint: Path) -> str:
    if not checkpoint.exists():
        return "none yet"
    return f"{checkpoint} (step {saved_step(checkpoint)})"


def _occasional(training: TrainingConfig, inferred: Sequence[Tensor]) -> list[Callback]:
    """Callbacks that depend on the configuration."""
    callbacks: list[Callback] = []
    if inferred:
        callbacks.append(CollapseWarning(inferred))
    if training.lagging:
        callbacks.append(LaggingInference())
    if training.schedule == "plateau":
        callbacks.append(PlateauSchedule(CRITERION, training.patience))
    return callbacks


def _progress(quiet: bool, target: str) -> list[Callback]:
    """Callbacks that show progress: a line per epoch, and a progress bar on a terminal."""
    if quiet:
        return []
    return [EpochLines(target), *([FitProgress()] if sys.stderr.isatty() or in_notebook() else [])]


def is_finished(config: Config, folder: Path) -> bool:
    """Whether the last checkpoint of a finished fit was saved with this configuration.

    If so, there is nothing left to train. Since checkpoints are usually saved before the end of an
    epoch, resuming would train the last epoch again.
    """
    checkpoint = folder / "checkpoints" / "last.ckpt"
    if not checkpoint.exists():
        return False
    saved: dict[str, Any] = SafeCheckpointIO().load_checkpoint(checkpoint)["config"]
    return is_unchanged(config, saved)


def saved_step(checkpoint: Path) -> int:
    """Return the number of optimiser steps of a checkpoint.

    Raises:
        RunError: if the file is damaged or truncated.
    """
    step: int = SafeCheckpointIO().load_checkpoint(checkpoint)["global_step"]
    return step


@contextmanager
def _interruptible(folder: Path) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into an error that says how to resume; restore signal handlers."""
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    kept = f"continue with `pyro-align fit --resume {folder}`"
    try:
        with sigterm_raises():
            yield
    except (KeyboardInterrupt, Terminated) as cause:
        raise InterruptedTraining(cause, kept) from None
    except SystemExit as ended:
        # Lightning exits when interrupted, and leaves Ctrl-C disabled.
        if not isinstance(ended.__context__, KeyboardInterrupt):
            raise
        raise InterruptedTraining(ended.__context__, kept) from None
    finally:
        if is_main:
            signal.signal(signal.SIGINT, handler)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Lightning's advertisements, and advice that does not apply to this loader."""
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
                r"Found \d+ module\(s\) in eval mode.*",  # from a frozen model
                r"You're resuming from a checkpoint that ended before the epoch ended.*",
            ):
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
