"""A distribution over memory positions for each query, and sums over it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import gumbel_softmax

from pyro_align.nn import pairs
from pyro_align.nn.emissions import Emission, expected, pick, picked_of_each

CHUNK = 1024
"""Rows with which an emission given as a function is called at a time."""


@dataclass(frozen=True)
class Alignment:
    """Categorical distributions over the positions of a memory, one for each query.

    :class:`LatentAttention` returns the prior ``p(z | x)``, :meth:`posterior` the posterior
    ``p(z | x, y)``. Log probabilities are in fp32 or better.

    An *emission* ``p(y | q, m)`` is the distribution of a target given a query and the row of the
    memory its alignment points to. It is one of

    - a function or module ``emission(queries, contexts)`` of ``(row, query)`` and
      ``(row, memory)`` that returns logits ``(row, vocabulary)`` or a distribution of batch shape
      ``(row,)``. It is called with at most ``chunk`` rows at a time; of several chunks nothing is
      kept for the backward pass, which computes them again, so that memory does not grow with the
      number of pairs;
    - an :class:`~pyro_align.nn.Emission` of this package, which bounds memory itself. With
      :class:`~pyro_align.nn.ProductEmission`, a product of two experts, summing over all
      positions costs little more than soft attention.

    Attributes:
        log_probs: normalised log probabilities of the positions.
        queries: what an emission reads of the queries.
        memory: what an alignment picks from.
    """

    log_probs: Float[Tensor, "batch target source"]
    queries: Float[Tensor, "batch target query"]
    memory: Float[Tensor, "batch source memory"]

    @property
    def probs(self) -> Float[Tensor, "batch target source"]:
        """Probabilities of the positions: attention weights."""
        return self.log_probs.exp()

    @property
    def entropy(self) -> Float[Tensor, "batch target"]:
        """Entropy in nats."""
        return -(self.probs * self.log_probs).sum(-1)

    @property
    def context(self) -> Float[Tensor, "batch target memory"]:
        """The expected row of the memory: soft attention."""
        return expected(self.memory, self.probs)

    def sample(self) -> Int[Tensor, "batch target"]:
        """Draw a position for each query; see :meth:`pick` and :meth:`log_prob`."""
        return self.probs.flatten(0, 1).multinomial(1).reshape(self.probs.shape[:2])

    def pick(self, positions: Int[Tensor, "batch target"]) -> Float[Tensor, "batch target memory"]:
        """The row of the memory at each position: hard attention."""
        return pick(self.memory, positions)

    def log_prob(self, positions: Int[Tensor, "batch target"]) -> Float[Tensor, "batch target"]:
        """Log probability of positions."""
        return self.log_probs.gather(-1, positions.unsqueeze(-1)).squeeze(-1)

    def relaxed_context(
        self, temperature: float = 1.0, *, hard: bool = True
    ) -> Float[Tensor, "batch target memory"]:
        """A sampled context with a pathwise gradient (Gumbel-softmax, Jang et al. 2017).

        Args:
            temperature: of the relaxation, above 0.
            hard: return the row that was drawn and use the relaxation's gradient
                (straight-through); otherwise return the relaxed mean.
        """
        return expected(self.memory, gumbel_softmax(self.log_probs, temperature, hard))

    def log_likelihood(
        self, emission: Emission | pairs.EmissionFunction, target: Tensor, *, chunk: int = CHUNK
    ) -> Float[Tensor, "batch target source"]:
        """``log p(y_t | q_t, m_s)`` for each position ``s``.

        Args:
            emission: see the class.
            target: ``(batch, target)`` token ids, or ``(batch, target, *event)`` values if the
                emission returns a distribution over such events. Targets that are padding need a
                valid value; mask the result.
            chunk: largest number of rows a function or module is called with.
        """
        return self._log_likelihood(emission, target, None, chunk)

    def log_marginal(
        self,
        emission: Emission | pairs.EmissionFunction,
        target: Tensor,
        *,
        top_k: int | None = None,
        chunk: int = CHUNK,
    ) -> Float[Tensor, "batch target"]:
        """``log Σ_s p(z_t = s) p(y_t | q_t, m_s)``, exact unless ``top_k`` is given.

        Args:
            emission: see the class.
            target: as for :meth:`log_likelihood`.
            top_k: sum over the K most probable positions only, not renormalised: a lower bound.
            chunk: largest number of rows a function or module is called with.
        """
        if top_k is None or top_k >= self.log_probs.shape[-1]:
            likelihood = self.log_likelihood(emission, target, chunk=chunk)
            return (self.log_probs + likelihood).logsumexp(-1)
        best, positions = self.log_probs.topk(top_k, dim=-1)
        likelihood = self._log_likelihood(emission, target, positions, chunk)
        return (best + likelihood).logsumexp(-1)

    def posterior(
        self, emission: Emission | pairs.EmissionFunction, target: Tensor, *, chunk: int = CHUNK
    ) -> Alignment:
        """``p(z_t | x, y)``, the alignment given the target too.

        Args:
            emission: see the class.
            target: as for :meth:`log_likelihood`.
            chunk: largest number of rows a function or module is called with.
        """
        joint = self.log_probs + self.log_likelihood(emission, target, chunk=chunk)
        return replace(self, log_probs=joint.log_softmax(-1))

    def log_predictive(
        self,
        emission: Emission | pairs.EmissionFunction,
        *,
        top_k: int | None = None,
        chunk: int = CHUNK,
    ) -> Float[Tensor, "batch target vocabulary"]:
        """``log Σ_s p(z_t = s) p(y | q_t, m_s)`` of every token ``y``: the next token's.

        Args:
            emission: see the class; it returns logits, or a distribution that has ``logits``.
            top_k: sum over the K most probable positions only, renormalised.
            chunk: largest number of rows a function or module is called with; at least the rows of
                one query.
        """
        if isinstance(emission, Emission):
            values = emission.values(self.memory)
            return emission.log_mixture(self.queries, values, self.log_probs, top_k=top_k)
        log_weights, positions = self.log_probs, self._all_positions
        if top_k is not None and top_k < log_weights.shape[-1]:
            best, positions = log_weights.topk(top_k, dim=-1)
            log_weights = best.log_softmax(-1)
        return pairs.log_mixture(emission, self.queries, self.memory, positions, log_weights, chunk)

    def _log_likelihood(
        self,
        emission: Emission | pairs.EmissionFunction,
        target: Tensor,
        positions: Int[Tensor, "batch target k"] | None,
        chunk: int,
    ) -> Float[Tensor, "batch target k"]:
        """Of the positions given, or of all."""
        if isinstance(emission, Emission):
            values = emission.values(self.memory)
            contexts = (
                values.unsqueeze(1) if positions is None else picked_of_each(values, positions)
            )
            return emission(self.queries.unsqueeze(2), contexts).log_prob(target.unsqueeze(-1))
        positions = self._all_positions if positions is None else positions
        return pairs.log_likelihood(emission, self.queries, self.memory, positions, target, chunk)

    @property
    def _all_positions(self) -> Int[Tensor, "batch target source"]:
        source = self.log_probs.shape[-1]
        return torch.arange(source, device=self.log_probs.device).expand(self.log_probs.shape)
