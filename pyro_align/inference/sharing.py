"""Computing once a step what model, guide and baseline all need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, TypeVar

import torch

Method = TypeVar("Method", bound=Callable[..., Any])

_scope: ContextVar[dict[tuple[int, ...], tuple[Any, ...]] | None] = ContextVar(
    "pyro_align_shared", default=None
)


@contextmanager
def share_computation() -> Iterator[None]:
    """Within it, a :func:`shared` method computes once for the same object and batch.

    The project's ELBOs enter it around guide and model. Without it every call computes afresh,
    which is as right, only slower, and is what a stock Pyro ELBO sees. A scope within a scope is
    the outer one.
    """
    if _scope.get() is not None:
        yield
        return
    token = _scope.set({})
    try:
        yield
    finally:
        _scope.reset(token)


def shared(method: Method) -> Method:
    """Make ``method(self, batch)`` compute once within :func:`share_computation`."""

    @wraps(method)
    def wrapper(self: Any, batch: Any) -> Any:
        scope = _scope.get()
        if scope is None:
            return method(self, batch)
        # A result computed without a graph must not serve a caller that differentiates it.
        key = (id(self), id(method), id(batch), int(torch.is_grad_enabled()))
        if key not in scope:
            # The batch is kept too: its id must not be given to another object meanwhile.
            scope[key] = (method(self, batch), self, batch)
        return scope[key][0]

    return wrapper  # type: ignore[return-value]
