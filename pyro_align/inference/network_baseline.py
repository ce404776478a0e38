"""A baseline predicted by a neural network."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pyro_align.data.batch import Batch
from pyro_align.distributions import at_least_fp32
from pyro_align.inference.baselines import AverageBaseline, Prediction, require
from pyro_align.inference.program import NamedModule
from pyro_align.inference.traces import underlying

REGRESSION_WEIGHT = 0.01
"""Weight of the squared error in the loss. Adam's steps do not depend on it, but gradients are
clipped by their total norm, which the regression would otherwise dominate."""


class NetworkBaseline(Prediction):
    """A network that predicts the cost from decoder state and token (NVIL; Mnih & Gregor 2014).

    Its inputs are detached. The squared error of its prediction, times :data:`REGRESSION_WEIGHT`,
    is part of the loss, so that the same optimiser trains it. It predicts the difference between
    the cost and its running average.

    Args:
        hidden: number of units of the hidden layer.
    """

    def __init__(self, hidden: int = 64):
        super().__init__()
        self.hidden = hidden
        self.average = AverageBaseline()
        self.network: CostNetwork | None = None

    def prepare(self, model: Any) -> None:
        """Create the network for the sizes of a model.

        Raises:
            IncompatibleError: if the model lacks the attributes ``networks``, ``states`` or
                ``features``.
        """
        if self.network is not None:
            return
        model = underlying(model)
        require(self, model, "networks", "states", "features")
        networks = model.networks
        size = networks.hidden_size + networks.feature_sizes[1]
        # Initialised the same way whenever it is created, without using the global generator.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = CostNetwork(size, self.hidden)
        self.to(next(networks.parameters()))

    def value(self, model: Any, batch: Batch) -> Tensor:
        """Add the network's output to the running average."""
        assert self.network is not None
        hidden = model.states(batch).hidden
        _, token = model.features(batch)
        features = torch.cat([hidden, token], dim=-1).detach()
        output = at_least_fp32(self.network(features))
        constant, learning = output.detach(), output - output.detach()
        return self.average.average + constant + REGRESSION_WEIGHT * learning

    def forward(self, costs: Tensor, mask: Tensor) -> Tensor:
        """Return the costs unchanged and update the running average."""
        return self.average(costs, mask)


class CostNetwork(NamedModule):
    """A network with one hidden layer; a Pyro module, so that ``SVI`` finds its parameters."""

    def __init__(self, size: int, hidden: int):
        super().__init__()
        self.input = nn.Linear(size, hidden)
        self.output = nn.Linear(hidden, 1)
        # Zero at initialisation, so that training starts from the average.
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Float[Tensor, "*shape feature"]) -> Float[Tensor, "*shape"]:
        """Map each feature vector to a scalar."""
        output: Tensor = self.output(torch.tanh(self.input(features)))
        return output.squeeze(-1)
