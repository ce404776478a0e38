"""Score a batch: by position if all is computed by enumeration, by sentence otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyro_align.data.batch import Batch
from pyro_align.inference.kinds import other_sites
from pyro_align.inference.position_scores import PositionScores, has_attention
from pyro_align.inference.positions import score_positions
from pyro_align.inference.sentences import DRAWS, SentenceScores, score_sentences
from pyro_align.inference.sites import latents_of


def score_batch(
    model: Callable[[Batch], Any],
    guide: Callable[[Batch], Any] | None,
    batch: Batch,
    *,
    draws: int = DRAWS,
) -> PositionScores | SentenceScores:
    """Score a batch for validation, evaluation and diagnosis.

    Both results have the attributes ``log_evidence``, ``elbo``, ``kl``, ``gap``, ``prior_entropy``
    and ``posterior_entropy``: tensors to be summed, or None.

    Args:
        model: a Pyro program, see :func:`~pyro_align.inference.score_positions` and
            :func:`~pyro_align.inference.score_sentences`.
        guide: the guide; None if there is none.
        batch: the batch, on the programs' device.
        draws: samples per sentence, if there are latent sites besides the alignment.

    Returns:
        The result of ``score_sentences`` if there are such sites, or no alignments and no
        attention; otherwise that of ``score_positions``.
    """
    latents = latents_of(model, batch)
    if other_sites(latents) or not ("alignment" in latents or has_attention(model)):
        return score_sentences(model, guide, batch, draws=draws)
    return score_positions(model, guide, batch)
