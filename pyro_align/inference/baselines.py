"""Baselines: what is subtracted from the cost in a score-function gradient.

A baseline may not depend on the alignment whose cost it is subtracted from; then the gradient's
expectation stays and only its variance changes. There are two kinds. One predicts the cost before
an alignment is drawn (:class:`Prediction`): it is a handler for the guide that sets
``infer["baseline"]`` at the site ``alignment``, the option that stock ``TraceGraph_ELBO`` and this
package's :class:`ScoreFunctionELBO` read. The other takes it from the costs of other alignments
(:class:`LeaveOneOut`), which only the objective knows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn

from pyro_align.batch import Batch
from pyro_align.errors import IncompatibleError
from pyro_align.inference.traces import program_name, underlying


class Baseline(nn.Module, ABC):
    """A module, for what it learns or keeps is part of a training run and of its checkpoints."""

    samples: ClassVar[int] = 1
    """The least number of alignments a position that it works with."""

    def prepare(self, model: Any) -> None:
        """Make what depends on a model's sizes. Called again it does nothing."""

    @abstractmethod
    def handle(self, model: Any, guide: Callable[[Batch], Any]) -> Callable[[Batch], Any]:
        """The guide, asking for what is to be subtracted before the costs are known."""

    @abstractmethod
    def forward(
        self, costs: Float[Tensor, "sample batch target"], mask: Bool[Tensor, "batch target"]
    ) -> Float[Tensor, "sample batch target"]:
        """What multiplies the score of each alignment.

        Args:
            costs: what the handled guide left of the costs; zero on padding; without gradient.
            mask: true on real target positions.
        """


class NoBaseline(Baseline):
    """Nothing is subtracted, but for what a guide of one's own asks for in its ``infer``."""

    def handle(self, model: Any, guide: Callable[[Batch], Any]) -> Callable[[Batch], Any]:
        """The guide as it is."""
        return guide

    def forward(self, costs: Tensor, mask: Tensor) -> Tensor:
        """The costs."""
        return costs


class LeaveOneOut(Baseline):
    """For each alignment the mean cost of the others of its position (RLOO; Kool et al. 2019)."""

    samples = 2

    def handle(self, model: Any, guide: Callable[[Batch], Any]) -> Callable[[Batch], Any]:
        """The guide as it is."""
        return guide

    def forward(self, costs: Tensor, mask: Tensor) -> Tensor:
        """Each cost less the mean of the others."""
        number = len(costs)
        return (costs - costs.mean(0)) * (number / (number - 1))


class Prediction(Baseline, ABC):
    """A value for every target position, computed from model and batch."""

    @abstractmethod
    def value(self, model: Any, batch: Batch) -> Float[Tensor, "batch target"]:
        """Prediction of the cost; a gradient it has reaches parameters of its own alone."""

    def handle(self, model: Any, guide: Callable[[Batch], Any]) -> GuideWithBaseline:
        """The guide with ``infer["baseline"]`` set, for stock ``TraceGraph_ELBO`` as well."""
        # Handlers around the model, such as poutine.scale, have none of its methods.
        model = underlying(model)
        self.prepare(model)
        return GuideWithBaseline(self, model, guide)

    def forward(self, costs: Tensor, mask: Tensor) -> Tensor:
        """The costs, the prediction being subtracted already."""
        return costs


class SoftAttentionBaseline(Prediction):
    """``log p(y_t | E_p[m_z])``: the likelihood that soft attention would have (Deng et al. 2018).

    It predicts the log likelihood of the tokens. Where the cost holds a sampled KL divergence too,
    as in stock ``TraceGraph_ELBO``, it is still a valid baseline, only a less good one.
    """

    def value(self, model: Any, batch: Batch) -> Tensor:
        """Soft-attention log likelihood of each target token."""
        require(self, model, "states", "expected_emission")
        # The states are computed with their graph, for model and guide will share them.
        states = model.states(batch)
        with torch.no_grad():
            log_likelihood: Tensor = model.expected_emission(states).log_prob(batch.target)
        return log_likelihood


class AverageBaseline(Prediction):
    """The running average of the cost of a target token, one number.

    It averages over all costs so far, and from :attr:`horizon` steps on with exponential decay.
    It learns when a gradient is to be taken, from the costs of that step, *after* these have used
    it. Stock ``TraceGraph_ELBO`` does not tell it the costs; there it stays as it is.

    Args:
        horizon: steps that the average reaches back.
    """

    average: Tensor
    steps: Tensor

    def __init__(self, horizon: int = 100):
        super().__init__()
        self.horizon = horizon
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("steps", torch.zeros(()))

    def value(self, model: Any, batch: Batch) -> Tensor:
        """The average."""
        return self.average.expand(batch.target.shape)

    def forward(self, costs: Tensor, mask: Tensor) -> Tensor:
        """The costs, already less the average, which moves by the mean of what is left of them."""
        if torch.is_grad_enabled():
            # In place: where training is distributed the first process sends its buffers to all.
            self.steps += 1
            mean = costs.sum() / (len(costs) * mask.sum())
            self.average += mean / self.steps.clamp_max(self.horizon)
        return costs


class GuideWithBaseline(nn.Module):
    """A guide with a baseline's prediction set; its parameters are those of both."""

    def __init__(self, baseline: Prediction, model: Any, guide: Callable[[Batch], Any]):
        super().__init__()
        self.baseline = baseline
        self.guide = guide
        # Past Module.__setattr__, which would register the model as a child.
        self.__dict__["model"] = model
        self.__name__ = program_name(guide)

    def forward(self, batch: Batch) -> Any:
        """Run the guide."""
        self.baseline.to(batch.target.device)
        value = self.baseline.value(self.model, batch)
        with _SetBaseline(value.masked_fill(~batch.target_mask, 0.0)):
            return self.guide(batch)


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


def require(baseline: Baseline, model: Any, *needs: str) -> None:
    """Refuse a model without the attributes that a baseline uses.

    Raises:
        IncompatibleError: naming them.
    """
    if not all(hasattr(model, need) for need in needs):
        raise IncompatibleError(
            f"{type(baseline).__name__} needs a model with {' and '.join(needs)}, as "
            f"AlignmentModel has them, and {program_name(model)} has not: take another baseline"
        )
