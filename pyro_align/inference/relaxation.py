"""Models with a categorical alignment, run with a relaxed alignment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
from torch import Tensor

from pyro_align.inference.traces import SiteHandler


def relaxed(model: Callable[..., Any], relax: Callable[[Tensor], Any]) -> Callable[..., Any]:
    """Replace the Categorical at ``alignment`` by a relaxation of it.

    The result is the model to use with a relaxed guide in stock Pyro ELBOs::

        SVI(relaxed(model, guide.relax), guide, optim, Trace_ELBO())

    Args:
        model: a program whose emission accepts weights of the source positions.
        relax: maps logits to the distribution that replaces their Categorical.
    """

    def replace(msg: Any) -> None:
        if isinstance(msg["fn"], dist.Categorical):
            msg["fn"] = relax(msg["fn"].logits)

    handled: Callable[..., Any] = SiteHandler(replace, observed=True)(model)
    return handled


def unrelaxed(guide: Callable[..., Any]) -> Callable[..., Any]:
    """Replace a relaxed alignment of the guide by the Categorical that it relaxes."""

    def replace(msg: Any) -> None:
        if not isinstance(msg["fn"], dist.Categorical):
            msg["fn"] = dist.Categorical(logits=msg["fn"].logits)

    handled: Callable[..., Any] = SiteHandler(replace)(guide)
    return handled
