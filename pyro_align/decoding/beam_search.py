"""Beam search over the marginal distribution of the next token, batched over sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.data.batch import BOS, EOS
from pyro_align.decoding.ensemble import Ensemble
from pyro_align.decoding.hypotheses import FinishedHypotheses, Hypothesis
from pyro_align.decoding.predictor import Rows
from pyro_align.decoding.search import Search, fast_steps, not_finite
from pyro_align.distributions import at_least_fp32
from pyro_align.errors import ConfigError
from pyro_align.models import AlignmentModel

_BLOCK = 64
"""Number of columns of a block, see :func:`continuations`."""


@dataclass(frozen=True)
class _Live:
    """Unfinished hypotheses, one per row.

    Attributes:
        rows: sentence and rank of each row.
        log_probability: log probability of the tokens of each row.
        tokens: ``BOS`` and the tokens so far.
        state: state of the predictor before the last token.
    """

    rows: Rows
    log_probability: Float[Tensor, " row"]
    tokens: Int[Tensor, "row length"]
    state: Any


class BeamSearch(Search):
    """Beam search for the translation ``y`` that maximises ``log p(y | x) / ((5 + |y|) / 6) ** α``.

    Tokens are scored by ``p(y_t | x, y_<t)`` with alignments marginalised out. At every step each
    sentence keeps its ``beam`` most probable continuations. A continuation that ends in ``EOS``
    is finished and reduces the beam by one. The search of a sentence stops when its beam is empty,
    or when no unfinished hypothesis can still be among the ``n_best``: a log probability ``ℓ ≤ 0``
    only decreases as tokens are added, so that no completion within the length limit ``L`` scores
    above ``ℓ / ((5 + L) / 6) ** α``, for any ``α ≥ 0``. At the limit every unfinished hypothesis
    is completed with ``EOS``. ``PAD`` and ``BOS`` are never generated.

    The search is deterministic and requires the model to be in evaluation mode.

    Args:
        model: see :class:`Search`.
        beam: number of hypotheses kept per sentence; 1 is greedy search.
        length_penalty: the exponent ``α`` of Wu et al. 2016 (1 in Deng et al. 2018); 0 for none.
        n_best: number of translations returned per sentence, at most ``beam``.
        **limits: other options of :class:`Search`.

    Raises:
        ConfigError: if a number is out of its range.
        IncompatibleError: if the networks of a model cannot decode step by step.
    """

    def __init__(
        self,
        model: AlignmentModel | Ensemble,
        *,
        beam: int = 5,
        length_penalty: float = 1.0,
        n_best: int = 1,
        **limits: Any,
    ):
        super().__init__(model, **limits)
        if beam < 1:
            raise ConfigError(f"the beam must be at least 1, got {beam}")
        if not 1 <= n_best <= beam:
            raise ConfigError(f"n_best must be between 1 and the beam, {beam}; got {n_best}")
        if not 0 <= length_penalty < math.inf:
            raise ConfigError(
                f"the length penalty must be 0 or more, and finite; got {length_penalty}"
            )
        self.beam = beam
        self.length_penalty = length_penalty
        self.n_best = n_best

    @torch.no_grad()
    def search(self, sources: Sequence[Sequence[int]]) -> list[list[Hypothesis]]:
        """Translate sentences; see :meth:`Search.search`.

        Returns:
            For each sentence its ``n_best`` distinct translations, best first; fewer if the search
            found fewer.
        """
        if not sources:
            return []
        state, limits = self._start(sources)
        sentence = torch.arange(len(sources), device=limits.device)
        live = _Live(
            rows=Rows(sentence, torch.zeros_like(sentence), sentence),
            log_probability=at_least_fp32(next(self.model.parameters())).new_zeros(len(sources)),
            tokens=sentence.new_full((len(sources), 1), BOS),
            state=state,
        )
        finished = FinishedHypotheses(
            limits, self.beam, self.n_best, self.length_penalty, like=live.log_probability
        )
        with fast_steps():
            while len(live.tokens):
                live = self._step(live, finished)
        if not bool(finished.count.all()):
            raise not_finite()
        return finished.ranked()

    def _step(self, live: _Live, finished: FinishedHypotheses) -> _Live:
        """Decode the last tokens, choose the next ones, and store finished hypotheses."""
        rows = live.rows
        log_probs, state = self.predictor.step(live.state, rows, live.tokens[:, -1:], self.top_k)
        self._restrict(log_probs, live.tokens.shape[1], finished.limits[rows.sentence])

        kept, row, token = continuations(
            log_probs, live.log_probability, rows, (len(finished.limits), self.beam)
        )
        room = (self.beam - finished.count).unsqueeze(1)
        places = torch.arange(self.beam, device=room.device)
        taken = (places < room) & kept.isfinite()

        ended = taken & (token == EOS)
        tokens = torch.cat([live.tokens[row], token.unsqueeze(2)], dim=2)
        finished.add(ended, kept, tokens[ended][:, 1:])

        unfinished = taken & ~ended
        log_probability = kept.where(unfinished, -torch.inf)
        unfinished &= finished.beatable(log_probability.amax(1)).unsqueeze(1)
        sentence, place = unfinished.nonzero(as_tuple=True)
        parent = row[sentence, place]
        kept_tokens = tokens[sentence, place]
        after = Rows(sentence, unfinished.cumsum(1)[sentence, place] - 1, sentence.unique())
        return _Live(
            rows=after,
            log_probability=log_probability[sentence, place],
            tokens=kept_tokens,
            state=self.predictor.extend(state, rows, after, parent, kept_tokens[:, -1:]),
        )


def continuations(
    log_probs: Float[Tensor, "row vocabulary"],
    before: Float[Tensor, " row"],
    rows: Rows,
    shape: tuple[int, int],
) -> tuple[
    Float[Tensor, "sentence beam"], Int[Tensor, "sentence beam"], Int[Tensor, "sentence beam"]
]:
    """Return the most probable continuations of the hypotheses of each sentence, best first.

    The best tokens are in the blocks of columns with the largest maxima, so that only as many
    blocks of a sentence as continuations are wanted are sorted.

    Args:
        log_probs: log probabilities of the next token.
        before: log probability of each row.
        rows: the rows.
        shape: number of sentences, and of continuations of each.

    Returns:
        Log probabilities, the row that is continued, and the token. Where there are fewer
        continuations the log probability is −∞.
    """
    vocabulary, device = log_probs.shape[1], log_probs.device
    whole = vocabulary // _BLOCK * _BLOCK
    maxima = [log_probs[:, :whole].unflatten(1, (-1, _BLOCK)).amax(2)]
    if whole < vocabulary:
        maxima.append(log_probs[:, whole:].amax(1, keepdim=True))
    of_blocks = torch.cat(maxima, dim=1) + before.unsqueeze(1)
    grid = of_blocks.new_full((*shape, of_blocks.shape[1]), -torch.inf)
    grid[rows.sentence, rows.rank] = of_blocks
    row_of = rows.sentence.new_zeros(shape)
    row_of[rows.sentence, rows.rank] = torch.arange(len(before), device=device)

    best, place = grid.flatten(1).topk(shape[1], dim=1)
    row = row_of.gather(1, place // grid.shape[2]).unsqueeze(2)
    columns = torch.arange(_BLOCK, device=device) + (place % grid.shape[2] * _BLOCK).unsqueeze(2)
    is_token = (columns < vocabulary) & (best > -torch.inf).unsqueeze(2)
    columns = columns.clamp_max_(vocabulary - 1)
    values = log_probs.take(row * vocabulary + columns) + before[row]
    values = values.masked_fill_(~is_token, -torch.inf)

    kept, place = values.flatten(1).topk(shape[1], dim=1)
    row = row.squeeze(2).gather(1, place // _BLOCK)
    return kept, row, columns.flatten(1).gather(1, place)
