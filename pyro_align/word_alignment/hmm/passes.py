"""Passes over a text: inference of the alignments and update of the models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.distributions import ChainPosterior
from pyro_align.word_alignment.hmm.agreement import product
from pyro_align.word_alignment.hmm.fertility import Fertility
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel
from pyro_align.word_alignment.hmm.observed import Observed, observe
from pyro_align.word_alignment.hmm.processes import in_halves
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.store import PlaceStore, PosteriorStore
from pyro_align.word_alignment.hmm.text import TypeText


def renew(
    models: Sequence[HiddenMarkovModel],
    text: TypeText,
    places: PlaceStore,
    store: PosteriorStore,
    settings: Settings,
    number: int,
    processes: int,
) -> list[float]:
    """Run one pass over the text and update the models.

    Args:
        models: source to target, then target to source if there are two.
        text: the sentence pairs.
        places: indices of the pairs of words of the text in the lexicons.
        store: states of the previous pass, replaced by those of this pass.
        settings: settings of the fit.
        number: number of the pass, from 0.
        processes: 1 or 2.

    Returns:
        Perplexity per target word of each direction, or an upper bound of it.
    """
    markov = number >= settings.independent

    def count(half: int) -> list[Tally]:
        tallies = [Tally.of(model) for model in models]
        for batch in range(half, text.batches, 2):
            own = store.read(batch) if number else None
            at = places.read(batch)
            observed = observe(models, text.batch(batch), at, own)
            found = [each.posterior() for each in observed]
            states = [each.states for each in found]
            if markov and len(models) == 2:
                states = product(*states)
            # Rounded as stored, so that exactly the added counts are subtracted in the next pass.
            states = store.write(batch, states)
            parts = zip(models, observed, found, states, (at, at.mT), strict=False)
            for tally, part in zip(tallies, parts, strict=True):
                tally.add(*part)
        return tallies

    perplexities = []
    halves = zip(*in_halves(count, processes), strict=True)
    for model, (one, other), size in zip(models, halves, text.words, strict=False):
        one.merge(other)
        one.teach(model, settings, jumps=markov)
        perplexities.append(math.exp(-one.log_prob / size))
    if number + 1 == settings.independent:
        for model in models:
            model.lexicon.learn_spelling(processes)
    return perplexities


@final
@dataclass
class Tally:
    """Expected counts of a part of a text in one direction.

    Attributes:
        counts: of links, by place in the lexicon.
        jumps: of jump widths.
        starts: of first positions.
        words: number of source words.
        bare: number of source words without a link.
        links: number of links.
        log_prob: log probability of all target words, or a lower bound of it.
    """

    counts: Float[Tensor, " n"]
    jumps: Float[Tensor, " j"]
    starts: Float[Tensor, " i"]
    words: float = 0.0
    bare: float = 0.0
    links: float = 0.0
    log_prob: float = 0.0

    @classmethod
    def of(cls, model: HiddenMarkovModel) -> Tally:
        """Return counts of zero."""
        counts, jumps, starts = model.lexicon.counts, model.jumps, model.starts
        return cls(torch.zeros_like(counts), torch.zeros_like(jumps), torch.zeros_like(starts))

    def add(
        self,
        model: HiddenMarkovModel,
        seen: Observed,
        found: ChainPosterior,
        states: Float[Tensor, "b t one_more"],
        places: Int[Tensor, "b t s"],
    ) -> None:
        """Add the counts of a batch.

        Args:
            model: the model of the chains.
            seen: the batch.
            found: posterior of its chains, for the jump counts.
            states: state probabilities, for the link counts.
            places: indices of the pairs of words in the lexicon.
        """
        links, width = states[..., 1:], seen.words.source.shape[1]
        self.counts.index_add_(0, places.reshape(-1), links.reshape(-1))
        self.jumps.index_add_(0, model.widths(width).reshape(-1), found.moves.reshape(-1))
        self.starts.index_add_(0, model.distances(width), found.first)
        here = seen.words.source_mask
        self.words += here.sum().item()
        self.bare += (1.0 - links).clamp_min_(0.0).prod(1)[here].sum().item()
        self.links += links.sum().item()
        self.log_prob += found.log_prob.sum().item()

    def merge(self, other: Tally) -> None:
        """Add the counts of another part."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def teach(self, model: HiddenMarkovModel, settings: Settings, *, jumps: bool) -> None:
        """Update a model with the counts.

        Args:
            model: the model.
            settings: settings of the fit.
            jumps: whether to update the jump weights.
        """
        model.lexicon.learn(self.counts)
        if jumps:
            model.jumps = self.jumps + settings.jump_prior
            model.starts = self.starts + settings.jump_prior
        if power := settings.fertility:
            model.fertility = Fertility.learn(self.words, self.bare, self.links, power)
