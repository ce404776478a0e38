"""Models with a categorical alignment, run with a relaxed alignment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
from pyro.poutine.messenger import Messenger
from torch import Tensor


def relaxed(model: Callable[..., Any], relax: Callable[[Tensor], Any]) -> Callable[..., Any]:
    """Replace the Categorical at ``alignment`` by a relaxation of it.

    The result is the model to use with a relaxed guide in stock Pyro ELBOs::

        SVI(relaxed(model, guide.relax), guide, optim, Trace_ELBO())

    Args:
        model: a program whose emission accepts weights of the source positions.
        relax: maps logits to the distribution that replaces their Categorical.
    """
    return RelaxedAlignment(relax)(model)


class RelaxedAlignment(Messenger):
    """The handler behind :func:`relaxed`."""

    def __init__(self, relax: Callable[[Tensor], Any]):
        super().__init__()
        self.relax = relax

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == "alignment" and isinstance(msg["fn"], dist.Categorical):
            msg["fn"] = self.relax(msg["fn"].logits)
