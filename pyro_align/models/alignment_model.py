"""What a model of this package is: a Pyro program and the few methods others may ask of it."""

from __future__ import annotations

from abc import abstractmethod

from jaxtyping import Float
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.batch import Batch
from pyro_align.distributions import TokenDistribution
from pyro_align.inference.program import Program
from pyro_align.inference.sharing import shared
from pyro_align.networks import SequenceToSequence, States


class AlignmentModel(Program):
    """A generative process of target sentences given source sentences.

    ``model(batch)`` is a Pyro program with the plates ``sentences`` (dim −2) and ``positions``
    (dim −1), the observed site ``tokens`` and, if :attr:`latent` is not ``none``, the latent site
    ``alignment``. A subclass writes :meth:`forward` and :meth:`next_token`.

    Args:
        networks: embeddings, encoder, decoder, scorer and emission.
    """

    def __init__(self, networks: SequenceToSequence):
        super().__init__()
        self.networks = networks

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """The generative process; returns the target tokens."""

    @abstractmethod
    def next_token(
        self, states: States, top_k: int | None = None
    ) -> Float[Tensor, "batch target vocabulary"]:
        """Log ``p(y_t | x, y_<t)`` for the whole vocabulary, alignments marginalised out.

        Args:
            states: of the positions to predict.
            top_k: marginalise over the K most probable source positions only, their prior
                renormalised; None for all.
        """

    @shared
    @pyro_method
    def states(self, batch: Batch) -> States:
        """Decoder states and prior scores under teacher forcing, what guides build on."""
        states: States = self.networks(batch)
        return states

    @pyro_method
    def expected_emission(self, states: States) -> TokenDistribution:
        """Token distribution from the context expected under the prior: soft attention."""
        weights = states.scores.softmax(-1).to(states.memory.values.dtype)
        return self.networks.emission(states.hidden, weights @ states.memory.values)
