"""Loggers of a fit: ``metrics.csv``, and optionally an experiment tracker."""

from __future__ import annotations

import importlib.util
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.loggers import Logger

from pyro_align.config import Config
from pyro_align.errors import ConfigError
from pyro_align.files import atomic_write
from pyro_align.training.distributed import is_first_process
from pyro_align.training.logs import MetricsCSV

PROJECT = "pyro-align"
"""Default project (Weights & Biases) or experiment (MLflow)."""


def check_logger(name: str) -> None:
    """Check that the package of a logger is installed.

    Raises:
        ConfigError: if it is not; the message gives the command that installs it.
    """
    if name != "csv" and importlib.util.find_spec(name) is None:
        raise ConfigError(
            f"training.logger = {name!r} needs the package {name}: pip install 'pyro-align[{name}]'"
        )


@contextmanager
def open_loggers(config: Config, folder: Path, step: int) -> Iterator[list[Logger]]:
    """Open the loggers of a fit; on exit, finish the run of the tracker.

    A resumed fit continues the tracker's run: its id is kept in ``logger.json``.

    Args:
        config: configuration, logged as hyperparameters.
        folder: the run folder.
        step: optimiser step to continue from.

    Raises:
        ConfigError: if the tracker cannot be started.
    """
    csv = MetricsCSV(folder / "metrics.csv", step)
    name = config.training.logger
    if name == "csv":
        yield [csv]
        return
    kept = folder / "logger.json"
    found = json.loads(kept.read_text(encoding="utf-8")) if step and kept.is_file() else {}
    try:
        logger = _tracker(name, folder, found.get(name))
        logger.log_hyperparams(config.model_dump(mode="json", exclude_none=True))
        run_id = str(logger.version)
    except Exception as error:  # trackers raise various types: no login, no server, no disk space
        raise ConfigError(
            f"training.logger = {name!r}: {name} cannot be started: {error}; fix this, or log "
            f"only to metrics.csv with training.logger=csv"
        ) from error
    if is_first_process():
        with atomic_write(kept, "t") as file:
            json.dump({name: run_id}, file)
    try:
        yield [csv, logger]
    finally:
        if name == "wandb" and is_first_process():
            # Lightning leaves it open, so the next fit in this process would log to it.
            logger.experiment.finish()  # type: ignore[attr-defined]


def _tracker(name: str, folder: Path, run_id: str | None) -> Logger:
    """Lightning's logger for a new or an existing run of the tracker."""
    from lightning.pytorch import loggers

    if name == "tensorboard":
        return loggers.TensorBoardLogger(
            folder, name="", version="tensorboard", default_hp_metric=False
        )
    if name == "wandb":
        return loggers.WandbLogger(
            name=folder.name,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            save_dir=folder,
            id=run_id or uuid.uuid4().hex[:8],
        )
    import mlflow

    return loggers.MLFlowLogger(
        experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT),
        run_name=folder.name,
        tracking_uri=mlflow.get_tracking_uri(),
        run_id=run_id,
    )
