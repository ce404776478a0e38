"""Prior, guide and exact posterior of every target position, from traces of the programs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.distributions import at_least_fp32
from pyro_align.errors import IncompatibleError
from pyro_align.inference.draws import draw
from pyro_align.inference.enumeration import enumerated_trace
from pyro_align.inference.kinds import alignment_kind, other_sites
from pyro_align.inference.position_scores import PositionScores, SimplexScores, scores_of_traces
from pyro_align.inference.sentences import score_sentences
from pyro_align.inference.sites import latents_of
from pyro_align.inference.traces import program_name


@torch.no_grad()
def score_positions(
    model: Callable[[Batch], Any], guide: Callable[[Batch], Any] | None, batch: Batch
) -> PositionScores:
    """Run model and guide on a batch and compute prior, guide and posterior by enumeration.

    The programs can be any Pyro programs with the sites ``alignment`` and ``tokens`` in the plates
    ``sentences`` (dim −2) and ``positions`` (dim −1), and one alignment per source position. The
    result is deterministic. A model of alignments on the simplex cannot be enumerated: the result
    is then :class:`SimplexScores`, from samples with a fixed seed; the global random state is not
    changed. With other latent sites, such as a Gaussian for each sentence, it is
    :class:`AveragedScores`, from samples with a fixed seed too. Modules with dropout should be in
    evaluation mode.

    Args:
        model: the model. If it has no site ``alignment``, its methods ``states(batch)`` and
            ``prior(states)`` compute its attention, if it has them.
        guide: the guide; None if there is none.
        batch: sentence pairs, on the programs' device.

    Raises:
        IncompatibleError: if an ``alignment`` cannot be enumerated.
    """
    if alignment_kind(getattr(model, "latents", {})) == "simplex":
        return _estimate(model, guide, batch)
    if other_sites(latents_of(model, batch)):
        positions = score_sentences(model, guide, batch).positions
        if positions is None:
            raise IncompatibleError(
                f"{program_name(model)} has no site 'alignment': there is no alignment to score"
            )
        return positions
    batch = batch.sharing()
    model_trace = enumerated_trace(model, batch)
    guide_trace = None if guide is None else enumerated_trace(guide, batch)
    return scores_of_traces(model, model_trace, guide_trace, batch)


def _estimate(model: Any, guide: Any, batch: Batch) -> SimplexScores:
    """Estimate the scores of a model with alignments on the simplex."""
    has_guide = guide is not None and "alignment" in getattr(guide, "latents", ("alignment",))
    drawn = draw(model, guide if has_guide else None, batch.sharing())
    weights = drawn.log_prior + drawn.log_likelihood - drawn.log_proposal
    evidence = weights.logsumexp(0) - math.log(len(weights))

    def counted(values: Tensor) -> Tensor:
        mask = batch.target_mask
        return at_least_fp32(values).where(mask if values.dim() == 2 else mask.unsqueeze(-1), 0.0)

    return SimplexScores(
        log_prior=counted(drawn.prior_mean.log()),
        log_emission=None,
        log_guide=counted(drawn.proposal_mean.log()) if has_guide else None,
        log_evidence=counted(evidence),
        source_mask=batch.source_mask,
        target_mask=batch.target_mask,
        divergence=counted(drawn.divergence) if has_guide else None,
        bound=counted(drawn.log_likelihood.mean(0) - drawn.divergence) if has_guide else None,
    )
