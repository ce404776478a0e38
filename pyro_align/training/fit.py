"""The training loop: Lightning, put together from a configuration."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from pyro_align.config import Config
from pyro_align.corpus import BatchLoader, BucketBatches, FixedBatches, IndexedCorpus
from pyro_align.errors import ConfigError, TrainingError
from pyro_align.inference import Objective
from pyro_align.training.checkpoint import BestWeights, ResumePoint, SafeCheckpointIO
from pyro_align.training.logs import EpochLines, FitProgress, MetricsCSV
from pyro_align.training.task import LOG_EVERY, AlignmentTask


def fit(
    config: Config,
    model: Any,
    guide: Any,
    objective: Objective,
    train: IndexedCorpus,
    valid: IndexedCorpus,
    folder: Path,
) -> Trainer:
    """Train model and guide, going on from ``folder``'s checkpoint if there is one.

    Args:
        config: seed, training and validation settings.
        model: a Pyro program over a batch.
        guide: a Pyro program over a batch.
        objective: an ELBO that takes both.
        train: training pairs.
        valid: validation pairs.
        folder: where ``weights.safetensors``, ``metrics.csv`` and ``checkpoints/`` go.

    Returns:
        The Lightning trainer, done.

    Raises:
        TrainingError: if a loss is no number; naming step, batch and the last good checkpoint.
        RunError: if a checkpoint cannot be read or written.
    """
    training = config.training
    checkpoint = folder / "checkpoints" / "last.ckpt"
    resume = checkpoint if checkpoint.exists() else None
    step = _step(checkpoint) if resume else 0
    task = AlignmentTask(model, guide, objective, training)
    with _quiet():
        trainer = Trainer(
            accelerator=training.accelerator,
            devices=training.devices,
            strategy="ddp" if training.devices > 1 else "auto",
            precision="bf16-mixed" if training.precision == "bf16" else "32-true",
            max_epochs=training.epochs,
            max_steps=training.max_steps or -1,
            accumulate_grad_batches=training.accumulate,
            gradient_clip_val=training.clip,
            logger=_loggers(folder, training.tensorboard, step),
            callbacks=_callbacks(config, folder, checkpoint),
            plugins=[SafeCheckpointIO()],
            log_every_n_steps=LOG_EVERY,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            enable_progress_bar=sys.stderr.isatty(),
        )
        try:
            trainer.fit(
                task,
                train_dataloaders=BatchLoader(*_batches(config, train, trainer, shuffle=True)),
                val_dataloaders=FixedBatches(*_batches(config, valid, trainer, shuffle=False)),
                ckpt_path=resume,
                weights_only=True,
            )
        except TrainingError as error:
            good = f"{checkpoint}" if checkpoint.exists() else "none yet"
            raise TrainingError(f"{error}; last good checkpoint: {good}") from None
    if trainer.interrupted:
        raise TrainingError(f"interrupted; go on with `pyro-align fit --resume {folder}`")
    return trainer


def _batches(
    config: Config, corpus: IndexedCorpus, trainer: Trainer, *, shuffle: bool
) -> tuple[IndexedCorpus, BucketBatches, bool]:
    """What a loader takes: pairs, batches of them, and whether to pin these."""
    buckets = BucketBatches(
        corpus.source_lengths,
        corpus.target_lengths,
        tokens=config.training.batch_tokens,
        seed=config.seed,
        shuffle=shuffle,
        rank=trainer.global_rank,
        world_size=trainer.world_size,
    )
    return corpus, buckets, trainer.strategy.root_device.type == "cuda"


def _callbacks(config: Config, folder: Path, checkpoint: Path) -> list[Callback]:
    callbacks: list[Callback] = [
        BestWeights(folder / "weights.safetensors"),
        EarlyStopping("valid/perplexity", patience=config.training.early_stopping),
        ResumePoint(checkpoint, config.training.checkpoint_every),
        EpochLines(),
    ]
    if sys.stderr.isatty():
        callbacks.append(FitProgress())
    return callbacks


def _loggers(folder: Path, tensorboard: bool, step: int) -> list[Logger]:
    loggers: list[Logger] = [MetricsCSV(folder / "metrics.csv", step)]
    if tensorboard:
        try:
            loggers.append(TensorBoardLogger(folder, name="", version="tensorboard"))
        except ModuleNotFoundError:
            raise ConfigError(
                "training.tensorboard needs the tensorboard package: "
                "pip install 'pyro-align[tensorboard]'"
            ) from None
    return loggers


def _step(checkpoint: Path) -> int:
    step: int = SafeCheckpointIO().load_checkpoint(checkpoint)["global_step"]
    return step


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Lightning's advertisements, and its advice that does not fit this loader."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in (
                r".*does not have many workers.*",
                r".*GPU available but not used.*",
                r".*isinstance\(treespec, LeafSpec\).*",  # Lightning 2.6 on torch 2.13
                r"You're resuming from a checkpoint that ended before the epoch ended.*",
            ):
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        logger.setLevel(level)
