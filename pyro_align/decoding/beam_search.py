"""Beam search over the marginal distribution of the next token, batched over sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils import parametrize
from torch.nn.utils.rnn import pad_sequence

from pyro_align.data.batch import BOS, EOS, PAD
from pyro_align.decoding.ensemble import Ensemble, EnsemblePredictor
from pyro_align.decoding.hypotheses import FinishedHypotheses, Hypothesis
from pyro_align.decoding.predictor import ModelPredictor, Predictor, Rows
from pyro_align.distributions import at_least_fp32
from pyro_align.errors import ConfigError, RunError
from pyro_align.models import AlignmentModel


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


class BeamSearch:
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
        model: the model, or an :class:`~pyro_align.decoding.Ensemble` of models; the search runs on
            the device of its parameters.
        beam: number of hypotheses kept per sentence; 1 is greedy search.
        length_penalty: the exponent ``α`` of Wu et al. 2016 (1 in Deng et al. 2018); 0 for none.
        top_k: marginalise over the K most probable source positions only; None for all.
        max_length_ratio: with ``max_length_offset`` the maximum length of a translation in tokens,
            including ``EOS``: ``⌈ratio · |x| + offset⌉``.
        max_length_offset: see ``max_length_ratio``.
        n_best: number of translations returned per sentence, at most ``beam``.

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
        top_k: int | None = None,
        max_length_ratio: float = 2.0,
        max_length_offset: int = 10,
        n_best: int = 1,
    ):
        if beam < 1:
            raise ConfigError(f"the beam must be at least 1, got {beam}")
        if not 1 <= n_best <= beam:
            raise ConfigError(f"n_best must be between 1 and the beam, {beam}; got {n_best}")
        if not 0 <= length_penalty < math.inf:
            raise ConfigError(f"the length penalty must be 0 or more, got {length_penalty}")
        if top_k is not None and top_k < 1:
            raise ConfigError(f"top_k must be at least 1, got {top_k}")
        if not 0 <= max_length_ratio < math.inf or max_length_offset < 1:
            raise ConfigError(
                "max_length_ratio must be 0 or more and max_length_offset at least 1, got "
                f"{max_length_ratio} and {max_length_offset}"
            )
        self.model = model
        self.predictor: Predictor[Any] = (
            EnsemblePredictor(model) if isinstance(model, Ensemble) else ModelPredictor(model)
        )
        self.beam = beam
        self.length_penalty = length_penalty
        self.top_k = top_k
        self.max_length_ratio = max_length_ratio
        self.max_length_offset = max_length_offset
        self.n_best = n_best

    @torch.no_grad()
    def search(self, sources: Sequence[Sequence[int]]) -> list[list[Hypothesis]]:
        """Translate sentences of source ids, each ending in ``EOS``.

        Returns:
            For each sentence its ``n_best`` distinct translations, best first; fewer if the search
            found fewer.

        Raises:
            ValueError: if a model is in training mode, or a source is empty.
            RunError: if the model's probabilities are not finite.
        """
        if any(model.training for model in self.predictor.models):
            raise ValueError("the model is in training mode: call model.eval() before a search")
        if not sources:
            return []
        live = self._start(sources)
        lengths = torch.tensor([len(source) for source in sources], device=live.tokens.device)
        limits = (self.max_length_ratio * lengths + self.max_length_offset).ceil().long()
        finished = FinishedHypotheses(
            limits, self.beam, self.n_best, self.length_penalty, like=live.log_probability
        )
        # Validation would check all weights at every step; one check below is enough. Weights with
        # a parametrization are computed once.
        with pyro.validation_enabled(False), parametrize.cached():
            while len(live.tokens):
                live = self._step(live, finished)
        if not bool(finished.count.all()):
            raise RunError(
                "the model's probabilities are not finite, so that a sentence has no translation: "
                "the weights are damaged or training diverged; use an earlier checkpoint"
            )
        return finished.ranked()

    def _start(self, sources: Sequence[Sequence[int]]) -> _Live:
        parameter = next(self.model.parameters())
        device = parameter.device
        lengths = torch.tensor([len(source) for source in sources])
        if not bool((lengths > 0).all()):
            raise ValueError("a source is empty: each needs at least EOS")
        source = pad_sequence(
            [torch.as_tensor(source) for source in sources], batch_first=True, padding_value=PAD
        ).to(device)
        mask = (torch.arange(source.shape[1]) < lengths.unsqueeze(1)).to(device)
        sentence = torch.arange(len(sources), device=device)
        return _Live(
            rows=Rows(sentence, torch.zeros_like(sentence), sentence),
            log_probability=at_least_fp32(parameter).new_zeros(len(sources)),
            tokens=sentence.new_full((len(sources), 1), BOS),
            state=self.predictor.start(source, mask, lengths),
        )

    def _step(self, live: _Live, finished: FinishedHypotheses) -> _Live:
        """Decode the last tokens, choose the next ones, and store finished hypotheses."""
        rows = live.rows
        log_probs, state = self.predictor.step(live.state, rows, live.tokens[:, -1:], self.top_k)
        log_probs[:, [PAD, BOS]] = -torch.inf
        closing = finished.limits[rows.sentence] <= live.tokens.shape[1]
        if bool(closing.any()):
            log_probs[:, :EOS].masked_fill_(closing.unsqueeze(1), -torch.inf)
            log_probs[:, EOS + 1 :].masked_fill_(closing.unsqueeze(1), -torch.inf)

        # First the best tokens of each row, then the best continuations of each sentence.
        best = log_probs.topk(min(self.beam, log_probs.shape[1]), dim=1)
        width = best.values.shape[1]
        grid = log_probs.new_full((len(finished.limits), self.beam, width), -torch.inf)
        grid[rows.sentence, rows.rank] = live.log_probability.unsqueeze(1) + best.values
        row_of = rows.sentence.new_zeros(grid.shape[:2])
        row_of[rows.sentence, rows.rank] = torch.arange(len(rows.rank), device=row_of.device)
        kept = grid.flatten(1).topk(self.beam, dim=1)
        room = (self.beam - finished.count).unsqueeze(1)
        places = torch.arange(self.beam, device=room.device)
        taken = (places < room) & kept.values.isfinite()

        row = row_of.gather(1, kept.indices // width)
        token = best.indices[row, kept.indices % width]
        ended = taken & (token == EOS)
        tokens = torch.cat([live.tokens[row], token.unsqueeze(2)], dim=2)
        finished.add(ended, kept.values, tokens[ended][:, 1:])

        unfinished = taken & ~ended
        log_probability = kept.values.where(unfinished, -torch.inf)
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
