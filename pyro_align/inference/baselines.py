"""Baselines: what is subtracted from the cost in a score-function gradient.

A baseline is a handler for the guide. It sets ``infer["baseline"]`` at the site ``alignment``,
the option that stock ``TraceGraph_ELBO`` and this package's :class:`ScoreFunctionELBO` read.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from pyro.poutine.messenger import Messenger
from torch import Tensor

from pyro_align.batch import Batch
from pyro_align.errors import IncompatibleError


class Baseline(ABC):
    """Baseline values for every target position, computed from model and batch.

    Args:
        model: the model whose cost is to be predicted.
        guide: the guide to handle.
    """

    def __init__(self, model: Any, guide: Callable[[Batch], Any]):
        self.model = model
        self.guide = guide

    @abstractmethod
    def value(self, batch: Batch) -> Float[Tensor, "batch target"]:
        """Prediction of the downstream cost, zero on padding; without gradient."""

    def __call__(self, batch: Batch) -> Any:
        """Run the guide with the baseline set."""
        with _SetBaseline(self.value(batch)):
            return self.guide(batch)


class SoftAttentionBaseline(Baseline):
    """``log p(y_t | E_p[m_z])``: the likelihood that soft attention would have (Deng et al. §4.1).

    It predicts the log likelihood of the tokens. Where the cost holds a sampled KL divergence too,
    as in stock ``TraceGraph_ELBO``, it is still a valid baseline, only a less good one.
    """

    def value(self, batch: Batch) -> Tensor:
        """Soft-attention log likelihood of each target token."""
        if not (hasattr(self.model, "states") and hasattr(self.model, "expected_emission")):
            raise IncompatibleError(
                f"the soft-attention baseline needs a model with the methods states(batch) and "
                f"expected_emission(states), as AlignmentModel has them; {self.model!r} has not: "
                f"take another baseline"
            )
        # The states are computed with their graph, for model and guide will share them.
        states = self.model.states(batch)
        with torch.no_grad():
            log_likelihood = self.model.expected_emission(states).log_prob(batch.target)
        return log_likelihood.masked_fill(~batch.target_mask, 0.0)


class _SetBaseline(Messenger):
    """Set ``baseline_value`` at ``alignment``, in the shape that Pyro gives the cost."""

    def __init__(self, value: Tensor):
        super().__init__()
        self.baseline = value

    def _pyro_post_sample(self, msg: Any) -> None:
        if msg["name"] == "alignment" and not msg["is_observed"]:
            value = self.baseline.expand(msg["value"].shape)
            # Pyro drops leading dimensions of size one when it sums a cost to its plates.
            while value.dim() > 0 and value.shape[0] == 1:
                value = value.squeeze(0)
            msg["infer"]["baseline"] = {"baseline_value": value}
