"""Baselines (control variates) for score-function gradients.

A baseline is subtracted from the cost. It must not depend on the alignment whose cost it is
subtracted from; the gradient then stays unbiased and only its variance changes. There are two
kinds. A :class:`Prediction` predicts the cost before an alignment is sampled: it wraps the guide
and sets ``infer["baseline"]`` at the site ``alignment``, the option that stock ``TraceGraph_ELBO``
and this package's :class:`ScoreFunctionELBO` read. :class:`LeaveOneOut` computes the baseline from
the costs of the other samples, which only the objective knows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pyro_align.data.batch import Batch
from pyro_align.distributions import MarkovChain, TokenSubset
from pyro_align.errors import IncompatibleError
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.traces import SiteHandler, program_name, underlying

BASELINE_OF_STEPS = "baseline_of_steps"
"""Key of ``infer`` at the site of a path: the part of ``infer["baseline"]`` for each step."""


class Baseline(nn.Module, ABC):
    """Base class of baselines: a module, so that checkpoints save its parameters and buffers."""

    samples: ClassVar[int] = 1
    """Minimum number of alignments sampled per position."""

    def prepare(self, model: Any) -> None:
        """Create the parameters whose sizes depend on the model; idempotent."""

    @abstractmethod
    def handle(self, model: Any, guide: Callable[[Batch], Any]) -> Callable[[Batch], Any]:
        """Wrap the guide to set the part of the baseline that is known before the costs."""

    @abstractmethod
    def forward(
        self, costs: Float[Tensor, "sample batch target"], mask: Bool[Tensor, "batch target"]
    ) -> Float[Tensor, "sample batch target"]:
        """Return the factor of each alignment's score: its cost minus the baseline.

        Args:
            costs: costs minus the baseline that the wrapped guide set; zero on padding; without
                gradient.
            mask: true on real target positions.
        """


class NoBaseline(Baseline):
    """No baseline, except one that the guide itself sets in ``infer["baseline"]``."""

    def handle(self, model: Any, guide: Callable[[Batch], Any]) -> Callable[[Batch], Any]:
        """Return the guide unchanged."""
        return guide

    def forward(self, costs: Tensor, mask: Tensor) -> Tensor:
        """Return the costs unchanged."""
        return costs


class LeaveOneOut(Baseline):
    """Mean cost of the other samples of the same position (RLOO; Kool et al. 2019)."""

    samples = 2

    def handle(self, model: Any, guide: Callable[[Batch], Any]) -> Callable[[Batch], Any]:
        """Return the guide unchanged."""
        return guide

    def forward(self, costs: Tensor, mask: Tensor) -> Tensor:
        """Subtract from each cost the mean of the others."""
        number = len(costs)
        return (costs - costs.mean(0)) * (number / (number - 1))


class Prediction(Baseline, ABC):
    """A baseline that predicts the cost of each target position from the model and the batch."""

    @abstractmethod
    def value(self, model: Any, batch: Batch) -> Float[Tensor, "batch target"]:
        """Predict the cost. Gradients may flow to the baseline's own parameters only."""

    def handle(self, model: Any, guide: Callable[[Batch], Any]) -> GuideWithBaseline:
        """Wrap the guide to set ``infer["baseline"]``; also works with ``TraceGraph_ELBO``."""
        # Handlers around the model, such as poutine.scale, hide its methods.
        model = underlying(model)
        self.prepare(model)
        return GuideWithBaseline(self, model, guide)

    def forward(self, costs: Tensor, mask: Tensor) -> Tensor:
        """Return the costs unchanged: the prediction is subtracted already."""
        return costs


class SoftAttentionBaseline(Prediction):
    """``log p(y_t | E_p[m_z])``, the log likelihood under soft attention (Deng et al. 2018).

    It predicts the log likelihood of the tokens. If the cost also contains a sampled KL divergence,
    as in stock ``TraceGraph_ELBO``, it is still a valid baseline but reduces the variance less. The
    normaliser is estimated, see :func:`estimated_log_prob`.
    """

    def value(self, model: Any, batch: Batch) -> Tensor:
        """Compute the soft-attention log likelihood of each target token."""
        require(self, model, "states", "expected_emission")
        # Outside no_grad: model and guide share the states and differentiate them.
        states = model.states(batch)
        with torch.no_grad():
            return estimated_log_prob(model.expected_emission(states), batch.target)


def estimated_log_prob(
    emission: Any, target: Int[Tensor, "batch target"]
) -> Float[Tensor, "batch target"]:
    """Compute the log probability of the targets, of a large vocabulary with few of its tokens.

    The normaliser is estimated from the tokens of the batch and a few others, see
    :class:`~pyro_align.distributions.TokenSubset`. A baseline need not be more precise.

    Args:
        emission: a distribution over the vocabulary.
        target: token ids.
    """
    if hasattr(emission, "among"):
        vocabulary = int(emission.support.upper_bound) + 1
        subset = TokenSubset.with_required(target, vocabulary)
        if subset is not None:
            emission, target = emission.among(subset), subset.positions(target)
    log_prob: Tensor = emission.log_prob(target)
    return log_prob


class AverageBaseline(Prediction):
    """Running average of the cost per target token, a scalar.

    The mean of all costs for the first :attr:`horizon` steps, then an exponential moving average.
    It is updated when gradients are enabled, with the costs of a step *after* they have used it.
    Stock ``TraceGraph_ELBO`` does not pass it the costs, so there it never changes.

    Args:
        horizon: number of steps averaged over.
    """

    average: Tensor
    steps: Tensor

    def __init__(self, horizon: int = 100):
        super().__init__()
        self.horizon = horizon
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("steps", torch.zeros(()))

    def value(self, model: Any, batch: Batch) -> Tensor:
        """Expand the average to the shape of the targets."""
        return self.average.expand(batch.target.shape)

    def forward(self, costs: Tensor, mask: Tensor) -> Tensor:
        """Return the costs, which are relative to the average, and update it with their mean."""
        if torch.is_grad_enabled():
            # In place: distributed training broadcasts the buffers of the first process.
            self.steps += 1
            mean = costs.sum() / (len(costs) * mask.sum())
            self.average += mean / self.steps.clamp_max(self.horizon)
        return costs


class GuideWithBaseline(nn.Module):
    """A guide with the prediction of a baseline; it has the parameters of both."""

    def __init__(self, baseline: Prediction, model: Any, guide: Callable[[Batch], Any]):
        super().__init__()
        self.baseline = baseline
        self.guide = guide
        # Bypasses Module.__setattr__, which would register the model as a child.
        self.__dict__["model"] = model
        self.__name__ = program_name(guide)

    def forward(self, batch: Batch) -> Any:
        """Run the guide with the baseline set."""
        self.baseline.to(batch.target.device)
        value = self.baseline.value(self.model, batch)
        value = value.masked_fill(~batch.target_mask, 0.0)

        def set_baseline(msg: Any) -> None:
            particles = msg["value"].shape[: -MAX_PLATE_NESTING - len(msg["fn"].event_shape)]
            of_positions = _option(value.expand(*particles, *value.shape))
            if isinstance(msg["fn"], MarkovChain):
                msg["infer"][BASELINE_OF_STEPS] = of_positions
                whole = value.sum(-1, keepdim=True)
                msg["infer"]["baseline"] = _option(whole.expand(*particles, *whole.shape))
            else:
                msg["infer"]["baseline"] = of_positions

        with SiteHandler(after=set_baseline):
            return self.guide(batch)


def _option(baseline: Tensor) -> dict[str, Tensor]:
    # Pyro drops leading dimensions of size one when it sums a cost to its plates.
    while baseline.dim() > 0 and baseline.shape[0] == 1:
        baseline = baseline.squeeze(0)
    return {"baseline_value": baseline}


def require(baseline: Baseline, model: Any, *needs: str) -> None:
    """Check that a model has the attributes that a baseline uses.

    Raises:
        IncompatibleError: if one is missing.
    """
    if not all(hasattr(model, need) for need in needs):
        raise IncompatibleError(
            f"{type(baseline).__name__} needs a model with the attributes {', '.join(needs)}, such "
            f"as an AlignmentModel, but {program_name(model)} lacks them: use another baseline"
        )
