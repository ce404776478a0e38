"""Alignment posteriors from Pyro programs and batches or text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pyro import poutine
from torch import Tensor

from pyro_align.data import (
    GoldLinks,
    IndexedCorpus,
    Vocabulary,
    check_links,
    split_words,
)
from pyro_align.data.batch import Batch
from pyro_align.data.batching import all_batches
from pyro_align.errors import DataError, IncompatibleError, UserError, reject_string
from pyro_align.inference.kinds import alignment_kind
from pyro_align.inference.positions import score_positions
from pyro_align.inference.traces import program_name
from pyro_align.posterior.alignment_posterior import AlignmentPosterior
from pyro_align.posterior.sentence import KINDS, SentencePosterior, Words
from pyro_align.posterior.storage import POSITIONS

Program = Callable[[Batch], Any]


@torch.no_grad()
def posterior_of(
    model: Program,
    guide: Program | None,
    batch: Batch,
    sources: Sequence[Sequence[str]],
    targets: Sequence[Sequence[str]],
    *,
    words: Sequence[Words] | None = None,
    gold: Sequence[GoldLinks] | None = None,
    title: str | None = None,
) -> AlignmentPosterior:
    """Compute prior, guide and exact posterior of a batch with any Pyro programs.

    For the requirements on the programs see
    :func:`~pyro_align.inference.positions.score_positions`.

    Args:
        model: the model, in evaluation mode.
        guide: the guide; None if there is none.
        batch: sentence pairs, on the device of the programs.
        sources: source tokens of each pair as strings, one for each id without padding.
        targets: target tokens of each pair.
        words: words of each pair that the tokens are pieces of, with gold links if there are any;
            needed to merge tokens to words.
        gold: links between the tokens of each pair; only without ``words``.
        title: title of the result; None for the names of model and guide.

    Raises:
        UserError: if tokens or links do not match the batch.
        IncompatibleError: if the alignments of the programs cannot be scored.
    """
    if words is not None and gold is not None:
        raise UserError(
            "pass gold links either with gold= or with the words, Words(..., gold=...), not both"
        )
    for name, given in (("source", sources), ("target", targets)):
        _check_tokens(name, given, getattr(batch, f"{name}_lengths").tolist())
    for noun, several in (("words", words), ("gold links", gold)):
        if several is not None and len(several) != len(batch):
            raise UserError(
                f"{noun} for {len(several)} sentence pairs, but the batch has {len(batch)}"
            )
    whole = _Arrays.of(model, guide, batch)
    sentences = []
    for row, (source, target) in enumerate(zip(sources, targets, strict=True)):
        of_words = None if words is None else words[row]
        if of_words is not None:
            _check_words(of_words, len(source), len(target), row)
        links = of_words.links_of_tokens() if of_words else None if gold is None else gold[row]
        if links is not None:
            _check_gold(links, len(source), len(target), row + 1)
        sentences.append(
            SentencePosterior(
                source=tuple(source),
                target=tuple(target),
                gold=links,
                words=of_words,
                **whole.cut(row, len(target), len(source)),
            )
        )
    if title is None:
        names = [program_name(program) for program in (model, guide) if program is not None]
        title = " with ".join(names)
    return AlignmentPosterior(sentences, title, "pieces")


def posterior_of_text(
    model: Program,
    guide: Program | None,
    vocabularies: tuple[Vocabulary, Vocabulary],
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    gold: Sequence[GoldLinks] | None = None,
    batch_tokens: int,
    max_length: int,
    device: torch.device | str = "cpu",
    title: str | None = None,
) -> AlignmentPosterior:
    """Compute prior, guide and exact posterior of sentences, as :func:`posterior_of`.

    Args:
        model: the model.
        guide: the guide; None if there is none.
        vocabularies: of source and target.
        sources: source sentences.
        targets: their translations.
        gold: links between the words of each pair, if there are any.
        batch_tokens: maximum number of tokens per batch, including padding.
        max_length: maximum length of either side of a pair, in pieces.
        device: device of model and guide.
        title: title of the result; None for the names of model and guide.

    Raises:
        UserError: if sentences or links are invalid; the message names the sentence.
    """
    pairs = list(_pairs(vocabularies, sources, targets, gold, max_length))
    return posterior_of_corpus(
        model,
        guide,
        IndexedCorpus.from_ids([pair.source for pair in pairs], [pair.target for pair in pairs]),
        [vocabularies[0].pieces(pair.source) for pair in pairs],
        [vocabularies[1].pieces(pair.target) for pair in pairs],
        words=[pair.words for pair in pairs],
        batch_tokens=batch_tokens,
        device=device,
        title=title,
    )


def posterior_of_corpus(
    model: Program,
    guide: Program | None,
    corpus: IndexedCorpus,
    sources: Sequence[Sequence[str]],
    targets: Sequence[Sequence[str]],
    *,
    words: Sequence[Words] | None = None,
    gold: Sequence[GoldLinks] | None = None,
    batch_tokens: int,
    device: torch.device | str = "cpu",
    title: str | None = None,
) -> AlignmentPosterior:
    """Compute prior, guide and exact posterior of all pairs of a corpus, batch by batch.

    Args:
        model: the model.
        guide: the guide; None if there is none.
        corpus: the pairs.
        sources: source tokens of each pair as strings.
        targets: target tokens of each pair.
        words: see :func:`posterior_of`.
        gold: likewise.
        batch_tokens: maximum number of tokens per batch, including padding.
        device: device of model and guide.
        title: title of the result; None for the names of model and guide.

    Raises:
        UserError: as for :func:`posterior_of`.
    """
    found: dict[int, SentencePosterior] = {}
    for batch in all_batches(corpus, batch_tokens):
        indices = batch.indices.tolist()
        posterior = posterior_of(
            model,
            guide,
            batch.to(device),
            [sources[i] for i in indices],
            [targets[i] for i in indices],
            words=None if words is None else [words[i] for i in indices],
            gold=None if gold is None else [gold[i] for i in indices],
            title=title,
        )
        title = posterior.title
        found.update(zip(indices, posterior, strict=True))
    return AlignmentPosterior((found[i] for i in range(len(corpus))), title or "", "pieces")


def check_sides(sources: Sequence[str], targets: Sequence[str]) -> None:
    """Check that there is one target per source, and at least one pair.

    Raises:
        UserError: if not, or if a side is one string.
    """
    for name, lines in (("sources", sources), ("targets", targets)):
        reject_string(name, lines)
    if len(sources) != len(targets):
        raise UserError(
            f"{len(sources)} sources but {len(targets)} targets: pass one target per source"
        )
    if not sources:
        raise UserError("there are no pairs: pass at least one source and its target")


@dataclass(frozen=True)
class _Pair:
    source: list[int]
    target: list[int]
    words: Words


def _pairs(
    vocabularies: tuple[Vocabulary, Vocabulary],
    sources: Sequence[str],
    targets: Sequence[str],
    gold: Sequence[GoldLinks] | None,
    max_length: int,
) -> Iterator[_Pair]:
    """Yield ids and words of every pair."""
    check_sides(sources, targets)
    if gold is not None and len(gold) != len(sources):
        raise UserError(f"gold links for {len(gold)} sentence pairs, but there are {len(sources)}")
    for number, (source, target) in enumerate(zip(sources, targets, strict=True), start=1):
        sides = []
        for name, vocabulary, text in zip(
            ("source", "target"), vocabularies, (source, target), strict=True
        ):
            ids, index = vocabulary.words(text)
            if not split_words(text):
                raise DataError(f"sentence {number}: the {name} is empty")
            if len(ids) > max_length:
                raise DataError(
                    f"sentence {number}: the {name} has {len(ids)} pieces, more than the maximum "
                    f"of {max_length}: split the sentence"
                )
            sides.append((ids, tuple(index), tuple(split_words(text))))
        links = None if gold is None else gold[number - 1]
        if links is not None:
            _check_gold(links, len(sides[0][2]), len(sides[1][2]), number)
        words = Words(sides[0][2], sides[1][2], sides[0][1], sides[1][1], links)
        yield _Pair(sides[0][0], sides[1][0], words)


@dataclass(frozen=True)
class _Arrays:
    """Matrices ``[batch, target, source]`` and values ``[batch, target]`` of a padded batch."""

    matrices: dict[str, NDArray[np.float32]]
    values: dict[str, NDArray[np.float64]]

    @classmethod
    def of(cls, model: Program, guide: Program | None, batch: Batch) -> _Arrays:
        batch = batch.sharing()
        scores = score_positions(model, guide, batch)
        if scores.log_prior is None:
            raise IncompatibleError(
                f"{program_name(model)} has neither a site 'alignment' nor the methods "
                f"states(batch) and prior(states) of an AlignmentModel: there is no alignment to "
                f"show"
            )
        logs = {kind: log for kind in KINDS if (log := getattr(scores, f"log_{kind}")) is not None}
        matrices = {kind: log.exp() for kind, log in logs.items()}
        if alignment_kind(getattr(model, "latents", {})) == "simplex":
            programs = {"prior": model, "guide": guide}
            matrices |= {
                f"concentration_{kind}": concentration
                for kind in logs
                if (concentration := _concentration(programs[kind], batch)) is not None
            }
        values = {name: value for name in POSITIONS if (value := getattr(scores, name)) is not None}
        return cls(
            {name: matrix.cpu().float().numpy() for name, matrix in matrices.items()},
            {name: value.cpu().double().numpy() for name, value in values.items()},
        )

    def cut(self, row: int, target: int, source: int) -> dict[str, Any]:
        """Return the arrays of one sentence, without padding."""
        return {
            **{
                name: matrix[row, :target, :source].copy() for name, matrix in self.matrices.items()
            },
            **{name: value[row, :target].copy() for name, value in self.values.items()},
        }


def _concentration(program: Any, batch: Batch) -> Float[Tensor, "batch target source"] | None:
    """Return the concentrations of a program's alignments, or None if they are not Dirichlet."""
    device = batch.target.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []), poutine.block():
        site = poutine.trace(program).get_trace(batch).nodes["alignment"]
    concentration = getattr(site["fn"], "concentration", None)
    if concentration is None:
        return None
    return concentration.expand(*batch.target.shape, batch.source_mask.shape[1])


def _check_tokens(name: str, given: Sequence[Sequence[str]], lengths: list[int]) -> None:
    if len(given) != len(lengths):
        raise UserError(
            f"{name} tokens for {len(given)} sentences, but the batch has {len(lengths)}"
        )
    for number, (tokens, length) in enumerate(zip(given, lengths, strict=True), start=1):
        if isinstance(tokens, str):
            raise UserError(
                f"sentence {number}: {name} tokens are a string; pass a list of strings"
            )
        if len(tokens) != length:
            raise UserError(
                f"sentence {number}: {len(tokens)} {name} tokens, but the batch has {length} ids "
                f"(including the sentence end)"
            )


def _check_gold(links: GoldLinks, source: int, target: int, number: int) -> None:
    try:
        check_links(links.possible, source, target)
    except DataError as error:
        raise DataError(f"sentence {number}: {error}") from None


def _check_words(words: Words, source: int, target: int, row: int) -> None:
    lengths = (len(words.source_index), len(words.target_index))
    if lengths != (source, target):
        raise UserError(
            f"sentence {row + 1}: words for {lengths[0]} source and {lengths[1]} target tokens, "
            f"but there are {source} and {target}"
        )
