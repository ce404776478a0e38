"""Runs that start from the weights of another run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from pyro_align.config import Component, Config
from pyro_align.config.components import RATES, chosen, reconciled
from pyro_align.config.registry import TASKS
from pyro_align.errors import ConfigError
from pyro_align.inference.traces import own_parameters
from pyro_align.runs.own_code import is_same_class, located, with_own_code
from pyro_align.training import save_weights

START = "start.safetensors"
"""File with the initial weights of a run that starts from another run."""

_CHANGEABLE = ("seed", "data", "guide", "objective", "training")
"""Tables that can change in a run that starts from another run."""


def derived(config: Config, folder: Path, changes: Mapping[str, Any]) -> Config:
    """Return the configuration of a run that starts from the weights of another run.

    Args:
        config: configuration of the run to start from.
        folder: folder of that run.
        changes: new values by key, such as ``guide.name`` and ``training.epochs``.

    Raises:
        ConfigError: for an unknown key, or a new value of one that is fixed by the weights or
            vocabularies.
        IncompatibleError: if the named components cannot be combined.
    """
    fixed = {
        key: value
        for key, value in changes.items()
        if key.partition(".")[0] not in _CHANGEABLE and key not in RATES
    }
    present = config.model_dump(mode="json")
    for key, value in fixed.items():
        if value != _value(present, key):
            raise ConfigError(
                f"{key} cannot be changed in a run that starts from {folder}: its weights and "
                f"vocabularies depend on it; start a new run to change it"
            )
    changes = {key: value for key, value in changes.items() if key not in fixed}
    found = with_own_code(config, folder).changed({"training.freeze_model": False, **changes})
    found = TASKS.get(found.task).derived(found, config, changes)
    return chosen(reconciled(found, {key.partition(".")[0] for key in changes}))


def start_from(
    run: Any, start: Any, guide: Component, notes: Mapping[str, str], echo: Callable[[str], None]
) -> None:
    """Copy the weights of another run and save them in the new run's folder.

    The model's weights are copied; the guide's only if its class and sizes are the same.

    Args:
        run: the new run.
        start: the run to start from.
        guide: the new guide, as given by the user.
        notes: metadata saved with the weights.
        echo: called with a line that says whether the guide starts from weights.

    Raises:
        ConfigError: if the model is frozen and the guide has no parameters.
    """
    run.model.load_state_dict(start.model.state_dict())
    old = located(start.config.guide, start.path)
    weights = start.guide.state_dict()
    fits = _shapes(weights) == _shapes(run.guide.state_dict())
    if kept := fits and is_same_class(guide, old):
        run.guide.load_state_dict(weights)
    trained = own_parameters(run.guide, run.model)
    if run.config.training.freeze_model and not trained:
        raise ConfigError(
            f"guide {run.config.guide.name!r} has no parameters, so with a frozen model there is "
            f"nothing to train: choose another guide, or train the model too (without "
            f"--freeze-model, in Python freeze_model=False)"
        )
    if trained:
        echo(f"guide: {f'starts from the weights of {start.path}' if kept else 'fresh'}")
    save_weights(run.path / START, run.programs, {"from": start.path.name, **notes})


def _value(table: Any, key: str) -> Any:
    """The value of a key such as ``network.embedding``; None if there is none."""
    for name in key.split("."):
        table = table.get(name) if isinstance(table, Mapping) else None
    return table


def _shapes(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in weights.items()}
