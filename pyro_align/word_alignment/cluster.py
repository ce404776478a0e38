"""Alignment of the files of a folder by the workers of a Ray cluster."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyro_align.errors import ConfigError, RunError
from pyro_align.word_alignment.shards import AlignShard, Results, align_each, align_shard

OBJECT_STORE = 100 * 2**20
"""Bytes of the object store of a local Ray instance, through which only file names pass."""


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
    """Align files like :func:`~pyro_align.word_alignment.align_shards`, on a Ray cluster.

    Each worker loads the aligner once and has a CPU or a GPU of its own. A file whose worker is
    killed is restarted by the next free worker. All nodes need this package, and must see the
    folders under the same absolute paths. An existing connection to Ray is reused.

    Args:
        load: returns the function that writes the links of one file; called by each worker, so it
            must be picklable.
        source: the folder of sentence pairs.
        target: the folder of links.
        echo: called with one line per file, in the order of completion.
        address: address of the cluster for ``ray.init``; ``local`` starts Ray on this machine.
        workers: maximum number of workers; default one per CPU, or GPU, of the cluster.
        on_gpu: whether each worker uses a GPU; None to use GPUs if the cluster has any.

    Returns:
        The files that failed, with the reason.

    Raises:
        ConfigError: if Ray is not installed, or the cluster cannot be reached or has no GPU.
        RunError: if a worker cannot start.
        DataError: if ``source`` is not a folder or contains no files.
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
                # So that a killed worker loses one file only.
                max_tasks_in_flight_per_actor=1,
            )
            # One block, and so one task, per file: results arrive as soon as a file is done.
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
                    f"a Ray worker failed: {reason}; every node needs pyro-align, and the run and "
                    "both folders under the same paths. Completed files are kept"
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
    """Return the resources of a worker, for Ray Data, and how many workers the cluster can hold."""
    gpus = int(resources.get("GPU", 0))
    if on_gpu and not gpus:
        raise ConfigError("the Ray cluster has no GPU: use --device cpu")
    if gpus and on_gpu is not False:
        return {"num_gpus": 1}, gpus
    return {"num_cpus": 1}, max(1, int(resources.get("CPU", 1)))


@contextmanager
def _connected(address: str, workers: int | None) -> Iterator[Any]:
    """Connect Ray to a cluster within the context, unless it is connected already."""
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
            f"--ray {address}: cannot connect to a Ray cluster ({reason}); it may need a token "
            "(RAY_AUTH_TOKEN). `ray start --head` starts a cluster, and --ray local starts one "
            "on this machine for this command"
        ) from error
    try:
        with _quiet(ray):
            yield ray
    finally:
        ray.shutdown()


@contextmanager
def _mute() -> Iterator[None]:
    """Suppress standard error, including that of native code; exceptions are not affected."""
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
    """Suppress Ray's progress bars and console logs; its log files are kept."""
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
