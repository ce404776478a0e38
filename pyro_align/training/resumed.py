"""Settings of a fit that goes on from a checkpoint: each is honoured, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyro_align.config import Config, TrainingConfig
from pyro_align.errors import ConfigError

CHANGEABLE = frozenset(
    {
        # Text may be moved; that it is the same is checked.
        "data.train",
        "data.valid",
        "data.test",
        "data.gold",
        "training.accelerator",
        "training.checkpoint_every",
        "training.clip",
        "training.devices",  # refused by ResumePoint if the number of processes changes
        "training.early_stopping",
        "training.epochs",
        "training.learning_rate",
        "training.logger",
        "training.max_steps",
        "training.patience",
        "training.weight_decay",
    }
)
"""Settings that may change when a fit goes on: the rest of it is as if it had them from there."""


def plain(config: Config) -> dict[str, Any]:
    """The configuration as plain values, for a checkpoint."""
    return config.model_dump(mode="json")


def refuse_changes(config: Config, checkpoint: Mapping[str, Any], folder: Path) -> None:
    """Refuse settings that a checkpoint was not made with and that would not be honoured.

    Args:
        config: as it is now.
        checkpoint: what the last checkpoint holds.
        folder: of the run, for the message.

    Raises:
        ConfigError: naming the setting, both values, and what to do.
    """
    place = folder / "config.toml"
    now = dict(_flat(plain(config)))
    for key, old in _flat(checkpoint.get("config", {})):
        if key in CHANGEABLE or key not in now or now[key] == old:
            continue
        raise ConfigError(
            f"{place}: {key} = {now[key]!r}, but the checkpoint was made with {old!r}, and a fit "
            f"that goes on cannot change it: put the old value back, or start a new run, with "
            f"`pyro-align fit --from {folder}` from this one's weights"
        )
    epoch = checkpoint["epoch"] + 1
    if config.training.epochs < epoch:
        raise ConfigError(
            f"{place}: training.epochs = {config.training.epochs}, but the fit is in epoch {epoch} "
            f"already: set it to {epoch} or more"
        )


def adopt(checkpoint: dict[str, Any], training: TrainingConfig) -> None:
    """Give the optimiser and schedule of a checkpoint the learning rate and weight decay of now.

    A learning rate that a schedule has lowered is lowered by the same factor.
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
