"""Several processes, started by ``torchrun`` or by Lightning itself (``--devices N``)."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

from pyro_align.config import TrainingConfig

_PREPARED = "pyro_align/prepared"
_PATIENCE = timedelta(days=1)
"""A large corpus takes its time."""


def is_first_process() -> bool:
    """Whether this process makes the run folder and reports; the only one is the first."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def under_torchrun() -> bool:
    """Whether ``torchrun`` has started this process and decides how many there are."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def processes(training: TrainingConfig) -> tuple[int, int]:
    """Number of processes on each machine, and of machines; ``torchrun`` has the last word."""
    if not under_torchrun():
        return training.devices, 1
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    return here, int(os.environ["WORLD_SIZE"]) // here


def after_first_process(prepare: Callable[[], None]) -> None:
    """Let the first process do something alone, the others go on when it is done.

    ``torchrun`` starts all processes at once, so the others wait for a word. Lightning starts the
    others from within the first one's training, when the preparation lies behind it.
    """
    if is_first_process():
        prepare()
    if under_torchrun():
        from torch.distributed.rendezvous import rendezvous

        # No process group: Lightning makes its own, with the backend that fits the devices, and a
        # second one in the same store would wait for ever.
        store, _, _ = next(rendezvous("env://"))
        if is_first_process():
            store.set(_PREPARED, "yes")
        else:
            store.wait([_PREPARED], _PATIENCE)
