"""Passes over a text: inference of the alignments and update of the models."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyro_align.word_alignment.hmm.agreement import product
from pyro_align.word_alignment.hmm.cells import CellStore
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel
from pyro_align.word_alignment.hmm.observed import observe
from pyro_align.word_alignment.hmm.processes import in_halves
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.singles import learn_spelling
from pyro_align.word_alignment.hmm.store import PosteriorStore
from pyro_align.word_alignment.hmm.tally import Tally
from pyro_align.word_alignment.hmm.text import TypeText


def renew(
    models: Sequence[HiddenMarkovModel],
    text: TypeText,
    cells: CellStore,
    posteriors: PosteriorStore,
    settings: Settings,
    number: int,
    processes: int,
) -> list[float]:
    """Run one pass over the text and update the models.

    Args:
        models: source to target, then target to source if there are two.
        text: the sentence pairs.
        cells: cells of the text.
        posteriors: states of the previous pass, replaced by those of this pass.
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
            own = posteriors.read(batch) if number else None
            here = cells.read(batch, text.batch(batch))
            observed = observe(models, here, own)
            found = [each.posterior() for each in observed]
            states = [each.states for each in found]
            if markov and len(models) == 2:
                states = product(*states)
            # Rounded as stored, so that exactly the added counts are subtracted in the next pass.
            states = posteriors.write(batch, states)
            parts = zip(models, here, found, states, strict=True)
            for tally, part in zip(tallies, parts, strict=True):
                tally.add(*part)
        return tallies

    perplexities = []
    first, second = in_halves(count, processes)
    for model, size in zip(models, text.words, strict=False):
        tally = first.pop(0)
        tally.merge(second.pop(0))
        tally.teach(model, settings, jumps=markov)
        perplexities.append(math.exp(-tally.log_prob / size))
        del tally  # its memory is needed for the next
    if number + 1 == settings.independent and settings.spelling:
        learn_spelling(models, text, cells, posteriors, processes)
    return perplexities
