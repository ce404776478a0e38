"""Model with a first-order alignment: each position depends on the previous one."""

from __future__ import annotations

from dataclasses import replace

import pyro
import torch
from jaxtyping import Float, Int
from pyro.nn import pyro_method
from torch import Tensor

from pyro_align.constraints import Size
from pyro_align.data.batch import Batch
from pyro_align.distributions import MarkovChain, TokenDistribution, advance
from pyro_align.inference.plates import position_plate, sentence_plate
from pyro_align.models.categorical import CategoricalModel
from pyro_align.networks import Network, States
from pyro_align.nn import Jumps, expected


class MarkovModel(CategoricalModel):
    """``z_t ~ p(z_t | z_{t-1}, h_t)``, ``y_t ~ p(y_t | m_{z_t}, h_t)`` (Wu & Cotterell 2019).

    The alignments of a sentence are one latent variable, a path ``z_1, …, z_T`` with the
    distribution :class:`~pyro_align.distributions.MarkovChain`. The logit of a transition is the
    attention score of the new position plus a score of the width of the jump, computed from the
    decoder state, see :class:`~pyro_align.nn.Jumps`. Sums over all paths are exact, by the forward
    algorithm.

    Args:
        networks: the network that computes states, attention scores and features.
        jump_width: width of the widest jump with its own score.
        monotonic: forbid jumps backwards.
    """

    latents = {"alignment": "markov"}

    def __init__(self, networks: Network, *, jump_width: Size = 5, monotonic: bool = False):
        super().__init__(networks)
        self.jumps = Jumps(networks.hidden_size, jump_width, monotonic=monotonic)

    def forward(self, batch: Batch) -> Tensor:
        """Sites: ``alignment``, a path for each sentence, and ``tokens``."""
        states = self.states(batch)
        chain = self.prior(states).masked(batch.target_mask.unsqueeze(1))
        with sentence_plate(batch):
            path = pyro.sample("alignment", chain)
            with position_plate(batch):
                emission = self.emission(states, path.squeeze(-2))
                return pyro.sample("tokens", emission, obs=batch.target)

    @pyro_method
    def prior(self, states: States) -> MarkovChain:
        """Return the chain of the alignments of whole sentences, of batch shape ``(batch, 1)``.

        Args:
            states: decoder states of all positions.
        """
        logits = self.jumps(states.hidden, states.scores)
        return MarkovChain(logits[:, :1, 0], logits[:, None, 1:, 1:])

    @pyro_method
    def expected_emission(self, states: States) -> TokenDistribution:
        """Return the token distribution given the context expected under the prior chain."""
        context = expected(states.memory.values, self.prior(states).marginals.squeeze(1))
        return self.networks.emission(states.hidden, context)

    @pyro_method
    def next_token(
        self, states: States, top_k: int | None = None
    ) -> Float[Tensor, "batch target vocabulary"]:
        """Compute ``log Σ_s p(z_t = s | y_<t) p(y_t | z_t = s)`` over all or the K best positions.

        Args:
            states: decoder states of all positions of a sentence under teacher forcing, or the
                result of :meth:`predict`.
            top_k: marginalise over the K most probable source positions only, with their
                probabilities renormalised; None for all.
        """
        weights = self._log_weights(states) if states.log_weights is None else states.log_weights
        return self.networks.emission.log_mixture(
            states.hidden,
            states.memory.values,
            weights,
            top_k=top_k,
            factors=states.memory.factors,
        )

    def predict(self, states: States, past: Float[Tensor, "batch source"] | None) -> States:
        """Set ``log_weights`` to ``log p(z_t | y_<t)`` for one position."""
        logits = self.jumps(states.hidden, states.scores).squeeze(1).log_softmax(-1)
        weights = logits[:, 0] if past is None else advance(past, logits[:, 1:])
        return replace(states, log_weights=weights.unsqueeze(1))

    def update(
        self, states: States, tokens: Int[Tensor, "batch 1"]
    ) -> Float[Tensor, "batch source"]:
        """Return ``log p(z_t, y_t | y_<t)`` for one position."""
        assert states.log_weights is not None
        return (states.log_weights + self._log_likelihood(states, tokens)).squeeze(1)

    def _log_weights(self, states: States) -> Float[Tensor, "batch target source"]:
        """Compute ``log p(z_t | y_<t)`` from the tokens that the decoder read."""
        # The token of the last position is not read; the result does not depend on it.
        tokens = states.inputs.roll(-1, dims=1)
        likelihood = self._log_likelihood(states, tokens)
        return self.prior(states).predictive(likelihood.unsqueeze(1)).squeeze(1)

    def _log_likelihood(
        self, states: States, tokens: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target source"]:
        """Compute ``log p(y_t | z_t = s)`` for every position ``s``."""
        positions = torch.arange(states.scores.shape[-1], device=tokens.device).reshape(-1, 1, 1)
        return self.emission(states, positions).log_prob(tokens).movedim(0, -1)
