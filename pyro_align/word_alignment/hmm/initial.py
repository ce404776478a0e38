"""Models of a text before the first pass."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.word_alignment.hmm.cells import Cells, CellStore
from pyro_align.word_alignment.hmm.cooccurrences import WordPairs
from pyro_align.word_alignment.hmm.lexicon import Lexicon
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel
from pyro_align.word_alignment.hmm.occurrences import Occurrences, pair_codes
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.spelling import Spelling
from pyro_align.word_alignment.hmm.text import TypeText
from pyro_align.word_alignment.hmm.types import NULL, Types


def initial_models(
    text: TypeText,
    store: CellStore,
    types: tuple[Types, Types],
    earlier: tuple[Int[Tensor, "k 2"], Float[Tensor, " k"]],
    settings: Settings,
    directions: int,
) -> list[HiddenMarkovModel]:
    """Create models whose lexicons store the pairs of words that occur more than once in a text.

    Pairs of words are not related yet.

    Args:
        text: the sentence pairs.
        store: for the cells of the text.
        types: source and target words.
        earlier: pairs of words and their numbers of links in other text; they are stored as well.
        settings: settings of the fit.
        directions: 1 or 2.
    """
    source, target = types
    known = earlier[0][:, 0] * len(target) + earlier[0][:, 1]
    pairs, frequency = _pairs(text, types, known, settings)
    for batch in range(text.batches):
        store.append(Cells.find(text.batch(batch), pairs))
    counts = None
    if len(known):
        counts = torch.zeros(len(pairs))
        counts.index_add_(0, torch.searchsorted(pairs.index.keys, known), earlier[1])
    spelling = Spelling(source.names, target.names, settings.related)
    models = []
    for turn in range(directions):
        lexicon = Lexicon(
            pairs.turned() if turn else pairs,
            frequency[1 - turn],
            spelling.turned() if turn else spelling,
            settings,
            torch.zeros(len(pairs)),
            counts,
        )
        models.append(
            HiddenMarkovModel(lexicon, settings.max_jump, settings.null, settings.diagonal)
        )
    return models


def _pairs(
    text: TypeText, types: tuple[Types, Types], known: Int[Tensor, " k"], settings: Settings
) -> tuple[WordPairs, list[Float[Tensor, " v"]]]:
    """Return the pairs of words to store, and the frequencies of source and target words.

    ``known`` are the codes of pairs to store in any case.
    """
    source, target = types
    seen = Occurrences()
    seen.add(known, torch.ones(len(known), dtype=torch.bool))
    frequency = [torch.zeros(len(side)) for side in types]
    for batch in range(text.batches):
        words = text.batch(batch)
        codes = pair_codes(words.source, words.target, len(target))
        there = words.source_mask.unsqueeze(1) & words.target_mask.unsqueeze(2)
        seen.add(codes[there])
        for side, ids in zip(frequency, (words.source, words.target), strict=True):
            side += torch.bincount(ids[ids != NULL], minlength=len(side))
    keys, repeated = seen.found()
    del seen
    return WordPairs.create(source, target, keys, settings.affixes, repeated), frequency
