"""Fitting: collapsed variational inference of the alignments of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from pyro_align.errors import DataError
from pyro_align.posterior import WordAlignment
from pyro_align.word_alignment.hmm.agreement import project
from pyro_align.word_alignment.hmm.cells import CellStore
from pyro_align.word_alignment.hmm.initial import initial_models
from pyro_align.word_alignment.hmm.learnt import learnt_models
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel
from pyro_align.word_alignment.hmm.observed import observe
from pyro_align.word_alignment.hmm.passes import renew
from pyro_align.word_alignment.hmm.processes import (
    available_processes,
    in_halves,
    one_thread,
)
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.singles import relate
from pyro_align.word_alignment.hmm.store import PosteriorStore
from pyro_align.word_alignment.hmm.text import TypeText
from pyro_align.word_alignment.hmm.types import Types

Echo = Callable[[str], None]


@final
class FittedText:
    """Models of one or two directions and the alignments of the text they were fitted to.

    Attributes:
        models: source to target, then target to source if there are two directions.
        types: of source and target words.
        settings: settings of the fit.
    """

    def __init__(
        self,
        models: list[HiddenMarkovModel],
        types: tuple[Types, Types],
        settings: Settings,
        text: TypeText,
        posteriors: PosteriorStore,
        gains: list[list[NDArray[np.float32]]],
    ):
        self.models = models
        self.types = types
        self.settings = settings
        self._text = text
        self._posteriors = posteriors
        self._gains = gains

    def __len__(self) -> int:
        return len(self._text)

    def __getitem__(self, pair: int) -> list[WordAlignment]:
        """Return the alignment of a sentence pair (numbered from 0) in each direction."""
        batch, row, source, target = self._text.place(pair)
        sizes = (source, target), (target, source)
        found = self._posteriors.read_row(batch, row), sizes, self._gains[batch]
        return [
            WordAlignment(
                weights=torch.from_numpy(states[:length, 1 : 1 + width]),
                null=torch.from_numpy(states[:length, 0]),
                gain=float(gains[row]),
            )
            for states, (width, length), gains in zip(*found, strict=False)
        ]


def fit(
    pairs: Iterable[tuple[str, str]],
    settings: Settings,
    scratch: Path,
    *,
    directions: int = 2,
    prior: Mapping[tuple[str, str], float] | None = None,
    processes: int | None = None,
    echo: Echo = print,
    path: Path | None = None,
) -> FittedText:
    r"""Fit hidden Markov alignment models to a text, and align the text.

    The parameters of the lexicon are integrated out, and alignments are inferred by structured
    zero-order collapsed variational inference (CVB0: Asuncion et al. 2009; for hidden Markov models
    Wang & Blunsom 2013): for each sentence, :math:`q(z)` is the exact posterior of the chain given
    the expected counts of all *other* words; then the counts are updated. A word that occurs once
    therefore gives no evidence for its own translation, which in maximum likelihood makes rare
    words collect links.

    After the first passes links are counted by the product of the posteriors of both directions
    (Liang, Taskar & Klein 2006). From the second pass on the number of links of each source word
    has a learnt prior.

    Args:
        pairs: sentence pairs with words on both sides; read once.
        settings: sizes, priors and numbers of passes.
        scratch: folder for temporary files: 8 bytes per word of the text, and about 12 bytes per
            pair of words of each sentence pair. Memory holds one batch of each process and the
            lexicons, which store only pairs of words that occur more than once in the text, about a
            third of the different pairs.
        directions: 2, or 1 for source to target only, without agreement.
        prior: numbers of links of source and target words in other text, or None. They are added
            to those of the text, so that they are pseudo-counts of the Dirichlet priors.
        processes: 1 or 2; default :func:`~.processes.available_processes`. The results are the
            same.
        echo: called with one line per pass.
        path: source of the pairs, named in errors.

    Raises:
        DataError: if there are no pairs.
    """
    processes = available_processes() if processes is None else processes
    types = Types(), Types()
    text = TypeText(pairs, types, scratch)
    if not len(text):
        raise DataError("no sentence pair has words on both sides", path)
    prior = {} if prior is None else prior
    known = [[*types[0].add(one), *types[1].add(other)] for one, other in prior]
    earlier = (
        torch.tensor(known, dtype=torch.int64).view(-1, 2),
        torch.tensor(list(prior.values()), dtype=torch.float32),
    )
    with one_thread():
        cells = CellStore(scratch, len(settings.affixes), directions)
        models = initial_models(text, cells, types, earlier, settings, directions)
        relate(models, text, cells, processes)
        posteriors = PosteriorStore(scratch / "posteriors", text.shapes, directions)
        passes = settings.independent + settings.markov
        for number in range(passes):
            perplexities = renew(models, text, cells, posteriors, settings, number, processes)
            figures = " and ".join(f"{figure:.2f}" for figure in perplexities)
            echo(f"pass {number + 1} of {passes}: perplexity {figures}")
        learnt = learnt_models(models, text, cells, posteriors if passes else None, settings)

        def align(half: int) -> list[list[NDArray[np.float32]]]:
            gains = []
            for batch in range(half, text.batches, 2):
                own = posteriors.read(batch) if passes else None
                observed = observe(models, cells.read(batch, text.batch(batch)), own)
                found = [each.posterior() for each in observed]
                if directions == 2 and settings.regularise:
                    found = project(observed, found, settings.projection)
                posteriors.write(batch, [each.states for each in found])
                both = zip(observed, found, strict=True)
                gains.append([seen.gain(each).numpy() for seen, each in both])
            return gains

        even, odd = in_halves(align, processes)
    gains = [(even, odd)[batch % 2][batch // 2] for batch in range(text.batches)]
    return FittedText(learnt, types, settings, text, posteriors, gains)
