"""Scores of every target position: prior, guide and exact posterior of its alignment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.distributions import at_least_fp32
from pyro_align.inference.chains import chain_of
from pyro_align.inference.enumeration import enumerated_log_probs


@dataclass(frozen=True)
class PositionScores:
    """Log probabilities, in nats, of every alignment of every target position of a batch.

    Sums over alignments exclude padded source positions; quantities per target position are zero on
    padding. A quantity that the pair of programs does not define is None: ``log_guide``, ``kl``,
    ``gap`` and ``elbo`` if the guide has no ``alignment``; also the emission and the posterior if
    the model has no ``alignment``, and the prior if it has no attention either.

    Attributes:
        log_prior: ``log p(z_t = s | x, y_<t)``. If the model has no ``alignment``, the logarithm
            of its attention weights, which are not probabilities of a latent variable.
        log_emission: ``log p(y_t | z_t = s, x, y_<t)`` of the gold token.
        log_guide: ``log q(z_t = s | x, y)``.
        log_evidence: ``log p(y_t | x, y_<t)``, with alignments summed out.
        source_mask: true on real source positions.
        target_mask: true on real target positions.
    """

    log_prior: Float[Tensor, "batch target source"] | None
    log_emission: Float[Tensor, "batch target source"] | None
    log_guide: Float[Tensor, "batch target source"] | None
    log_evidence: Float[Tensor, "batch target"]
    source_mask: Bool[Tensor, "batch source"]
    target_mask: Bool[Tensor, "batch target"]

    @property
    def estimated(self) -> bool:
        """Whether the log evidence is estimated from samples."""
        return False

    @property
    def log_posterior(self) -> Float[Tensor, "batch target source"] | None:
        """``log p(z_t = s | x, y)``, exact, by Bayes' rule."""
        if self.log_prior is None or self.log_emission is None:
            return None
        return (self.log_prior + self.log_emission).log_softmax(-1)

    @property
    def kl(self) -> Float[Tensor, "batch target"] | None:
        """``KL(q ‖ p)``, the KL divergence of the guide from the prior."""
        if self.log_prior is None or self.log_emission is None or self.log_guide is None:
            return None
        return self._expectation(self.log_guide, self.log_guide - self.log_prior)

    @property
    def gap(self) -> Float[Tensor, "batch target"] | None:
        """``KL(q ‖ p(z | x, y))``, the KL divergence of the guide from the exact posterior."""
        log_posterior = self.log_posterior
        if log_posterior is None or self.log_guide is None:
            return None
        return self._expectation(self.log_guide, self.log_guide - log_posterior)

    @property
    def elbo(self) -> Float[Tensor, "batch target"] | None:
        """The evidence lower bound, ``log_evidence − gap``."""
        gap = self.gap
        return None if gap is None else self.log_evidence - gap

    @property
    def prior_gap(self) -> Float[Tensor, "batch target"] | None:
        """``KL(p(z | x, y_<t) ‖ p(z | x, y))``, the gap of the prior used as the guide."""
        log_posterior = self.log_posterior
        if self.log_prior is None or log_posterior is None:
            return None
        return self._expectation(self.log_prior, self.log_prior - log_posterior)

    @property
    def information(self) -> Float[Tensor, "batch target"] | None:
        """``KL(p(z | x, y) ‖ p(z | x, y_<t))``, the information of a token on its alignment."""
        log_posterior = self.log_posterior
        if self.log_prior is None or log_posterior is None:
            return None
        return self._expectation(log_posterior, log_posterior - self.log_prior)

    @property
    def prior_entropy(self) -> Float[Tensor, "batch target"] | None:
        """Entropy of the prior."""
        if self.log_prior is None:
            return None
        return self._expectation(self.log_prior, -self.log_prior)

    @property
    def posterior_entropy(self) -> Float[Tensor, "batch target"] | None:
        """Entropy of the exact posterior."""
        log_posterior = self.log_posterior
        return None if log_posterior is None else self._expectation(log_posterior, -log_posterior)

    def _expectation(self, log_weights: Tensor, values: Tensor) -> Float[Tensor, "batch target"]:
        weights = log_weights.exp()
        counted = self.source_mask.unsqueeze(1) & self.target_mask.unsqueeze(2) & (weights > 0)
        # Not multiplied by zero: a value may be infinite where its weight is zero.
        return (weights * values).where(counted, 0.0).sum(-1)


@dataclass(frozen=True)
class ChainScores(PositionScores):
    """Scores of a model whose alignments are a Markov chain.

    Attributes:
        log_smoothed: ``log p(z_t = s | x, y)``, given all tokens of the target. Bayes' rule for one
            position would give it for the tokens up to ``y_t`` only.
        divergence: ``KL(q ‖ p)`` of the paths, divided among the steps, see
            :meth:`~pyro_align.distributions.MarkovChain.divergences`; None without a guide.
        distance: likewise ``KL(q ‖ p(z | x, y))``.
    """

    log_smoothed: Float[Tensor, "batch target source"]
    divergence: Float[Tensor, "batch target"] | None
    distance: Float[Tensor, "batch target"] | None

    @property
    def log_posterior(self) -> Float[Tensor, "batch target source"]:
        """:attr:`log_smoothed`."""
        return self.log_smoothed

    @property
    def kl(self) -> Float[Tensor, "batch target"] | None:
        """:attr:`divergence`."""
        return self.divergence

    @property
    def gap(self) -> Float[Tensor, "batch target"] | None:
        """:attr:`distance`."""
        return self.distance


@dataclass(frozen=True)
class AveragedScores(ChainScores):
    """Scores of a model with other latent sites ``s``, averaged over samples of their posterior.

    Probabilities and divergences are given ``s`` and averaged with the importance weights of the
    samples, see :func:`~pyro_align.inference.sentences.score_sentences`; ``log_smoothed`` is thus
    an estimate of ``log p(z_t = s | x, y)``. ``log_evidence`` sums to the estimate of the sentence.
    """

    @property
    def estimated(self) -> bool:
        """True."""
        return True


@dataclass(frozen=True)
class SimplexScores(PositionScores):
    """Scores of a model whose alignments are points of the simplex over the source positions.

    The integral over them has no closed form. ``log_evidence`` is estimated by importance sampling
    with :data:`~pyro_align.inference.draws.DRAWS` draws of the guide, of the prior if there is
    none. Its expectation is a lower bound of the log evidence, not below the ELBO (Burda et al.
    2016), so that the estimated perplexity is an upper bound in expectation. ``gap``, the
    difference from ``elbo``, is an estimate too and may be negative. ``log_prior`` and
    ``log_guide`` are the logarithms of the mean alignments; there is no emission and no posterior.

    Attributes:
        divergence: ``KL(q ‖ p)`` in closed form; None without a guide.
        bound: evidence lower bound, with the likelihood averaged over the same samples; None
            without a guide.
    """

    divergence: Float[Tensor, "batch target"] | None
    bound: Float[Tensor, "batch target"] | None

    @property
    def estimated(self) -> bool:
        """True."""
        return True

    @property
    def kl(self) -> Float[Tensor, "batch target"] | None:
        """:attr:`divergence`."""
        return self.divergence

    @property
    def elbo(self) -> Float[Tensor, "batch target"] | None:
        """:attr:`bound`."""
        return self.bound

    @property
    def gap(self) -> Float[Tensor, "batch target"] | None:
        """``log_evidence − elbo``."""
        return None if self.bound is None else self.log_evidence - self.bound


def scores_of_traces(
    model: Any, model_trace: Any, guide_trace: Any, batch: Batch
) -> PositionScores:
    """Compute the scores of enumerated traces of model and guide.

    Args:
        model: the model, for its attention if it has no site ``alignment``.
        model_trace: result of :func:`~pyro_align.inference.enumeration.trace_every_alignment`.
        guide_trace: likewise; None if there is no guide.
        batch: argument of both programs.
    """
    latent = "alignment" in model_trace
    log_prior = (
        enumerated_log_probs(model_trace, "alignment", batch)
        if latent
        else _attention(model, batch)
    )
    has_guide = guide_trace is not None and "alignment" in guide_trace
    log_guide = enumerated_log_probs(guide_trace, "alignment", batch) if has_guide else None
    log_emission = enumerated_log_probs(model_trace, "tokens", batch)
    # Without a latent alignment the emission is the same for all and equals the evidence.
    joint = log_emission if log_prior is None else log_prior + log_emission
    log_evidence = joint.logsumexp(-1) if latent else log_emission[..., 0]
    scores = PositionScores(
        log_prior=log_prior,
        log_emission=log_emission if latent else None,
        log_guide=log_guide,
        log_evidence=log_evidence.where(batch.target_mask, 0.0),
        source_mask=batch.source_mask,
        target_mask=batch.target_mask,
    )
    chain = chain_of(model_trace.nodes["alignment"]) if latent else None
    if chain is None:
        return scores
    emission = log_emission.unsqueeze(1)
    posterior = chain.posterior(emission)
    guide_chain = None
    if guide_trace is not None and has_guide:
        guide_chain = chain_of(guide_trace.nodes["alignment"])
    divergence, distance = (
        None if guide_chain is None else guide_chain.divergences(other).squeeze(1)
        for other in (chain, posterior)
    )
    return ChainScores(
        **vars(scores),
        # Marginals as logarithms that do not underflow: a prediction without further evidence.
        log_smoothed=posterior.predictive(torch.zeros_like(emission)).squeeze(1),
        divergence=divergence,
        distance=distance,
    )


def has_attention(model: Any) -> bool:
    """Return whether a model has the methods ``states`` and ``prior`` of an ``AlignmentModel``."""
    return hasattr(model, "states") and hasattr(model, "prior")


def _attention(model: Any, batch: Batch) -> Float[Tensor, "b t s"] | None:
    """Return log attention weights of a model without latent alignment; None if it has none."""
    if not has_attention(model):
        return None
    log_weights = at_least_fp32(model.prior(model.states(batch)).logits)
    return log_weights.where(batch.target_mask.unsqueeze(-1), 0.0)
