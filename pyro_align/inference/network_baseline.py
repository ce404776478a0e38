"""A baseline that is learnt."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pyro_align.batch import Batch
from pyro_align.distributions import at_least_fp32
from pyro_align.inference.baselines import AverageBaseline, Prediction, require
from pyro_align.inference.program import NamedModule
from pyro_align.inference.traces import underlying

REGRESSION_WEIGHT = 0.01
"""Weight of the squared error. Adam takes the same steps whatever it is; but a gradient is clipped
by the norm of all parameters' together, most of which would be the regression's."""


class NetworkBaseline(Prediction):
    """A network's regression of the cost on decoder state and token (Mnih & Gregor 2014, NVIL).

    It sees both detached, and the squared error of its prediction is part of the loss, weighed by
    :data:`REGRESSION_WEIGHT`, so that the same optimiser trains it. What it predicts is what the
    running average leaves over.

    Args:
        hidden: units of its one hidden layer.
    """

    def __init__(self, hidden: int = 64):
        super().__init__()
        self.hidden = hidden
        self.average = AverageBaseline()
        self.network: CostNetwork | None = None

    def prepare(self, model: Any) -> None:
        """Make the network for the sizes of a model.

        Raises:
            IncompatibleError: if the model does not tell them.
        """
        if self.network is not None:
            return
        model = underlying(model)
        require(self, model, "networks", "states", "features")
        networks = model.networks
        size = networks.hidden_size + networks.feature_sizes[1]
        # Made whenever first needed: always the same, and no draw of the caller's spent.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = CostNetwork(size, self.hidden)
        self.to(next(networks.parameters()))

    def value(self, model: Any, batch: Batch) -> Tensor:
        """Running average plus the network's output."""
        assert self.network is not None
        hidden = model.states(batch).hidden
        _, token = model.features(batch)
        features = torch.cat([hidden, token], dim=-1).detach()
        output = at_least_fp32(self.network(features))
        constant, learning = output.detach(), output - output.detach()
        return self.average.average + constant + REGRESSION_WEIGHT * learning

    def forward(self, costs: Tensor, mask: Tensor) -> Tensor:
        """The costs; the average remembers what is left of them."""
        return self.average(costs, mask)


class CostNetwork(NamedModule):
    """One hidden layer; a Pyro module, so that ``SVI`` finds its parameters."""

    def __init__(self, size: int, hidden: int):
        super().__init__()
        self.input = nn.Linear(size, hidden)
        self.output = nn.Linear(hidden, 1)
        # At first it adds nothing to the average.
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, features: Float[Tensor, "*shape feature"]) -> Float[Tensor, "*shape"]:
        """One number for each vector."""
        output: Tensor = self.output(torch.tanh(self.input(features)))
        return output.squeeze(-1)
