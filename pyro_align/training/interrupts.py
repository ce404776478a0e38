"""Raise an exception on SIGTERM, so that a fit cleans up and says how to resume."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyro_align.errors import Terminated


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """Raise :class:`~pyro_align.errors.Terminated` on SIGTERM; in the main thread only."""

    def stop(number: int, frame: Any) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
