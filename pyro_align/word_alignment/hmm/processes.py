"""Work in two halves, on two cores if there are two."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch

from pyro_align.errors import RunError

Result = TypeVar("Result")


def available_processes() -> int:
    """Return 2 if a second process can work on another core, else 1.

    It cannot where processes are not forked (all systems but Linux), or if PyTorch is limited to
    one thread, as by ``OMP_NUM_THREADS=1``.
    """
    if sys.platform != "linux" or multiprocessing.current_process().daemon:
        return 1
    return min(2, len(os.sched_getaffinity(0)), torch.get_num_threads())


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit PyTorch to one thread: operations on small tensors are slower with more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_halves(work: Callable[[int], Result], processes: int) -> list[Result]:
    """Return the results of ``work(0)`` and ``work(1)``.

    With two processes, ``work(1)`` runs in a forked process, which sees all variables, but whose
    changes of them are lost: its result must be all that matters. The results are the same with
    one process.

    Args:
        work: does one half.
        processes: 1 or 2.

    Raises:
        RunError: if the process is killed.
    """
    if processes == 1:
        with one_thread():
            return [work(0), work(1)]
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    other = context.Process(target=_send, args=(work, there), daemon=True)
    other.start()
    there.close()
    try:
        with one_thread():
            first = work(0)
        try:
            done, result = pickle.loads(here.recv_bytes())
        except EOFError:
            raise RunError(
                "a process was killed, perhaps because memory ran out: split the text, or set "
                "OMP_NUM_THREADS=1 to use one process"
            ) from None
    finally:
        here.close()
        other.kill()
        other.join()
    if not done:
        raise result
    return [first, result]


def _send(work: Callable[[int], Any], there: Connection) -> None:
    """Send whether ``work(1)`` succeeded, and its result or its exception."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process stops this one
    torch.set_num_threads(1)
    try:
        answer: tuple[bool, Any] = True, work(1)
    except Exception as error:
        answer = False, error
    there.send_bytes(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))
