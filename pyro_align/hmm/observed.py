"""`Observed`: a batch of sentence pairs in one direction, its chains ready to be inferred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.distributions import ChainPosterior, MarkovMixture
from pyro_align.hmm.model import HiddenMarkovModel, Words


@final
@dataclass(frozen=True)
class Observed:
    """A batch in one direction, with all that is needed to infer its chains.

    Attributes:
        words: the sentence pairs.
        places: where the lexicon stores their pairs of words.
        chain: how source positions follow each other.
        scores: log probabilities of target words, drawn from nothing (first) or from source words.
        bonus: what priors on whole alignments add to the scores of links, if there are any.
    """

    words: Words
    places: Int[Tensor, "b t s"]
    chain: MarkovMixture
    scores: Float[Tensor, "b t one_more"]
    bonus: Float[Tensor, "b t s"] | None = None

    def posterior(self, shift: Float[Tensor, "b t s"] | None = None) -> ChainPosterior:
        """What the words, and priors on whole alignments, say about the chains.

        Its ``log_prob`` is that of the words where scores are not added to, and else the evidence
        lower bound: the sum over chains, less what is expected of what was added.

        Args:
            shift: to be added to the scores of links, too.
        """
        added = [each for each in (self.bonus, shift) if each is not None]
        if not added:
            return self.chain.posterior_of(self.scores)
        total = sum(added[1:], added[0])
        found = self.chain.posterior_of(
            torch.cat([self.scores[..., :1], self.scores[..., 1:] + total], dim=-1)
        )
        expected = (found.states[..., 1:] * total).sum((-2, -1))
        return replace(found, log_prob=found.log_prob - expected)


def observe(
    models: Sequence[HiddenMarkovModel], words: Words, own: Sequence[Tensor] | None
) -> list[Observed]:
    """A batch in each direction, under what all *other* words say.

    Args:
        models: of source to target, then of target to source if there are two.
        words: the sentence pairs.
        own: states of these very words in each direction, which are part of what the models have
            learnt; None if they have learnt nothing yet.
    """
    result = []
    for direction, model in enumerate(models):
        each = words.turned() if direction else words
        links = None if own is None else own[direction][..., 1:]
        places = model.lexicon.places(each.source, each.target)
        scores = model.lexicon.log_probs(each.source, each.target, links, places)
        prior = None if links is None else model.fertility
        bonus = None if prior is None or links is None else prior.scores(links)
        result.append(Observed(each, places, model.target(each), scores, bonus))
    return result
