"""Beam search over the marginal distribution of the next token, batched over sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyro
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from pyro_align.data.batch import BOS, EOS, PAD
from pyro_align.decoding.hypotheses import FinishedHypotheses, Hypothesis
from pyro_align.distributions import at_least_fp32
from pyro_align.errors import ConfigError, IncompatibleError, RunError
from pyro_align.models import AlignmentModel
from pyro_align.networks import AutoregressiveNetwork, States
from pyro_align.nn import DecoderState, Memory


@dataclass(frozen=True)
class _Live:
    """Unfinished hypotheses, one per row, grouped by sentence and sorted best first.

    Attributes:
        sentence: sentence index of each row.
        rank: rank of each row within its sentence.
        log_probability: log probability of the tokens of each row.
        tokens: ``BOS`` and the tokens so far.
        state: decoder state before the last token.
        memory: encoded source of each row.
        present: sentences that still have rows.
        sources: their encoded sources, for the emission; hypotheses of a sentence share one.
        past: for each row what its tokens say about the last alignment, if the next one depends on
            it: see :meth:`AlignmentModel.update`.
    """

    sentence: Int[Tensor, " row"]
    rank: Int[Tensor, " row"]
    log_probability: Float[Tensor, " row"]
    tokens: Int[Tensor, "row length"]
    state: DecoderState
    memory: Memory
    present: Int[Tensor, " present"]
    sources: Memory
    past: Float[Tensor, "row source"] | None = None


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
        model: the model; the search runs on the device of its parameters.
        beam: number of hypotheses kept per sentence; 1 is greedy search.
        length_penalty: the exponent ``α`` of Wu et al. 2016 (1 in Deng et al. 2018); 0 for none.
        top_k: marginalise over the K most probable source positions only; None for all.
        max_length_ratio: with ``max_length_offset`` the maximum length of a translation in tokens,
            including ``EOS``: ``⌈ratio · |x| + offset⌉``.
        max_length_offset: see ``max_length_ratio``.
        n_best: number of translations returned per sentence, at most ``beam``.

    Raises:
        ConfigError: if a number is out of its range.
        IncompatibleError: if the model's networks cannot decode step by step.
    """

    def __init__(
        self,
        model: AlignmentModel,
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
        if not isinstance(model.networks, AutoregressiveNetwork):
            raise IncompatibleError(
                f"beam search decodes token by token, which {type(model.networks).__name__} "
                f"cannot: use networks that inherit from AutoregressiveNetwork"
            )
        self.model = model
        self.networks = model.networks
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
            ValueError: if the model is in training mode, or a source is empty.
            RunError: if the model's probabilities are not finite.
        """
        if self.model.training:
            raise ValueError("the model is in training mode: call model.eval() before a search")
        if not sources:
            return []
        live = self._start(sources)
        lengths = live.memory.mask.sum(1)
        limits = (self.max_length_ratio * lengths + self.max_length_offset).ceil().long()
        finished = FinishedHypotheses(
            limits, self.beam, self.n_best, self.length_penalty, like=live.log_probability
        )
        # Validation would check all weights at every step; one check below is enough.
        with pyro.validation_enabled(False):
            while len(live.sentence):
                live = self._step(live, finished)
        if not bool(finished.count.all()):
            raise RunError(
                "the model's probabilities are not finite, so that a sentence has no translation: "
                "the weights are damaged or training diverged; use an earlier checkpoint"
            )
        return finished.ranked()

    def _start(self, sources: Sequence[Sequence[int]]) -> _Live:
        networks = self.networks
        device = next(networks.parameters()).device
        lengths = torch.tensor([len(source) for source in sources])
        if not bool((lengths > 0).all()):
            raise ValueError("a source is empty: each needs at least EOS")
        source = pad_sequence(
            [torch.as_tensor(source) for source in sources], batch_first=True, padding_value=PAD
        ).to(device)
        mask = (torch.arange(source.shape[1]) < lengths.unsqueeze(1)).to(device)
        memory = networks.encode(source, mask, lengths)
        sentence = torch.arange(len(sources), device=device)
        return _Live(
            sentence=sentence,
            rank=torch.zeros_like(sentence),
            log_probability=at_least_fp32(memory.annotations).new_zeros(len(sources)),
            tokens=sentence.new_full((len(sources), 1), BOS),
            state=networks.initial(memory),
            memory=memory,
            present=sentence,
            sources=replace(memory, factors=networks.emission.factors(memory.values)),
        )

    def _step(self, live: _Live, finished: FinishedHypotheses) -> _Live:
        """Decode the last tokens, choose the next ones, and store finished hypotheses."""
        states, state = self.networks.decode(live.tokens[:, -1:], live.state, live.memory)
        states = self.model.predict(states, live.past)
        log_probs = self._next_token(live, states)
        log_probs[:, [PAD, BOS]] = -torch.inf
        closing = finished.limits[live.sentence] <= live.tokens.shape[1]
        if bool(closing.any()):
            log_probs[:, :EOS].masked_fill_(closing.unsqueeze(1), -torch.inf)
            log_probs[:, EOS + 1 :].masked_fill_(closing.unsqueeze(1), -torch.inf)

        # First the best tokens of each row, then the best continuations of each sentence.
        best = log_probs.topk(min(self.beam, log_probs.shape[1]), dim=1)
        width = best.values.shape[1]
        grid = log_probs.new_full((len(finished.limits), self.beam, width), -torch.inf)
        grid[live.sentence, live.rank] = live.log_probability.unsqueeze(1) + best.values
        row_of = live.sentence.new_zeros(grid.shape[:2])
        row_of[live.sentence, live.rank] = torch.arange(len(live.rank), device=row_of.device)
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
        same = torch.equal(sentence, live.sentence)
        present = sentence.unique()
        stays = len(present) == len(live.present)
        return _Live(
            sentence=sentence,
            rank=unfinished.cumsum(1)[sentence, place] - 1,
            log_probability=log_probability[sentence, place],
            tokens=tokens[sentence, place],
            past=None
            if states.log_weights is None
            else self.model.update(states.select(parent), tokens[sentence, place][:, -1:]),
            state=state.select(parent),
            # Rows of a sentence share the source, so that often nothing needs to be copied.
            memory=live.memory if same else live.memory.select(parent),
            present=present,
            sources=live.sources
            if stays
            else live.sources.select(torch.searchsorted(live.present, present)),
        )

    def _next_token(self, live: _Live, states: States) -> Float[Tensor, "row vocabulary"]:
        """Compute log probabilities of the next token.

        The hypotheses of a sentence are passed as target positions, so that everything that depends
        on the source only is computed once for all of them.
        """
        shape = (len(live.present), int(live.rank.max()) + 1)
        full = len(live.rank) == math.prod(shape)  # equally many hypotheses per sentence
        slot = torch.searchsorted(live.present, live.sentence)

        def arranged(rows: Tensor) -> Tensor:
            if full:
                return rows.reshape(*shape, *rows.shape[2:])
            grid = rows.new_zeros(*shape, *rows.shape[2:])
            grid[slot, live.rank] = rows[:, 0]
            return grid

        grid = replace(
            states,
            memory=live.sources,
            hidden=arranged(states.hidden),
            scores=arranged(states.scores),
            inputs=arranged(states.inputs),
            log_weights=None if states.log_weights is None else arranged(states.log_weights),
        )
        log_probs = self.model.next_token(grid, self.top_k)
        return log_probs.flatten(0, 1) if full else log_probs[slot, live.rank]
