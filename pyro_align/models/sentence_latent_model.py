"""Base class of translation models with a Gaussian for each sentence pair."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyro
import torch
from jaxtyping import Bool, Float, Int
from pyro.nn import pyro_method
from torch import Tensor, nn

from pyro_align.constraints import Size
from pyro_align.data.batch import Batch, TextBatch
from pyro_align.data.sharing import shared
from pyro_align.distributions import diagonal_normal
from pyro_align.errors import IncompatibleError
from pyro_align.inference.dreams import Dream
from pyro_align.inference.plates import position_plate, sentence_plate
from pyro_align.models.alignment_model import AlignmentModel
from pyro_align.models.ancestral import sample_targets
from pyro_align.networks import AutoregressiveNetwork, Network, States
from pyro_align.nn import Memory


class SentenceLatentModel(AlignmentModel):
    """``s ~ N(μ(x), diag σ(x)²)``, and a decoder that reads ``s`` (Zhang et al. 2016).

    The site ``sentence`` lies in the plate ``sentences`` alone. ``μ`` and ``log σ`` are linear in
    the mean source annotation, and a linear map of ``s`` is added to every input of the decoder. A
    subclass also derives from the model of the tokens given ``s``, which has the method
    :meth:`tokens`.

    Without a value of ``s``, as in beam search and in :meth:`states`, the mean of the prior is
    used.

    Args:
        networks: the network, which decodes step by step.
        latent: size of ``s``.

    Raises:
        IncompatibleError: if the network does not decode step by step.
    """

    networks: AutoregressiveNetwork

    tokens: Callable[[Batch, States], Tensor]
    """Samples the alignments, if any, and observes the tokens, within both plates."""

    def __init__(self, networks: Network, *, latent: Size = 32):
        super().__init__(networks)
        if not isinstance(networks, AutoregressiveNetwork):
            raise IncompatibleError(
                f"{type(self).__name__} adds a vector to the inputs of a decoder, which "
                f"{type(networks).__name__} has not: use networks that inherit from "
                f"AutoregressiveNetwork"
            )
        self.latent_size = latent
        self.context_size = networks.annotation_size
        self.prior_of = nn.Linear(networks.annotation_size, 2 * latent)
        self.input_of = nn.Linear(latent, networks.feature_sizes[1], bias=False)
        # What is added is at first no larger than an embedding: larger noise slows training.
        nn.init.normal_(self.input_of.weight, std=0.05 / math.sqrt(latent))

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``sentence``, and those of :meth:`tokens`."""
        with sentence_plate(batch):
            latent = pyro.sample("sentence", self.sentence_prior(self.memory(batch)))
            states = self.states_given(batch, latent)
            with position_plate(batch):
                return self.tokens(batch, states)

    @shared
    @pyro_method
    def memory(self, batch: TextBatch) -> Memory:
        """Encode the sources of a batch."""
        memory: Memory = self.networks.encode(batch.source, batch.source_mask, batch.source_lengths)
        return memory

    @pyro_method
    def context(self, batch: Batch) -> Float[Tensor, "batch annotation"]:
        """Return the mean source annotation, which the prior reads, and guides too."""
        return self.memory(batch).mean()

    @pyro_method
    def sentence_prior(self, memory: Memory) -> Any:
        """Return ``p(s | x)`` of every encoded source, of batch shape ``(sentences, 1)``."""
        return diagonal_normal(self.prior_of(memory.mean()).unsqueeze(1))

    @pyro_method
    def prior_given(self, batch: Batch) -> Any:
        """Return ``p(s | x)`` of the pairs of a batch, which guides may read."""
        return self.sentence_prior(self.memory(batch))

    @pyro_method
    def states_given(self, batch: Batch, latent: Float[Tensor, "*draws batch 1 latent"]) -> States:
        """Compute decoder states and attention scores, given ``s``, under teacher forcing.

        With several draws these have dimensions for the draws on the left.
        """
        memory, draws = self.memory(batch), latent.shape[:-3]
        if not draws:
            return self.networks.follow(batch, self.given(memory, latent.squeeze(1)))
        # Every pair is repeated, so that the network need not broadcast.
        rows, count = latent.movedim(-3, 0).flatten(end_dim=-2), draws.numel()
        index = torch.arange(len(batch), device=rows.device).repeat_interleave(count)
        given = self.given(memory.select(index), rows)
        states = self.networks.follow(batch.repeated(count), given)

        def apart(values: Tensor) -> Tensor:
            return values.unflatten(0, (len(batch), *draws)).movedim(0, len(draws))

        return replace(
            states,
            memory=memory,
            hidden=apart(states.hidden),
            scores=apart(states.scores),
            inputs=apart(states.inputs),
        )

    @shared
    @pyro_method
    def states(self, batch: Batch) -> States:
        """Compute decoder states and attention scores, given the mean of the prior of ``s``."""
        return self.states_given(batch, self.sentence_prior(self.memory(batch)).mean)

    def encode(
        self,
        source: Int[Tensor, "batch source"],
        mask: Bool[Tensor, "batch source"],
        lengths: Int[Tensor, " batch"],
    ) -> Memory:
        """Encode sources, with the mean of the prior of ``s``."""
        memory: Memory = self.networks.encode(source, mask, lengths)
        return self.given(memory, self.sentence_prior(memory).mean.squeeze(1))

    @pyro_method
    def dream(self, batch: Batch) -> Dream:
        """Sample ``s`` and the targets of a batch, with alignments summed out, for wake-sleep."""
        memory = self.memory(batch)
        latent = self.sentence_prior(memory).sample()
        memory = self.given(memory, latent.squeeze(1))
        return Dream(sample_targets(self, batch, memory), {"sentence": latent})

    @pyro_method
    def given(self, memory: Memory, latent: Float[Tensor, "row latent"]) -> Memory:
        """Return the memory with ``s``, as the decoder reads it."""
        return replace(memory, added=self.input_of(latent.to(self.input_of.weight.dtype)))
