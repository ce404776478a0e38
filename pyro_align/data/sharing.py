"""Methods whose results model, guide and baseline share: one computation, one dropout mask."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, TypeVar

import torch

Method = TypeVar("Method", bound=Callable[..., Any])


def shared(method: Method) -> Method:
    """Decorate ``method(self, batch)`` of a module so that repeated calls give the same result.

    - In training mode its dropout masks are drawn from the noise of the batch, so that two calls
      on the same batch give the same result.
    - The result is cached for a batch that is :meth:`~pyro_align.data.batch.Batch.sharing`, which
      saves time and changes nothing else. The objectives of this package share the batch between
      guide, model and baseline; a stock Pyro ELBO computes the result at each call.

    Each qualified method name has its own random numbers.
    """
    name = method.__qualname__

    @wraps(method)
    def wrapper(self: Any, batch: Any) -> Any:
        # A result computed without a graph must not be returned to a caller that needs gradients.
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
