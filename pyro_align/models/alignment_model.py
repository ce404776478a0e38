"""Base class of models."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, final

import pyro.distributions as dist
from jaxtyping import Bool, Float, Int
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.data.sharing import shared
from pyro_align.distributions import TokenDistribution
from pyro_align.inference.dreams import Dream
from pyro_align.inference.program import Program
from pyro_align.models.ancestral import sample_targets
from pyro_align.networks import Network, States
from pyro_align.nn import Memory, expected


class AlignmentModel(Program):
    """Base class of generative models of target sentences given source sentences.

    ``model(batch)`` is a Pyro program with the plates ``sentences`` (dim −2) and ``positions``
    (dim −1), the observed site ``tokens`` and the sites in
    :attr:`latents`. A subclass implements :meth:`forward` and :meth:`next_token`. Both get the
    distribution of the alignments from :meth:`prior`, as do guides, posteriors and beam search: to
    change the prior, override that method.

    Args:
        networks: the network that computes states, attention scores and features.
    """

    def __init__(self, networks: Network):
        super().__init__()
        self.networks = networks

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Reject an override of :meth:`states`, which beam search would not call.

        Raises:
            TypeError: if the subclass overrides it, but not :meth:`encode`.
        """
        super().__init_subclass__(**kwargs)
        if (
            cls.states is not AlignmentModel.states
            and cls.encode is AlignmentModel.encode  # what beam search calls in its place
        ):
            raise TypeError(
                f"{cls.__name__} overrides states(batch), which beam search does not call: "
                f"override prior(states) to change the distribution of alignments, or pass other "
                f"networks"
            )

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Run the generative process and return the target tokens."""

    @abstractmethod
    def next_token(
        self, states: States, top_k: int | None = None
    ) -> Float[Tensor, "batch target vocabulary"]:
        """Compute ``log p(y_t | x, y_<t)`` for the whole vocabulary, summed over alignments.

        Args:
            states: decoder states of the positions to predict.
            top_k: marginalise over the K most probable source positions only, with the prior
                renormalised; None for all.
        """

    @shared
    @pyro_method
    def states(self, batch: Batch) -> States:
        """Compute decoder states and attention scores under teacher forcing."""
        states: States = self.networks(batch)
        return states

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        mask: Bool[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
    ) -> Memory:
        """Encode sources for a decoder that runs step by step; ``lengths`` must be on the CPU.

        A model that overrides it must override :meth:`states` too, so that beam search and teacher
        forcing agree.
        """
        networks: Any = self.networks
        memory: Memory = networks.encode(source, mask, lengths)
        return memory

    @final
    @shared
    @pyro_method
    def features(
        self, batch: Batch
    ) -> tuple[Float[Tensor, "batch source f"], Float[Tensor, "batch target g"]]:
        """Compute features of the source and target tokens, as inputs of guides."""
        features: tuple[Tensor, Tensor] = self.networks.features(batch)
        return features

    @pyro_method
    def prior(self, states: States) -> Any:
        """Return the distribution of each alignment given the source and the target prefix.

        By default a Categorical over the source positions with the attention scores as logits. An
        override takes effect in training, evaluation, posteriors and beam search.

        Args:
            states: decoder states of the positions to align. In beam search they are those of
                unfinished translations; ``states.positions`` holds their target positions.

        Returns:
            A distribution of batch shape ``(batch, target)``.
        """
        return dist.Categorical(logits=states.scores)

    def predict(self, states: States, past: Float[Tensor, "batch source"] | None) -> States:
        """Prepare the states of one position for :meth:`next_token`, in beam search.

        A model whose alignments depend on each other sets ``log_weights``, which is the prediction
        step of the forward algorithm. Here they do not, and the states are returned unchanged.

        Args:
            states: decoder states of the next position of each row.
            past: result of :meth:`update` for the position before; None for the first position.
        """
        return states

    def update(
        self, states: States, tokens: Int[Tensor, "batch 1"]
    ) -> Float[Tensor, "batch source"] | None:
        """Return what chosen tokens say about their alignments, ``log p(z_t, y_t | y_<t)``.

        This is the update step of the forward algorithm, called if :meth:`predict` sets
        ``log_weights``.

        Args:
            states: result of :meth:`predict`.
            tokens: the tokens that were chosen.
        """
        return None

    @pyro_method
    def dream(self, batch: Batch) -> Dream:
        """Sample the targets of a batch, with alignments summed out, for wake-sleep.

        See :func:`~pyro_align.models.ancestral.sample_targets`. A subclass with other latent sites
        overrides this method, to sample them first and return their values.
        """
        return Dream(sample_targets(self, batch), {})

    @pyro_method
    def expected_emission(self, states: States) -> TokenDistribution:
        """Return the token distribution given the context expected under the prior.

        This is soft attention.
        """
        context = expected(states.memory.values, self.prior(states).probs)
        return self.networks.emission(states.hidden, context)
