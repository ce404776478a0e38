"""Fitting: collapsed variational inference of the alignments of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.errors import DataError
from pyro_align.posterior import WordAlignment
from pyro_align.word_alignment.hmm.agreement import project
from pyro_align.word_alignment.hmm.cooccurrences import WordPairs, distinct, pair_codes
from pyro_align.word_alignment.hmm.lexicon import Lexicon
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel
from pyro_align.word_alignment.hmm.observed import observe
from pyro_align.word_alignment.hmm.passes import renew
from pyro_align.word_alignment.hmm.processes import (
    available_processes,
    in_halves,
    one_thread,
)
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.spelling import Spelling
from pyro_align.word_alignment.hmm.store import PlaceStore, PosteriorStore
from pyro_align.word_alignment.hmm.text import TypeText
from pyro_align.word_alignment.hmm.types import NULL, Types

Echo = Callable[[str], None]

MERGED = 1 << 20
"""Number of word-pair codes, with duplicates, that are collected before they are merged."""


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
        store: PosteriorStore,
        gains: list[list[list[float]]],
    ):
        self.models = models
        self.types = types
        self.settings = settings
        self._text = text
        self._store = store
        self._gains = gains

    def __len__(self) -> int:
        return len(self._text)

    def __getitem__(self, pair: int) -> list[WordAlignment]:
        """Return the alignment of a sentence pair (numbered from 0) in each direction."""
        batch, row, source, target = self._text.place(pair)
        sizes = (source, target), (target, source)
        found = self._store.read_row(batch, row), sizes, self._gains[batch]
        return [
            WordAlignment(
                weights=torch.from_numpy(states[:length, 1 : 1 + width]),
                null=torch.from_numpy(states[:length, 0]),
                gain=gains[row],
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
        scratch: folder for temporary files: 4 bytes per word of the text, and about 8 bytes per
            pair of words of each sentence pair. Memory holds one batch of each process and the
            lexicons, whose size is the number of co-occurring word pairs.
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
    shapes = [text.shape(number) for number in range(text.batches)]
    with one_thread():
        places = PlaceStore(scratch / "places", shapes)
        models = _models(text, places, types, earlier, settings, directions, processes)
        store = PosteriorStore(scratch / "posteriors", shapes, directions)
        passes = settings.independent + settings.markov
        for number in range(passes):
            perplexities = renew(models, text, places, store, settings, number, processes)
            figures = " and ".join(f"{figure:.2f}" for figure in perplexities)
            echo(f"pass {number + 1} of {passes}: perplexity {figures}")

        def align(half: int) -> list[list[list[float]]]:
            gains = []
            for batch in range(half, text.batches, 2):
                own = store.read(batch) if passes else None
                observed = observe(models, text.batch(batch), places.read(batch), own)
                found = [each.posterior() for each in observed]
                if directions == 2 and settings.regularise:
                    found = project(observed, found, settings.projection)
                store.write(batch, [each.states for each in found])
                both = zip(observed, found, strict=True)
                gains.append([seen.gain(each).tolist() for seen, each in both])
            return gains

        even, odd = in_halves(align, processes)
    gains = [(even, odd)[batch % 2][batch // 2] for batch in range(text.batches)]
    return FittedText(models, types, settings, text, store, gains)


def _models(
    text: TypeText,
    places: PlaceStore,
    types: tuple[Types, Types],
    earlier: tuple[Int[Tensor, "k 2"], Float[Tensor, " k"]],
    settings: Settings,
    directions: int,
    processes: int,
) -> list[HiddenMarkovModel]:
    """Create the models, and store where their lexicons have the pairs of words of the text.

    ``earlier`` has pairs of words and their numbers of links in other text.
    """
    source, target = types
    keys, found = torch.empty(0, dtype=torch.int64), []
    frequency = [torch.zeros(len(side)) for side in types]
    for batch in range(text.batches):
        words = text.batch(batch)
        codes = pair_codes(words.source, words.target, len(target))
        there = words.source_mask.unsqueeze(1) & words.target_mask.unsqueeze(2)
        found.append(distinct(codes[there]))
        if sum(map(len, found)) > max(MERGED, len(keys)):
            keys, found = distinct(torch.cat([keys, *found])), []
        for side, ids in zip(frequency, (words.source, words.target), strict=True):
            side += torch.bincount(ids[ids != NULL], minlength=len(side))
    known = earlier[0][:, 0] * len(target) + earlier[0][:, 1]
    keys = distinct(torch.cat([keys, *found, known]))
    del found
    counts = None
    if len(known):
        counts = torch.zeros(len(keys))
        counts.index_add_(0, torch.searchsorted(keys, known), earlier[1])
    pairs = WordPairs.create(source, target, keys, settings.affixes)
    for batch in range(text.batches):
        words = text.batch(batch)
        places.write(batch, pairs.index.find(words.source, words.target)[0])
    spelling = Spelling(source.names, target.names, settings.related)
    models = []
    for turn in range(directions):
        lexicon = Lexicon(
            pairs.turned() if turn else pairs,
            frequency[1 - turn],
            spelling.turned() if turn else spelling,
            settings,
            torch.zeros(len(keys)),
            counts,
        )
        lexicon.relate(processes=processes)
        models.append(
            HiddenMarkovModel(lexicon, settings.max_jump, settings.null, settings.diagonal)
        )
    return models
