"""Methods that are functions of a batch: computed once where asked for, and with one dropout."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, TypeVar

import torch

Method = TypeVar("Method", bound=Callable[..., Any])


def shared(method: Method) -> Method:
    """Make ``method(self, batch)`` of a module a function of its parameters and the batch.

    - Its dropout, in training mode, is drawn from the batch's noise: two calls have the same
      result, whoever makes them.
    - Of a batch that is :meth:`~pyro_align.batch.Batch.sharing` it is computed once, which saves
      time and changes nothing else. The project's objectives share the batch between guide, model
      and baseline; a stock Pyro ELBO calls the method anew each time.

    Random numbers are separate for each method's qualified name.
    """
    name = method.__qualname__

    @wraps(method)
    def wrapper(self: Any, batch: Any) -> Any:
        # A result computed without a graph must not serve a caller that differentiates it.
        key = (self, name, torch.is_grad_enabled())
        if batch.computed is not None and key in batch.computed:
            return batch.computed[key]
        noise = batch.noise.drawn(batch.target.device, name) if self.training else nullcontext()
        with noise:
            result = method(self, batch)
        if batch.computed is not None:
            batch.computed[key] = result
        return result

    return wrapper  # type: ignore[return-value]


def shared_arguments(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A program's arguments, each batch replaced by its ``sharing()``."""
    return tuple(arg.sharing() if hasattr(arg, "sharing") else arg for arg in args)
