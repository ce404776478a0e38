"""Prior, guide and exact posterior of every target position, read off the programs' traces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from pyro import poutine
from torch import Tensor

from pyro_align.batch import Batch
from pyro_align.distributions import at_least_fp32
from pyro_align.errors import IncompatibleError
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.sharing import share_computation


@dataclass(frozen=True)
class PositionScores:
    """Log probabilities, in nats, of every alignment of every target position of a batch.

    Sums over alignments leave padded source positions out; what has a value a target position is
    zero where that position is padding. A quantity that the pair of programs does not have is
    None: without a guide's ``alignment`` there is no ``log_guide``, ``kl``, ``gap`` and ``elbo``;
    without a model's ``alignment`` there is no emission and no posterior either.

    Attributes:
        log_prior: ``log p(z_t = s | x, y_<t)``. Where the model has no ``alignment``, the
            logarithm of its attention weights, which are no probabilities of anything.
        log_emission: ``log p(y_t | z_t = s, x, y_<t)`` of the gold token.
        log_guide: ``log q(z_t = s | x, y)``.
        log_evidence: ``log p(y_t | x, y_<t)``, alignments summed out.
        source_mask: true on real source positions.
        target_mask: true on real target positions.
    """

    log_prior: Float[Tensor, "batch target source"]
    log_emission: Float[Tensor, "batch target source"] | None
    log_guide: Float[Tensor, "batch target source"] | None
    log_evidence: Float[Tensor, "batch target"]
    source_mask: Bool[Tensor, "batch source"]
    target_mask: Bool[Tensor, "batch target"]

    @property
    def log_posterior(self) -> Float[Tensor, "batch target source"] | None:
        """``log p(z_t = s | x, y)``, exact, by Bayes' rule."""
        if self.log_emission is None:
            return None
        return (self.log_prior + self.log_emission).log_softmax(-1)

    @property
    def kl(self) -> Float[Tensor, "batch target"] | None:
        """``KL(q ‖ p)``, the divergence of the guide from the prior."""
        if self.log_emission is None or self.log_guide is None:
            return None
        return self._expectation(self.log_guide, self.log_guide - self.log_prior)

    @property
    def gap(self) -> Float[Tensor, "batch target"] | None:
        """``KL(q ‖ p(z | x, y))``: how far the guide is from the exact posterior."""
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
    def prior_entropy(self) -> Float[Tensor, "batch target"]:
        """Entropy of the prior."""
        return self._expectation(self.log_prior, -self.log_prior)

    @property
    def posterior_entropy(self) -> Float[Tensor, "batch target"] | None:
        """Entropy of the exact posterior."""
        log_posterior = self.log_posterior
        return None if log_posterior is None else self._expectation(log_posterior, -log_posterior)

    def _expectation(self, log_weights: Tensor, values: Tensor) -> Float[Tensor, "batch target"]:
        weights = log_weights.exp()
        counted = self.source_mask.unsqueeze(1) & self.target_mask.unsqueeze(2) & (weights > 0)
        # Not a product with zero: a value may be infinite where its weight is zero.
        return (weights * values).where(counted, 0.0).sum(-1)


@torch.no_grad()
def score_positions(
    model: Callable[[Batch], Any], guide: Callable[[Batch], Any] | None, batch: Batch
) -> PositionScores:
    """Run model and guide on a batch, every alignment enumerated.

    Any Pyro programs will do that have the sites ``alignment`` and ``tokens`` within the plates
    ``sentences`` (dim −2) and ``positions`` (dim −1), with one alignment a source position. No
    random number is drawn. Modules with dropout are to be in eval mode.

    Args:
        model: the model. If it has no site ``alignment`` it must have a method ``states(batch)``
            whose result has the attention ``scores``.
        guide: the guide; None if there is none.
        batch: sentence pairs, on the programs' device.

    Raises:
        IncompatibleError: if an ``alignment`` cannot be enumerated, or a model has neither it nor
            attention scores.
    """
    with share_computation():
        model_trace = _enumerated_trace(model, batch)
        guide_trace = None if guide is None else _enumerated_trace(guide, batch)
        log_prior = _every_alignment(model_trace, "alignment", batch)
        latent = log_prior is not None
        if log_prior is None:
            log_prior = _attention(model, batch)
    log_guide = _every_alignment(guide_trace, "alignment", batch)
    log_emission = _every_alignment(model_trace, "tokens", batch)
    assert log_emission is not None
    # Without a latent alignment the emission is the same for all, and the evidence already.
    log_evidence = (log_prior + log_emission).logsumexp(-1) if latent else log_emission[..., 0]
    return PositionScores(
        log_prior=log_prior,
        log_emission=log_emission if latent else None,
        log_guide=log_guide,
        log_evidence=log_evidence.where(batch.target_mask, 0.0),
        source_mask=batch.source_mask,
        target_mask=batch.target_mask,
    )


def _enumerated_trace(program: Callable[[Batch], Any], batch: Batch) -> Any:
    """Trace with the site ``alignment`` enumerated along dim −3 and log probabilities computed."""

    def configure(site: Any) -> dict[str, Any]:
        is_latent = site["name"] == "alignment" and not site["is_observed"]
        return {"enumerate": "parallel", "expand": False} if is_latent else {}

    configured = poutine.enum(
        poutine.infer_config(program, configure), first_available_dim=-1 - MAX_PLATE_NESTING
    )
    try:
        trace = poutine.trace(configured).get_trace(batch)
    except NotImplementedError as error:
        raise IncompatibleError(
            f"the site 'alignment' of {_name(program)} cannot be enumerated: exact posteriors "
            "need a categorical alignment"
        ) from error
    trace.compute_log_prob()
    return trace


def _every_alignment(trace: Any, name: str, batch: Batch) -> Float[Tensor, "b t s"] | None:
    """Log probability of a site for every alignment; None if there is no such site."""
    if trace is None or name not in trace:
        return None
    sentences, sources = batch.source.shape
    log_prob = at_least_fp32(trace.nodes[name]["log_prob"])
    return log_prob.expand(sources, sentences, batch.target.shape[1]).permute(1, 2, 0)


def _attention(model: Any, batch: Batch) -> Float[Tensor, "b t s"]:
    """Logarithm of the attention weights of a model without latent alignment."""
    if not hasattr(model, "states"):
        raise IncompatibleError(
            f"{_name(model)} has neither a site 'alignment' nor a method states(batch) with "
            "attention scores: there is no alignment to score"
        )
    log_weights = at_least_fp32(model.states(batch).scores).log_softmax(-1)
    return log_weights.where(batch.target_mask.unsqueeze(-1), 0.0)


def _name(program: Any) -> str:
    return str(getattr(program, "__name__", type(program).__name__))
