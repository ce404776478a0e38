"""`Observed`: a batch of sentence pairs in one direction, prepared for inference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.distributions import ChainPosterior, MarkovMixture
from pyro_align.word_alignment.hmm.cells import Cells
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel
from pyro_align.word_alignment.hmm.words import Words

STEPS = 2
"""Number of mean-field steps for the fertility of new text."""


@final
@dataclass(frozen=True)
class Observed:
    """A batch in one direction, with everything needed to infer its chains.

    Attributes:
        words: the sentence pairs.
        chain: the Markov chain over source positions.
        scores: log probabilities of target words given the null word (first) and source words.
        bonus: contribution of the fertility prior to the scores of links, if any.
    """

    words: Words
    chain: MarkovMixture
    scores: Float[Tensor, "b t one_more"]
    bonus: Float[Tensor, "b t s"] | None = None

    def posterior(self, shift: Float[Tensor, "b t s"] | None = None) -> ChainPosterior:
        """Compute the posterior of the chains given the words and the fertility prior.

        Its ``log_prob`` is the log probability of the words if nothing is added to the scores, and
        else a lower bound: the log sum over chains minus the expectation of the added terms.

        Args:
            shift: further terms to add to the scores of links.
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

    def gain(self, found: ChainPosterior) -> Float[Tensor, " b"]:
        """Return what the source words add to the log probability of the target words.

        In nats per target word, compared to drawing all of them from the null word.

        Args:
            found: the posterior of the chains.
        """
        here = self.words.target_mask
        alone = self.scores[..., 0].masked_fill(~here, 0.0).sum(-1)
        return (found.log_prob - alone) / here.sum(-1)


def observe(
    models: Sequence[HiddenMarkovModel],
    cells: Sequence[Cells],
    own: Sequence[Tensor] | None,
) -> list[Observed]:
    """Prepare a batch in each direction, using the counts of all *other* words.

    Args:
        models: source to target, then target to source if there are two.
        cells: the batch in each direction.
        own: state probabilities of these same words in each direction, to subtract from the counts
            of the models; None before the first pass.
    """
    result = []
    for direction, (model, each) in enumerate(zip(models, cells, strict=True)):
        mine = None if own is None else own[direction]
        scores = model.lexicon.log_probs_of_cells(each, mine)
        bonus = None
        if mine is not None and model.fertility is not None:
            bonus = model.fertility.scores(mine[..., 1:], each.words.source, counted=True)
        result.append(Observed(each.words, model.target(each.words), scores, bonus))
    return result


def infer(model: HiddenMarkovModel, words: Words) -> tuple[Observed, ChainPosterior]:
    """Compute the posterior of the chains of new text, with all that the model has learnt.

    The fertility prior depends on the posterior; it is inferred by :data:`STEPS` steps of mean
    field that start without it.
    """
    scores = model.lexicon.log_probs(words.source, words.target)
    observed = Observed(words, model.target(words), scores)
    found = observed.posterior()
    if model.fertility is not None:
        for _ in range(STEPS):
            bonus = model.fertility.scores(found.states[..., 1:], words.source)
            found = replace(observed, bonus=bonus).posterior()
    return observed, found
