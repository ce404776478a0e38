"""Several processes, started by ``torchrun`` or by Lightning itself (``--devices N``)."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch


def is_first_process() -> bool:
    """Whether this process makes the run folder and reports; the only one is the first."""
    return int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0


def after_first_process(prepare: Callable[[], None]) -> None:
    """Let the first process do something alone, the others go on when it is done.

    ``torchrun`` starts all processes at once, so they meet at a barrier. Lightning starts the
    others from within the first one's training, when the preparation lies behind it.
    """
    if is_first_process():
        prepare()
    if "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1:
        torch.distributed.init_process_group("gloo")
        torch.distributed.barrier()
        # Lightning makes its own group, with the backend that fits the devices.
        torch.distributed.destroy_process_group()
