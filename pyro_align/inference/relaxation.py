"""Models with a categorical alignment, run with a relaxed one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
from pyro.poutine.messenger import Messenger
from torch import Tensor


def relaxed(model: Callable[..., Any], relax: Callable[[Tensor], Any]) -> Callable[..., Any]:
    """The model with the Categorical at ``alignment`` replaced, so that relaxed values fit it.

    It is the model of stock Pyro's ELBOs that goes with a relaxed guide::

        SVI(relaxed(model, guide.relax), guide, optim, Trace_ELBO())

    Args:
        model: a program whose emission takes weights of the source positions.
        relax: logits to the distribution that takes the place of their Categorical.
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
