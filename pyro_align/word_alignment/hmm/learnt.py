"""Models after the last pass, whose lexicons store pairs of words with links only."""

from __future__ import annotations

from collections.abc import Sequence

from pyro_align.word_alignment.hmm.cells import CellStore
from pyro_align.word_alignment.hmm.lexicon import Lexicon
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.singles import linked_pairs
from pyro_align.word_alignment.hmm.store import PosteriorStore
from pyro_align.word_alignment.hmm.text import TypeText


def learnt_models(
    models: Sequence[HiddenMarkovModel],
    text: TypeText,
    cells: CellStore,
    posteriors: PosteriorStore | None,
    settings: Settings,
) -> list[HiddenMarkovModel]:
    """Return the models with lexicons that store all pairs of words with links, and no others.

    The words of other pairs are not related.

    Args:
        models: source to target, then target to source if there are two.
        text: the sentence pairs.
        cells: cells of the text.
        posteriors: states from which the models have learnt; None if they have not.
        settings: settings of the fit.
    """
    result = []
    found = linked_pairs(models, text, cells, posteriors)
    for model, linked in zip(models, found, strict=True):
        before = model.lexicon
        codes, order = (linked.source * before.width + linked.target).sort()
        lexicon = Lexicon(
            before.pairs.of_same_words(codes),
            before.frequency,
            before.spelling,
            settings,
            linked.prior[order],
        )
        lexicon.learn(linked.counts[order], before.null_counts)
        result.append(model.with_lexicon(lexicon))
    return result
