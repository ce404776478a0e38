"""State of the Markov chains of all examples, which is saved and resumed with a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pyro_align.data.batch import Batch


class PersistentChains(nn.Module):
    """A chain for every example, kept on the CPU between its batches.

    The state is the extra state of a module, since its size is known only when all examples have
    been seen.

    Args:
        step_size: step size to start with.
        acceptance: acceptance rate to start with.

    Attributes:
        step_size: current step size of the integrator.
        acceptance: running mean of the acceptance rate.
    """

    def __init__(self, step_size: float, acceptance: float):
        super().__init__()
        self.step_size = step_size
        self.acceptance = acceptance
        self._values: dict[str, Tensor] = {}  # of every example, by site
        self._started = torch.zeros(0, dtype=torch.bool)

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state as tensors and numbers."""
        return {
            "step_size": self.step_size,
            "acceptance": self.acceptance,
            "values": dict(self._values),
            "started": self._started,
        }

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the state."""
        self.step_size, self.acceptance = state["step_size"], state["acceptance"]
        self._values, self._started = dict(state["values"]), state["started"]

    def continued(
        self, batch: Batch, start: Mapping[str, Float[Tensor, "row 1 *event"]]
    ) -> dict[str, Float[Tensor, "row 1 *event"]]:
        """Return the values of the chains of a batch by site.

        Args:
            batch: the batch.
            start: values of chains that have not started.
        """
        rows = batch.indices
        self._grow(int(rows.max()) + 1, start)
        started = self._started[rows]
        return {
            name: self._values[name][rows].to(value).where(_column(started, value), value)
            for name, value in start.items()
        }

    def keep(self, batch: Batch, values: Mapping[str, Float[Tensor, "row 1 *event"]]) -> None:
        """Keep the values of the chains of a batch."""
        for name, value in values.items():
            self._values[name][batch.indices] = value.cpu()
        self._started[batch.indices] = True

    def _grow(self, count: int, values: Mapping[str, Tensor]) -> None:
        """Make room for the chains of ``count`` examples."""
        missing = count - len(self._started)
        if missing <= 0:
            return
        self._started = torch.cat([self._started, self._started.new_zeros(missing)])
        for name, value in values.items():
            empty = torch.zeros(missing, *value.shape[1:], dtype=value.dtype)
            kept = self._values.get(name)
            self._values[name] = empty if kept is None else torch.cat([kept, empty])


def _column(started: Bool[Tensor, " row"], value: Tensor) -> Tensor:
    return started.reshape(-1, *[1] * (value.dim() - 1)).to(value.device)
