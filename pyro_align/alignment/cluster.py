"""The same on a cluster: files of a folder, aligned by the workers of Ray Data."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyro_align.alignment.shards import AlignShard, Results, align_each, align_shard
from pyro_align.errors import ConfigError, RunError

OBJECT_STORE = 100 * 2**20
"""Bytes of the object store of a Ray that is started here; only names of files go through it."""


def align_shards_on_ray(
    load: Callable[[], AlignShard],
    source: Path,
    target: Path,
    echo: Callable[[str], None],
    *,
    address: str = "auto",
    workers: int | None = None,
    on_gpu: bool | None = False,
) -> dict[Path, str]:
    """As :func:`~pyro_align.alignment.align_shards`, by workers of a Ray cluster.

    Each worker loads what aligns once, and has a CPU or a GPU for itself. A file whose worker is
    killed is begun again by the next that is free. The nodes have this package, and see the
    folders under the same absolute paths. A connection to Ray that is open already is used.

    Args:
        load: makes what writes the links of one file; called by each worker, so it is pickled.
        source: the folder of sentence pairs.
        target: the folder of links.
        echo: told in a line what became of each file, in the order in which they end.
        address: of the cluster, as ``ray.init`` takes it; ``local`` starts Ray on this machine.
        workers: how many at most; by default one for each CPU, or GPU, of the cluster.
        on_gpu: whether each worker has a GPU; None for yes if the cluster has any.

    Returns:
        The files that failed, and why.

    Raises:
        ConfigError: if Ray is not installed, the cluster is not to be had, or has no GPU.
        RunError: if a worker cannot begin.
        DataError: if ``source`` is no folder, or there is no file in it.
    """
    # Workers have another current folder.
    source, target = source.absolute(), target.absolute()

    def by_workers(shards: Sequence[Path]) -> Results:
        with _connected(address, workers) as ray:
            chip, free = _chip(ray.cluster_resources(), on_gpu)
            size = min(len(shards), workers or free)
            echo(f"workers on Ray: {size}")
            pool = ray.data.ActorPoolStrategy(
                size=size,
                # One that is killed has nothing else in hand.
                max_tasks_in_flight_per_actor=1,
            )
            # A block a file, and so a task: what became of it is told at once.
            numbers = ray.data.from_items(
                [{"number": number} for number in range(len(shards))],
                override_num_blocks=len(shards),
            )
            arguments = (load, shards, target)
            done = numbers.map(_Worker, fn_constructor_args=arguments, compute=pool, **chip)
            try:
                for batch in done.iter_batches(batch_size=None, prefetch_batches=0):
                    for number, reason in zip(batch["number"], batch["reason"], strict=True):
                        yield shards[number], reason or None
            except ray.exceptions.RayError as error:
                reason = str(error).strip().splitlines()[-1]
                raise RunError(
                    f"a worker of Ray cannot go on: {reason}; every node needs pyro-align, and the "
                    "run and both folders under the same paths. What is done is kept"
                ) from error

    return align_each(by_workers, source, target, echo)


class _Worker:
    """A process that aligns one file after another."""

    def __init__(self, load: Callable[[], AlignShard], shards: Sequence[Path], target: Path):
        import torch

        torch.set_num_threads(1)  # as many as Ray gives it CPUs
        self.align = load()
        self.shards = shards
        self.target = target

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        reason = align_shard(self.align, self.shards[row["number"]], self.target)
        return {"number": row["number"], "reason": reason or ""}


def _chip(resources: dict[str, float], on_gpu: bool | None) -> tuple[dict[str, int], int]:
    """What a worker has for itself, as Ray Data takes it, and how many of that there are."""
    gpus = int(resources.get("GPU", 0))
    if on_gpu and not gpus:
        raise ConfigError("the Ray cluster has no GPU: take --device cpu")
    if gpus and on_gpu is not False:
        return {"num_gpus": 1}, gpus
    return {"num_cpus": 1}, max(1, int(resources.get("CPU", 1)))


@contextmanager
def _connected(address: str, workers: int | None) -> Iterator[Any]:
    """Ray, connected to a cluster for as long as the context lasts unless it is already."""
    try:
        import ray
        import ray.data
    except ModuleNotFoundError:
        raise ConfigError('--ray needs Ray Data: pip install "pyro-align[ray]"') from None
    if ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # of native code, which has no logger
    started: dict[str, Any] = {}
    if address == "local":
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        started = {"num_cpus": workers, "object_store_memory": OBJECT_STORE}
        started["include_dashboard"] = False
    try:
        if ":" in address and "://" not in address:
            host, _, port = address.rpartition(":")
            # Ray would try for minutes.
            socket.create_connection((host, int(port)), timeout=10).close()
        with _mute():
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.CRITICAL,
                **started,
            )
    except (OSError, RuntimeError, ValueError, TimeoutError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"--ray {address}: no Ray cluster is to be had there ({reason}); one that is there may "
            "want its token (RAY_AUTH_TOKEN); `ray start --head` starts one, and --ray local one "
            "for this call on this machine"
        ) from error
    try:
        with _quiet(ray):
            yield ray
    finally:
        ray.shutdown()


@contextmanager
def _mute() -> Iterator[None]:
    """Nothing on standard error, from native code neither; errors are raised all the same."""
    kept = os.dup(2)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Without progress bars and traces on the screen; Ray keeps its logs in its own folder."""
    context = ray.data.DataContext.get_current()
    screens = [
        handler
        for handler in logging.getLogger("ray.data").handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    bars, levels = context.enable_progress_bars, [screen.level for screen in screens]
    context.enable_progress_bars = False
    for screen in screens:
        screen.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars = bars
        for screen, level in zip(screens, levels, strict=True):
            screen.setLevel(level)
