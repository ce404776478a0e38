"""Pairs of words that occur once in a text: their spelling and their links, from disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.word_alignment.hmm.cells import Cells, CellStore, greater
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel
from pyro_align.word_alignment.hmm.processes import in_halves
from pyro_align.word_alignment.hmm.spelling import COMPARED, LINKED
from pyro_align.word_alignment.hmm.store import PosteriorStore
from pyro_align.word_alignment.hmm.text import TypeText


class LinkedPairs(NamedTuple):
    """Different pairs of words with links.

    Attributes:
        source: source words.
        target: target words.
        counts: expected numbers of links.
        prior: pseudo-counts by spelling, λ r.
    """

    source: Int[Tensor, " n"]
    target: Int[Tensor, " n"]
    counts: Float[Tensor, " n"]
    prior: Float[Tensor, " n"]


def relate(
    models: Sequence[HiddenMarkovModel], text: TypeText, store: CellStore, processes: int
) -> None:
    """Set the pseudo-counts of all pairs of words of a text by their spelling.

    Args:
        models: source to target, then target to source if there are two.
        text: the sentence pairs.
        store: cells of the text, where those of pairs that occur once are stored.
        processes: 1 or 2.
    """

    def half(number: int) -> list[Tensor]:
        totals = [torch.zeros(model.lexicon.sources) for model in models]
        for batches in _groups(text, store, range(number, text.batches, 2)):
            words = [cells.words.at(cells.single) for _, cells in batches]
            sides = [torch.cat(side) for side in zip(*words, strict=True)]
            sizes = [len(source) for source, _ in words]
            parts = []
            for model, total in zip(models, totals, strict=True):
                prior = model.lexicon.related(*sides)
                total.index_add_(0, sides[0], prior)
                parts.append(prior.split(sizes))
                sides.reverse()
            for (batch, _), priors in zip(batches, zip(*parts, strict=True), strict=True):
                store.write_priors(batch, priors)
        return totals

    halves = zip(*in_halves(half, processes), strict=True)
    for model, (one, other) in zip(models, halves, strict=True):
        model.lexicon.relate(others=one + other, processes=processes)


def _groups(text: TypeText, store: CellStore, batches: range) -> Iterator[list[tuple[int, Cells]]]:
    """Yield numbers and cells of batches with :data:`COMPARED` pairs that occur once, or more."""
    found: list[tuple[int, Cells]] = []
    number = 0
    for batch in batches:
        cells, *_ = store.read(batch, text.batch(batch))
        found.append((batch, cells))
        number += len(cells.single)
        if number >= COMPARED or batch == batches[-1]:
            yield found
            found, number = [], 0


def learn_spelling(
    models: Sequence[HiddenMarkovModel],
    text: TypeText,
    store: CellStore,
    posteriors: PosteriorStore,
    processes: int,
) -> None:
    """Learn the correspondence of characters from the expected link counts.

    Args:
        models: source to target, then target to source if there are two.
        text: the sentence pairs.
        store: cells of the text.
        posteriors: states of the last pass.
        processes: 1 or 2.
    """
    linked = linked_pairs(models, text, store, posteriors, LINKED)
    for model, pairs in zip(models, linked, strict=True):
        model.lexicon.spelling.learn(pairs.source, pairs.target, pairs.counts)
    relate(models, text, store, processes)


def linked_pairs(
    models: Sequence[HiddenMarkovModel],
    text: TypeText,
    store: CellStore,
    posteriors: PosteriorStore | None,
    least: float = 0.0,
) -> list[LinkedPairs]:
    """Return the pairs of words with links, in each direction.

    Args:
        models: source to target, then target to source if there are two.
        text: the sentence pairs.
        store: cells of the text.
        posteriors: states from which the models have learnt; None if they have not.
        least: minimum expected number of links, exclusive.
    """
    found = []
    for model in models:
        lexicon = model.lexicon
        places = greater(lexicon.counts, least)
        sides = lexicon.pairs.index.sides(places)
        found.append([LinkedPairs(*sides, lexicon.counts[places], lexicon.prior[places])])
    for batch in range(text.batches):
        if posteriors is None:
            break  # no links
        directions = store.read(batch, text.batch(batch))
        states = posteriors.read(batch)
        for parts, cells, each in zip(found, directions, states, strict=True):
            counts = each[..., 1:].reshape(-1)[cells.single]
            linked = greater(counts, least)
            sides = cells.words.at(cells.single[linked])
            parts.append(LinkedPairs(*sides, counts[linked], cells.prior[linked]))
    return [LinkedPairs(*map(torch.cat, zip(*parts, strict=True))) for parts in found]
