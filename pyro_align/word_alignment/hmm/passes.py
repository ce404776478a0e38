"""Passes over a text: inference of the alignments and update of the models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.distributions import ChainPosterior
from pyro_align.word_alignment.hmm.agreement import product
from pyro_align.word_alignment.hmm.fertility import Fertility
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel
from pyro_align.word_alignment.hmm.observed import Observed, observe
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.store import PosteriorStore
from pyro_align.word_alignment.hmm.text import TypeText


def renew(
    models: Sequence[HiddenMarkovModel],
    text: TypeText,
    store: PosteriorStore,
    settings: Settings,
    number: int,
) -> list[float]:
    """Run one pass over the text and update the models.

    Args:
        models: source to target, then target to source if there are two.
        text: the sentence pairs.
        store: states of the previous pass, replaced by those of this pass.
        settings: settings of the fit.
        number: number of the pass, from 0.

    Returns:
        Perplexity per target word of each direction, or an upper bound of it.
    """
    markov = number >= settings.independent
    tallies = [Tally(model, settings.jump_prior) for model in models]
    for batch in range(text.batches):
        observed = observe(models, text.batch(batch), store.read(batch) if number else None)
        found = [each.posterior() for each in observed]
        states = [each.states for each in found]
        if markov and len(models) == 2:
            states = product(*states)
        # Rounded as stored, so that exactly the added counts are subtracted in the next pass.
        states = store.write(batch, states)
        for tally, seen, each, counted in zip(tallies, observed, found, states, strict=True):
            tally.add(seen, each, counted)
    for tally in tallies:
        tally.learn(jumps=markov, fertility=settings.fertility)
    if number + 1 == settings.independent:
        for model in models:
            model.lexicon.learn_spelling()
    return [
        math.exp(-tally.log_prob / size) for tally, size in zip(tallies, text.words, strict=False)
    ]


@final
class Tally:
    """Expected counts of a pass over a text in one direction.

    Args:
        model: the model to update.
        jump_prior: pseudo-count of each jump width.

    Attributes:
        log_prob: log probability of all target words, or a lower bound of it.
    """

    def __init__(self, model: HiddenMarkovModel, jump_prior: float):
        self._model = model
        self._counts = torch.zeros_like(model.lexicon.counts)
        self._jumps = torch.full_like(model.jumps, jump_prior)
        self._starts = torch.full_like(model.starts, jump_prior)
        self._words = self._bare = self._links = 0.0
        self.log_prob = 0.0

    def add(
        self, seen: Observed, found: ChainPosterior, states: Float[Tensor, "b t one_more"]
    ) -> None:
        """Add the counts of a batch.

        Args:
            seen: the batch.
            found: posterior of its chains, for the jump counts.
            states: state probabilities, for the link counts.
        """
        links, source = states[..., 1:], seen.words.source
        self._counts.index_add_(0, seen.places.reshape(-1), links.reshape(-1))
        width = source.shape[1]
        widths, distances = self._model.widths(width), self._model.distances(width)
        self._jumps.index_add_(0, widths.reshape(-1), found.moves.sum(0).reshape(-1))
        self._starts.index_add_(0, distances[0], found.first.sum(0))
        here = seen.words.source_mask
        self._words += here.sum().item()
        self._bare += (1.0 - links).clamp_min_(0.0).prod(1)[here].sum().item()
        self._links += links.sum().item()
        self.log_prob += found.log_prob.sum().item()

    def learn(self, *, jumps: bool, fertility: float) -> None:
        """Update the model with the counts.

        Args:
            jumps: whether to update the jump weights.
            fertility: exponent of the fertility prior; 0 for no prior.
        """
        self._model.lexicon.learn(self._counts)
        if jumps:
            self._model.jumps, self._model.starts = self._jumps, self._starts
        if fertility:
            self._model.fertility = Fertility.learn(self._words, self._bare, self._links, fertility)
