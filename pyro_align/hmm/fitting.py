"""Fitting: collapsed variational inference of a text's alignments, both directions agreeing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.distributions import ChainPosterior
from pyro_align.errors import DataError
from pyro_align.hmm.classes import Classes
from pyro_align.hmm.lexicon import Lexicon, pair_codes
from pyro_align.hmm.model import HiddenMarkovModel, Words
from pyro_align.hmm.settings import Settings
from pyro_align.hmm.store import PosteriorStore
from pyro_align.hmm.text import ClassText
from pyro_align.posterior import WordAlignment

Echo = Callable[[str], None]


@final
class FittedText:
    """Models of one direction or two, and the alignments of the text they were fitted to.

    Attributes:
        models: source to target, then target to source, if it was fitted too.
        classes: of source and target words.
        settings: what they were fitted with.
    """

    def __init__(
        self,
        models: list[HiddenMarkovModel],
        classes: tuple[Classes, Classes],
        settings: Settings,
        text: ClassText,
        store: PosteriorStore,
    ):
        self.models = models
        self.classes = classes
        self.settings = settings
        self._text = text
        self._store = store

    def __len__(self) -> int:
        return len(self._text)

    def __getitem__(self, pair: int) -> list[WordAlignment]:
        """Alignment of a sentence pair, by number from 0, in each direction."""
        batch, row, source, target = self._text.place(pair)
        sizes = ((target, source), (source, target))
        return [
            WordAlignment(weights=states[:t, 1 : 1 + s], null=states[:t, 0])
            for states, (t, s) in zip(self._store.read_row(batch, row), sizes, strict=False)
        ]


def fit(
    pairs: Iterable[tuple[str, str]],
    settings: Settings,
    scratch: Path,
    *,
    directions: int = 2,
    echo: Echo = print,
    path: Path | None = None,
) -> FittedText:
    r"""Fit hidden Markov alignment models to a text, and align the text.

    The tables of the lexicon are integrated out, and alignments are inferred by a structured form
    of collapsed variational inference of order zero (CVB0: Asuncion et al. 2009; for hidden Markov
    models Wang & Blunsom 2013): for each sentence, :math:`q(z)` is the exact posterior of the chain
    under the counts that all *other* words expect, then counts are renewed. So a word that occurs
    once is no evidence for its own translation; that it is makes rare words collect links in
    maximum likelihood.

    After the first passes links are counted as often as *both* directions expect them, by the
    product of their posteriors (Liang, Taskar & Klein 2006).

    Args:
        pairs: sentence pairs with words on both sides; read once.
        settings: sizes, priors and numbers of passes.
        scratch: a folder for posteriors between passes, about 4 bytes for each pair of words that
            are in a sentence pair.
        directions: 2, or 1 for source to target alone, without agreement.
        echo: told in a line how each pass went.
        path: where the pairs come from, to name in errors.

    Raises:
        DataError: if there is no pair.
    """
    classes = Classes(settings.prefix), Classes(settings.prefix)
    text = ClassText(pairs, classes)
    if not len(text):
        raise DataError("there is no pair with words on both sides", path)
    models = _models(text, classes, settings, directions)
    shapes = [text.shape(number) for number in range(text.batches)]
    store = PosteriorStore(scratch / "posteriors", shapes, directions)
    passes = settings.independent + settings.markov
    for number in range(passes):
        markov = number >= settings.independent
        perplexities = _renew(
            models,
            text,
            store,
            own=number > 0,
            agree=markov and directions == 2,
            jump_prior=settings.jump_prior if markov else None,
        )
        figures = " and ".join(f"{figure:.2f}" for figure in perplexities)
        echo(f"pass {number + 1} of {passes}: perplexity {figures}")
    for batch in range(text.batches):
        found = _posteriors(models, text.batch(batch), store.read(batch) if passes else None)
        store.write(batch, [each.states for each in found])
    return FittedText(models, classes, settings, text, store)


def _models(
    text: ClassText, classes: tuple[Classes, Classes], settings: Settings, directions: int
) -> list[HiddenMarkovModel]:
    models = []
    for turn in range(directions):
        source, target = reversed(classes) if turn else classes
        found = []
        frequency = torch.zeros(len(target))
        for batch in range(text.batches):
            words = text.batch(batch).turned() if turn else text.batch(batch)
            codes = pair_codes(words.source, words.target, len(target))
            there = words.source_mask.unsqueeze(1) & words.target_mask.unsqueeze(2)
            found.append(codes[there].unique())
            frequency += torch.bincount(words.target[words.target_mask], minlength=len(target))
        lexicon = Lexicon(
            source,
            target,
            torch.cat(found).unique(),
            frequency,
            sparsity=settings.sparsity,
            spelling=settings.spelling,
        )
        models.append(HiddenMarkovModel(lexicon, settings.max_jump, settings.null))
    return models


def _posteriors(
    models: list[HiddenMarkovModel], words: Words, own: list[Tensor] | None
) -> list[ChainPosterior]:
    """The posteriors of a batch in each direction, without what its own links add to the counts."""
    result = []
    for direction, model in enumerate(models):
        each = words.turned() if direction else words
        target = model.target(each, None if own is None else own[direction][..., 1:])
        result.append(target.posterior(each.target))
    return result


def _renew(
    models: list[HiddenMarkovModel],
    text: ClassText,
    store: PosteriorStore,
    *,
    own: bool,
    agree: bool,
    jump_prior: float | None,
) -> list[float]:
    """A pass over the text: new counts, and the weights of jumps unless ``jump_prior`` is None.

    Returns:
        Perplexity a target word of each direction.
    """
    counts = [torch.zeros_like(model.lexicon.counts) for model in models]
    jumps = [torch.full_like(model.jumps, jump_prior or 0.0) for model in models]
    starts = [torch.full_like(model.starts, jump_prior or 0.0) for model in models]
    total = [0.0] * len(models)
    for number in range(text.batches):
        words = text.batch(number)
        found = _posteriors(models, words, store.read(number) if own else None)
        states = [each.states for each in found]
        if agree:
            states = _agreeing(*states)
        # Rounded as they are stored: what is left out later is what was counted.
        states = store.write(number, states)
        for direction, (model, each) in enumerate(zip(models, found, strict=True)):
            side = words.turned() if direction else words
            places = model.lexicon.places(side.source, side.target)
            counts[direction].index_add_(
                0, places.reshape(-1), states[direction][..., 1:].reshape(-1)
            )
            length = side.source.shape[1]
            jumps[direction].index_add_(
                0, model.widths(length).reshape(-1), each.moves.sum(0).reshape(-1)
            )
            starts[direction].index_add_(0, model.distances(length)[0], each.first.sum(0))
            total[direction] += each.log_prob.sum().item()
    for model, count, jump, start in zip(models, counts, jumps, starts, strict=True):
        model.lexicon.learn(count)
        if jump_prior is not None:
            model.jumps, model.starts = jump, start
    return [math.exp(-each / size) for each, size in zip(total, text.words, strict=False)]


def _agreeing(
    forward: Float[Tensor, "b t s_null"], reverse: Float[Tensor, "b s t_null"]
) -> list[Tensor]:
    """Link probabilities of two directions replaced by their product."""
    both = forward[..., 1:] * reverse[..., 1:].transpose(1, 2)
    return [
        torch.cat([forward[..., :1], both], dim=-1),
        torch.cat([reverse[..., :1], both.transpose(1, 2)], dim=-1),
    ]
