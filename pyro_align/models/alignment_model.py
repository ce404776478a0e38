"""Base class of models: a Pyro program and the methods that guides, objectives and search use."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, final

import pyro.distributions as dist
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
    ``alignment``. A subclass writes :meth:`forward` and :meth:`next_token`; both take the
    distribution of an alignment from :meth:`prior`, and so do guides, posteriors and the search.
    To change the prior, override that method.

    Args:
        networks: embeddings, encoder, decoder, scorer and emission.
    """

    def __init__(self, networks: SequenceToSequence):
        super().__init__()
        self.networks = networks

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse an override of :meth:`states`, which a search would not call."""
        super().__init_subclass__(**kwargs)
        if "states" in vars(cls):
            raise TypeError(
                f"{cls.__name__} overrides states(batch), which is not called where a translation "
                f"is searched: override prior(states) to change the distribution of alignments, "
                f"or pass other networks"
            )

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

    @final
    @shared
    @pyro_method
    def states(self, batch: Batch) -> States:
        """Decoder states and attention scores under teacher forcing, which guides build on."""
        states: States = self.networks(batch)
        return states

    @final
    @shared
    @pyro_method
    def features(
        self, batch: Batch
    ) -> tuple[Float[Tensor, "batch source feature"], Float[Tensor, "batch target feature"]]:
        """Features of the source and target tokens, which guides may read."""
        features: tuple[Tensor, Tensor] = self.networks.features(batch)
        return features

    @pyro_method
    def prior(self, states: States) -> Any:
        """Distribution of each alignment given the source and the target before it.

        Categorical over the source positions with the attention scores as logits. It is the only
        place that says what the prior is: an override holds in training, evaluation, posteriors
        and search alike.

        Args:
            states: of the positions to align. In a search they are those of unfinished
                translations; ``states.positions`` says where in the target they stand.

        Returns:
            A distribution of batch shape ``(batch, target)``.
        """
        return dist.Categorical(logits=states.scores)

    @pyro_method
    def expected_emission(self, states: States) -> TokenDistribution:
        """Token distribution from the context expected under the prior: soft attention."""
        weights = self.prior(states).probs.to(states.memory.values.dtype)
        return self.networks.emission(states.hidden, weights @ states.memory.values)
