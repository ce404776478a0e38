"""Log evidence of whole sentences with latent sites besides the alignment, by importance sampling.

The sites, such as a Gaussian for each sentence, are sampled from the guide; alignments are summed
out exactly for every sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from pyro import poutine
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.distributions import at_least_fp32
from pyro_align.errors import IncompatibleError
from pyro_align.inference.averages import WeightedAverage
from pyro_align.inference.enumeration import (
    joint_of,
    trace_every_alignment,
)
from pyro_align.inference.kinds import other_sites
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.position_scores import AveragedScores, PositionScores, scores_of_traces
from pyro_align.inference.sites import (
    divergence,
    latents_of,
    other_latents,
    positional_observations,
)
from pyro_align.inference.traces import (
    ALIGNMENT,
    Traces,
    masked,
    masked_log_prob,
    program_name,
)

DRAWS = 20
"""Default number of samples per sentence."""

CHUNK = 4096
"""Maximum number of target positions of the samples that are evaluated at once."""


@dataclass(frozen=True)
class SentenceDraws:
    """Samples ``s_1 … s_K`` of the latent sites of every sentence, in nats; differentiable.

    Attributes:
        traces: of model and guide, on the batch with every row repeated K times.
        log_likelihood: ``log p(y | x, s_k)``, with alignments summed out.
        log_prior: ``log p(s_k)``.
        log_guide: ``log q(s_k)``.
    """

    traces: Traces
    log_likelihood: Float[Tensor, "batch draw"]
    log_prior: Float[Tensor, "batch draw"]
    log_guide: Float[Tensor, "batch draw"]

    @property
    def log_weight(self) -> Float[Tensor, "batch draw"]:
        """``log p(y, s_k | x) − log q(s_k)``."""
        return self.log_likelihood + self.log_prior - self.log_guide


@dataclass(frozen=True)
class SentenceScores:
    """Estimates for every sentence of a batch, in nats.

    Attributes:
        log_evidence: ``log 1/K Σ_k p(y, s_k | x) / q(s_k)`` with ``s_k ~ q``, an estimate of
            ``log p(y | x)`` whose expectation is a lower bound of it (Burda et al. 2016). Exact if
            there are no latent sites besides the alignment.
        log_likelihood: ``log p(y | x, s)`` averaged over the guide, or its lower bound by the
            guide's alignment.
        divergences: KL divergence of the guide from the prior by latent site; None without a guide.
        effective_sample_size: ``(Σ_k w_k)² / (K Σ_k w_k²)`` with the importance weights ``w_k``,
            between ``1 / K`` and 1.
        draws: samples per sentence; 0 if there is nothing to sample.
        positions: scores of the alignments, averaged over the posterior of the other sites; None if
            the model has no alignment.
    """

    log_evidence: Float[Tensor, " batch"]
    log_likelihood: Float[Tensor, " batch"]
    divergences: Mapping[str, Float[Tensor, " batch"]] | None
    effective_sample_size: Float[Tensor, " batch"]
    draws: int
    positions: PositionScores | None

    @property
    def estimated(self) -> bool:
        """Whether the log evidence is estimated from samples."""
        return self.draws > 0

    @property
    def kl(self) -> Float[Tensor, " batch"] | None:
        """Sum of :attr:`divergences` over the sites."""
        if not self.divergences:
            return None
        return torch.stack(list(self.divergences.values())).sum(0)

    @property
    def elbo(self) -> Float[Tensor, " batch"] | None:
        """The evidence lower bound, ``log_likelihood − kl``."""
        return None if self.kl is None else self.log_likelihood - self.kl

    @property
    def gap(self) -> Float[Tensor, " batch"] | None:
        """``log_evidence − elbo``, an estimate of the divergence from the exact posterior."""
        return None if self.elbo is None else self.log_evidence - self.elbo

    @property
    def prior_entropy(self) -> Float[Tensor, "batch target"] | None:
        """Entropy of the prior of the alignments."""
        return None if self.positions is None else self.positions.prior_entropy

    @property
    def posterior_entropy(self) -> Float[Tensor, "batch target"] | None:
        """Entropy of the posterior of the alignments."""
        return None if self.positions is None else self.positions.posterior_entropy


def draw_sentences(
    model: Callable[[Batch], Any],
    guide: Callable[[Batch], Any] | None,
    batch: Batch,
    draws: int,
) -> SentenceDraws:
    """Sample the latent sites of every sentence from the guide, and run the model with them.

    Every row of the batch is repeated, so that the programs need not broadcast. Sites must lie in
    the plate ``sentences``; alignments are enumerated in both programs.

    Args:
        model: the model.
        guide: the guide. If it has none of the model's sites, or is None, they are sampled from
            the model itself.
        batch: the sentences.
        draws: samples per sentence.

    Raises:
        IncompatibleError: if guide and model have different sites, a site lies outside the plate
            ``sentences``, or an alignment cannot be enumerated.
    """
    rows = batch.repeated(draws).sharing()
    proposal = None if guide is None else trace_every_alignment(guide, rows)
    model_trace = trace_every_alignment(_given(model, proposal), rows)
    of_model = other_latents(model_trace)
    of_guide = {} if proposal is None else other_latents(proposal)
    if proposal is None or not of_guide:
        proposal, of_guide = model_trace, of_model
    if of_model.keys() != of_guide.keys():
        (name, *_) = sorted(of_model.keys() ^ of_guide.keys())
        raise IncompatibleError(
            f"importance sampling needs the same latent sites in model and guide, but only one of "
            f"{program_name(model)} and {program_name(guide or model)} samples {name!r}"
        )
    return draws_of_traces(
        Traces(model, guide, model_trace, proposal, nesting=MAX_PLATE_NESTING), draws
    )


def draws_of_traces(traces: Traces, draws: int) -> SentenceDraws:
    """Compute the log probabilities of traces of a batch whose rows are repeated.

    Args:
        traces: of model and guide, with alignments enumerated.
        draws: number of times that every row is repeated.
    """
    of_model, of_guide = (other_latents(each) for each in (traces.model_trace, traces.guide_trace))
    likelihood = log_likelihood_by_sentence(traces)
    shape = (-1, draws)
    prior, proposed = (
        sum(
            (_by_sentence(masked_log_prob(site), site) for site in sites.values()),
            start=torch.zeros_like(likelihood),
        )
        for sites in (of_model, of_guide)
    )
    return SentenceDraws(
        traces,
        likelihood.reshape(shape),
        prior.reshape(shape),
        proposed.reshape(shape),
    )


@torch.no_grad()
def score_sentences(
    model: Callable[[Batch], Any],
    guide: Callable[[Batch], Any] | None,
    batch: Batch,
    *,
    draws: int = DRAWS,
) -> SentenceScores:
    """Estimate log evidence, lower bound and divergences of every sentence.

    The latent sites besides the alignment are sampled from the guide, with a seed that depends on
    the batch only; the global random state is not changed. Alignments are summed out exactly.
    Samples are computed in parts, so that memory does not grow with their number. Modules with
    dropout should be in evaluation mode.

    Args:
        model: any Pyro program whose latent sites lie in the plate ``sentences``, and whose
            observed sites lie in ``sentences``, or in ``sentences`` and ``positions``. It may have
            a site ``alignment`` that can be enumerated.
        guide: the guide. If it has none of the model's sites, or is None, they are sampled from
            the model itself.
        batch: the sentences, on the programs' device.
        draws: samples per sentence; not used if there is nothing to sample.

    Raises:
        IncompatibleError: see :func:`draw_sentences`.
    """
    device = batch.target.device
    is_sampled = bool(other_sites(latents_of(model, batch)))
    draws = draws if is_sampled else 1
    size = max(1, CHUNK // batch.target.numel())
    parts = [min(size, draws - start) for start in range(0, draws, size)]
    estimate = _Estimate(batch, is_sampled)
    with torch.random.fork_rng([device] if device.type == "cuda" else []), poutine.block():
        torch.manual_seed(int(batch.indices[0]))
        for part in parts:
            estimate.add(draw_sentences(model, guide, batch, part))
    return estimate.scores()


class _Estimate:
    """Accumulates samples of the sentences of a batch."""

    def __init__(self, batch: Batch, is_sampled: bool):
        self.batch = batch
        self.is_sampled = is_sampled
        self.log_weights: list[Tensor] = []
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.has_guide = False
        self.average = WeightedAverage()

    def add(self, drawn: SentenceDraws) -> None:
        """Add samples."""
        traces, shape = drawn.traces, drawn.log_likelihood.shape
        self.has_guide = traces.guide_trace is not traces.model_trace
        self.log_weights.append(drawn.log_weight)
        self.count += shape[1]
        likelihood = drawn.log_likelihood
        divergences = divergences_by_sentence(traces) if self.has_guide else {}
        if ALIGNMENT in traces.model_trace:
            rows = self.batch.repeated(shape[1])
            positions = scores_of_traces(
                traces.model, traces.model_trace, self._guide_trace(traces), rows
            )
            if positions.kl is not None and positions.gap is not None:
                divergences[ALIGNMENT] = positions.kl.sum(1)
                # The bound by the guide's alignment is the likelihood less its gap.
                likelihood = likelihood + (positions.kl - positions.gap).sum(1).reshape(shape)
            self._average(drawn, positions)
        for name, value in {"": likelihood, **divergences}.items():
            total = value.reshape(shape).sum(1)
            self.sums[name] = self.sums[name] + total if name in self.sums else total

    def _guide_trace(self, traces: Traces) -> Any:
        return traces.guide_trace if self.has_guide else None

    def _average(self, drawn: SentenceDraws, positions: PositionScores) -> None:
        """Average the scores of the alignments, with the weights of the samples."""
        shape = drawn.log_weight.shape
        posterior = positions.log_posterior
        assert posterior is not None
        assert positions.log_emission is not None
        of_guide = {
            "log_guide": None if positions.log_guide is None else positions.log_guide.exp(),
            "divergence": positions.kl,
            "distance": positions.gap,
        }
        assert positions.log_prior is not None
        values = {
            "log_prior": positions.log_prior.exp(),
            "log_emission": positions.log_emission.exp(),
            "log_smoothed": posterior.exp(),
            **{name: value for name, value in of_guide.items() if value is not None},
        }
        rows = {name: value.unflatten(0, shape) for name, value in values.items()}
        # What the first t tokens say about the weights.
        evidence = positions.log_evidence.unflatten(0, shape)
        start = drawn.log_weight - evidence.sum(-1)
        self.average.add(drawn.log_weight, rows, start.unsqueeze(-1) + evidence.cumsum(-1))

    def scores(self) -> SentenceScores:
        """Return the scores of the samples so far."""
        log_weights = torch.cat(self.log_weights, 1)
        evidence = log_weights.logsumexp(1) - math.log(self.count)
        means = {name: total / self.count for name, total in self.sums.items()}
        likelihood = means.pop("")
        size = (2 * log_weights.logsumexp(1) - (2 * log_weights).logsumexp(1)).exp() / self.count
        return SentenceScores(
            log_evidence=evidence,
            log_likelihood=likelihood,
            divergences=means if self.has_guide else None,
            effective_sample_size=size,
            draws=self.count if self.is_sampled else 0,
            positions=self._positions(),
        )

    def _positions(self) -> PositionScores | None:
        means = self.average.means
        if not means:
            return None
        prefixes = self.average.log_totals_of_prefixes - math.log(self.count)
        evidence = torch.cat([prefixes[:, :1], prefixes.diff(dim=1)], 1)
        return AveragedScores(
            log_prior=means["log_prior"].log(),
            log_emission=means["log_emission"].log(),
            log_guide=means["log_guide"].log() if "log_guide" in means else None,
            log_evidence=evidence,
            source_mask=self.batch.source_mask,
            target_mask=self.batch.target_mask,
            log_smoothed=means["log_smoothed"].log(),
            divergence=means.get("divergence"),
            distance=means.get("distance"),
        )


def _given(model: Callable[[Batch], Any], trace: Any) -> Callable[[Batch], Any]:
    """Fix the sites of a trace in the model, except the alignment."""
    if trace is None:
        return model
    others = trace.copy()
    if ALIGNMENT in others:
        others.remove_node(ALIGNMENT)
    replayed: Callable[[Batch], Any] = poutine.replay(model, trace=others)
    return replayed


def log_likelihood_by_sentence(traces: Traces) -> Float[Tensor, " row"]:
    """Compute the log probability of the observed sites of every row, masked, not scaled.

    Alignments are summed out. A latent site that is conditioned on is an observed site.
    """
    if ALIGNMENT not in traces.model_trace:
        observed = (_by_sentence(masked_log_prob(site), site) for site, _ in traces.observations())
        return sum(observed, start=torch.zeros(()))
    likelihood = rest = torch.zeros(())
    for site, dependent in positional_observations(traces, "importance sampling"):
        if dependent:
            likelihood = likelihood + masked_log_prob(site)
        else:
            rest = rest + _by_sentence(masked_log_prob(site), site)
    evidence = masked(joint_of(traces, likelihood).logsumexp(0), traces.prior)
    return evidence.sum(-1) + rest


def divergences_by_sentence(traces: Traces) -> dict[str, Float[Tensor, " row"]]:
    """Compute the KL divergence of every site of the guide except the alignment, for every row."""
    of_model = other_latents(traces.model_trace)
    return {
        name: _by_sentence(masked(divergence(site, of_model[name]), site), site)
        for name, site in other_latents(traces.guide_trace).items()
    }


def _by_sentence(values: Float[Tensor, "row position"], site: Any) -> Float[Tensor, " row"]:
    """Sum values in the shape of a site over its positions.

    Raises:
        IncompatibleError: if the site does not lie in the plate ``sentences``.
    """
    if "sentences" not in {frame.name for frame in site["cond_indep_stack"]}:
        raise IncompatibleError(
            f"the site {site['name']!r} lies outside the plate 'sentences', so that it has no "
            f"value for each sentence: sample it inside `with sentence_plate(batch):`"
        )
    return at_least_fp32(values).sum(-1)
