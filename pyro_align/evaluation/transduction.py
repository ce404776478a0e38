"""Evaluation of models of word forms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.data.batching import all_batches
from pyro_align.data.encoded_forms import SymbolVocabularies, encode_forms, links_of_symbols
from pyro_align.data.forms import FormPair
from pyro_align.data.links import Link
from pyro_align.data.symbols import SymbolVocabulary
from pyro_align.evaluation.edits import Confusions
from pyro_align.evaluation.forms import FormScores
from pyro_align.evaluation.positions import LinkErrors, evaluate_batches
from pyro_align.evaluation.result import Evaluation
from pyro_align.posterior.build import posterior_of_corpus


def evaluate_forms(
    model: Any,
    guide: Any,
    pairs: Sequence[FormPair],
    vocabularies: SymbolVocabularies,
    *,
    batch_tokens: int,
    max_length: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
) -> Evaluation:
    """Compute likelihood, posterior and, with gold links, alignment error on pairs of forms.

    Args:
        model: a Pyro program over a batch, in evaluation mode.
        guide: a Pyro program over a batch, in evaluation mode.
        pairs: the pairs, each with a target.
        vocabularies: of source and target.
        batch_tokens: maximum number of symbols per batch, including padding.
        max_length: maximum length of either side of a pair, in symbols.
        device: device of model and guide.
        progress: called with the number of pairs done.

    Raises:
        DataError: if a pair or its links are invalid.
    """
    source, target = vocabularies

    def decode(index: int, row: Float[Tensor, "target source"]) -> frozenset[Link]:
        """Link each target symbol to its best source symbol, and not if that is a tag or EOS."""
        pair = pairs[index]
        first, last = len(pair.tags), len(pair.tags) + len(source.split(pair.source))
        best = row[: len(target.split(pair.target or "")), : last + 1].argmax(1).tolist()
        return frozenset(
            (where - first, position)
            for position, where in enumerate(best)
            if first <= where < last
        )

    counted = LinkErrors(links_of_symbols(pairs, vocabularies), decode)
    batches = all_batches(encode_forms(pairs, vocabularies, max_length), batch_tokens)
    result = evaluate_batches(model, guide, batches, device=device, progress=progress, each=counted)
    result.error_rates = counted.rates
    result.unit = "pairs of forms"
    return result


def score_predictions(
    pairs: Sequence[FormPair], predictions: Sequence[str], vocabulary: SymbolVocabulary
) -> FormScores:
    """Compare predicted forms with the targets, symbol by symbol.

    Args:
        pairs: the pairs, each with a target.
        predictions: a predicted target for each pair.
        vocabulary: vocabulary of the target, which splits forms into symbols.

    Raises:
        ValueError: if the numbers of pairs and predictions differ.
    """
    scores = FormScores()
    for pair, prediction in zip(pairs, predictions, strict=True):
        reference = vocabulary.split(pair.target or "")
        scores.update(reference, vocabulary.split(prediction), pair.language or "")
    return scores


def find_confusions(
    model: Any,
    pairs: Sequence[FormPair],
    predictions: Sequence[str],
    vocabularies: SymbolVocabularies,
    *,
    batch_tokens: int,
    device: torch.device | str = "cpu",
) -> Confusions:
    """Count the edits between targets and predictions, with the posterior of their alignments.

    Args:
        model: a Pyro program over a batch, in evaluation mode.
        pairs: the pairs, each with a target.
        predictions: a predicted target for each pair.
        vocabularies: of source and target.
        batch_tokens: maximum number of symbols per batch, including padding.
        device: device of the model.

    Raises:
        ValueError: if the numbers of pairs and predictions differ.
    """
    source, target = vocabularies
    wrong = [
        (pair, prediction)
        for pair, prediction in zip(pairs, predictions, strict=True)
        if target.split(pair.target or "") != target.split(prediction)
    ]
    confusions = Confusions()
    if not wrong:
        return confusions
    sources = [source.labels(pair.source, pair.tags) for pair, _ in wrong]
    sides = []
    for forms in (
        [pair for pair, _ in wrong],
        [replace(pair, target=prediction, links=None) for pair, prediction in wrong],
    ):
        sides.append(
            posterior_of_corpus(
                model,
                None,
                encode_forms(forms, vocabularies),
                sources,
                [target.labels(pair.target or "") for pair in forms],
                batch_tokens=batch_tokens,
                device=device,
            )
        )
    for (pair, prediction), labels, one, other in zip(wrong, sources, *sides, strict=True):
        confusions.update(
            target.split(pair.target or ""),
            target.split(prediction),
            labels,
            one.prior if one.posterior is None else one.posterior,
            other.prior if other.posterior is None else other.posterior,
        )
    return confusions
