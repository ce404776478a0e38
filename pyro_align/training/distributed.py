"""Training in several processes, started by ``torchrun`` or by Lightning (``--devices N``)."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

from pyro_align.config import TrainingConfig

_PREPARED = "pyro_align/prepared"
_PATIENCE = timedelta(days=1)
"""Timeout of the preparation, which may take long for a large corpus."""


def is_first_process() -> bool:
    """Whether this process creates the run folder and prints output."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def under_torchrun() -> bool:
    """Whether this process was started by ``torchrun``."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def processes(training: TrainingConfig) -> tuple[int, int]:
    """Number of processes per machine, and of machines; ``torchrun`` overrides the settings."""
    if not under_torchrun():
        return training.devices, 1
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    return here, int(os.environ["WORLD_SIZE"]) // here


def after_first_process(prepare: Callable[[], None]) -> None:
    """Run a preparation in the first process only; the others wait until it is done.

    ``torchrun`` starts all processes at once, so the others wait for a message. Lightning starts
    the others from within the training of the first, after the preparation.
    """
    if is_first_process():
        prepare()
    if under_torchrun():
        from torch.distributed.rendezvous import rendezvous

        # No process group: Lightning creates its own, with the backend for the devices, and a
        # second one in the same store would deadlock.
        store, _, _ = next(rendezvous("env://"))
        if is_first_process():
            store.set(_PREPARED, "yes")
        else:
            store.wait([_PREPARED], _PATIENCE)
