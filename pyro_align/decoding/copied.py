"""Unknown tokens of translations that are copies of unknown source tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from pyro_align.data.batch import UNK, TextBatch
from pyro_align.inference import score_positions
from pyro_align.nn import CopyEmission


def copies(model: Any) -> bool:
    """Whether a model can copy source tokens, see :class:`~pyro_align.nn.CopyEmission`."""
    return isinstance(model.networks.emission, CopyEmission)


def unknown_symbols(source: Sequence[int], symbols: Sequence[str | None]) -> dict[int, str]:
    """Return the texts of the unknown tokens of a source, by position.

    Args:
        source: source ids.
        symbols: text of each id; None if it stands for no text.
    """
    pairs = enumerate(zip(source, symbols, strict=True))
    return {place: text for place, (number, text) in pairs if number == UNK and text is not None}


@torch.no_grad()
def copied_unknown(
    models: Sequence[Any],
    sources: Sequence[Sequence[int]],
    targets: Sequence[Sequence[int]],
    symbols: Sequence[Sequence[str | None]],
) -> list[list[str]]:
    """Return what the unknown tokens of translations are most probably copied from.

    Of the unknown source tokens it is the one with the highest posterior probability to be aligned
    with the target token, on average over the models; the attention weight for a model without
    latent alignment.

    Args:
        models: models that copy, in evaluation mode.
        sources: source ids of each pair.
        targets: target ids of each pair.
        symbols: for each source id its text; None if it stands for no text. A source has an unknown
            token with text.

    Returns:
        For each pair, one text for each unknown target token.
    """
    batch = TextBatch.from_ids(sources, targets).to(next(models[0].parameters()).device)
    total = torch.zeros(())
    for model in models:
        scores = score_positions(model, None, batch)
        weights = scores.log_prior if scores.log_posterior is None else scores.log_posterior
        assert weights is not None
        total = total + weights.exp().cpu()
    found = []
    for row, (source, target, texts) in enumerate(zip(sources, targets, symbols, strict=True)):
        unknown = unknown_symbols(source, texts)
        best = total[row][:, [*unknown]].argmax(-1).tolist()
        choices = [*unknown.values()]
        found.append([choices[best[t]] for t, number in enumerate(target) if number == UNK])
    return found
