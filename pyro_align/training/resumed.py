"""Changed settings of a resumed fit: each one is applied or rejected by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyro_align.config import Config, TrainingConfig
from pyro_align.errors import ConfigError

CHANGEABLE = frozenset(
    {
        # Text files may be moved; their content is checked elsewhere.
        "data.train",
        "data.valid",
        "data.test",
        "data.gold",
        "training.accelerator",
        "training.checkpoint_every",
        "training.clip",
        "training.devices",  # ResumePoint rejects a different number of processes
        "training.early_stopping",
        "training.epochs",
        "training.learning_rate",
        "training.logger",
        "training.max_steps",
        "training.min_steps",
        "training.patience",
        "training.weight_decay",
    }
)
"""Settings that may change when a fit is resumed; they apply from the checkpoint on."""


def plain(config: Config) -> dict[str, Any]:
    """Return the configuration as plain values, for a checkpoint."""
    return config.model_dump(mode="json")


def is_unchanged(config: Config, saved: Mapping[str, Any]) -> bool:
    """Whether a configuration is the one saved in a checkpoint.

    A setting that the checkpoint lacks, since it was saved before the setting existed, had its
    default.

    Args:
        config: the current configuration.
        saved: configuration in the checkpoint, see :func:`plain`.
    """
    old, now = dict(_flat(saved)), dict(_flat(plain(config)))
    given = dict(_flat(config.model_dump(mode="json", exclude_defaults=True)))
    return {**now, **old} == now and given.keys() <= old.keys()


def refuse_changes(config: Config, checkpoint: Mapping[str, Any], folder: Path) -> None:
    """Raise an error for settings that have changed since the checkpoint but cannot be applied.

    Args:
        config: the current configuration.
        checkpoint: content of the last checkpoint.
        folder: folder of the run, for the message.

    Raises:
        ConfigError: naming the setting, both values, and how to fix it.
    """
    place = folder / "config.toml"
    now = dict(_flat(plain(config)))
    for key, old in _flat(checkpoint.get("config", {})):
        if key in CHANGEABLE or key not in now or now[key] == old:
            continue
        raise ConfigError(
            f"{place}: {key} = {now[key]!r}, but the checkpoint was saved with {old!r}, and this "
            f"cannot change when a fit is resumed: restore the old value, or start a new run from "
            f"this run's weights with `pyro-align fit --from {folder}`"
        )


def refuse_fewer_epochs(epochs: int, checkpoint: Mapping[str, Any], folder: Path) -> None:
    """Raise an error if a fit is already in a later epoch than its last one is to be.

    Args:
        epochs: number of epochs.
        checkpoint: content of the last checkpoint.
        folder: folder of the run, for the message.

    Raises:
        ConfigError: naming the setting, both values, and how to fix it.
    """
    epoch = checkpoint["epoch"] + 1
    if epochs < epoch:
        raise ConfigError(
            f"{folder / 'config.toml'}: training.epochs = {epochs}, but the fit is already in "
            f"epoch {epoch}: set it to {epoch} or more"
        )


def adopt(checkpoint: dict[str, Any], training: TrainingConfig) -> None:
    """Set learning rate and weight decay of a checkpoint's optimiser and schedule to new values.

    A learning rate that a schedule has reduced is reduced by the same factor.
    """
    old = checkpoint.get("config", {}).get("training", {}).get("learning_rate")
    factor = 1.0 if old is None else training.learning_rate / old
    for optimizer in checkpoint["optimizer_states"]:
        for group in optimizer["param_groups"]:
            group["weight_decay"] = training.weight_decay
            for name in group.keys() & {"lr", "initial_lr"}:
                group[name] *= factor
    for schedule in checkpoint["lr_schedulers"]:
        for name in schedule.keys() & {"base_lrs", "_last_lr"}:
            schedule[name] = [rate * factor for rate in schedule[name]]


def _flat(values: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{start}{key}.")
        else:
            yield f"{start}{key}", value
