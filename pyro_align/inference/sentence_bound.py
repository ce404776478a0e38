"""Importance-weighted bound with weights per sentence."""

from __future__ import annotations

import math
from typing import Any

from pyro.infer import TraceEnum_ELBO, config_enumerate

from pyro_align.constraints import Count
from pyro_align.inference.chains import staying
from pyro_align.inference.importance import checked_samples
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Objective, Reference, Terms
from pyro_align.inference.sentences import divergences_by_sentence, draws_of_traces
from pyro_align.inference.traces import Traces


class SentenceImportanceBound(Objective, TraceEnum_ELBO):
    """``log 1/K Σ_k w_k`` of every sentence, ``w_k = p(y, s_k | x) / q(s_k)`` (Burda et al. 2016).

    The latent sites ``s`` besides the alignment are sampled K times from the guide, with pathwise
    gradients; a sentence has one weight for all of them. Alignments are summed out exactly for
    every sample. The reported log likelihood and KL divergence are those of the evidence lower
    bound, from the same samples. Without such sites it is the log evidence.

    The KL weight β tempers the weights, ``log w = log p(y | x, s) + β (log p(s) − log q(s))``.

    Every row of the batch is repeated K times, so that the programs need not broadcast.

    Args:
        samples: K, the number of samples per sentence.
    """

    pairs = frozenset({("none", "none"), ("categorical", "none"), ("markov", "none")})
    strategy = "marginalisation"
    weighs_kl = False
    is_pathwise = False

    def __init__(self, *, samples: Count = 5):
        super().__init__()
        self.samples = checked_samples(samples, 1, type(self).__name__)

    def _arguments(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Repeat the rows of batches."""
        repeated = (a.repeated(self.samples) if hasattr(a, "repeated") else a for a in args)
        return super()._arguments(tuple(repeated))

    def _handled(self, model: Any, guide: Any) -> tuple[Any, Any]:
        """Enumerate the alignments of the model."""
        return config_enumerate(staying(model), default="parallel"), guide

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Compute the bound of K samples per sentence."""
        drawn = draws_of_traces(traces, self.samples)
        ratio = drawn.log_prior - drawn.log_guide
        log_weights = drawn.log_likelihood + self.kl_weight * ratio
        bound = (log_weights.logsumexp(1) - math.log(self.samples)).sum()
        divergences = {
            name: kl.detach().sum() / self.samples
            for name, kl in divergences_by_sentence(traces).items()
        }
        return Terms(-bound, drawn.log_likelihood.detach().sum() / self.samples, divergences)

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The bound has no closed form."""
        return Reference("importance-weighted bound")

    def label(self, name: str) -> str:
        """Return ``name`` and the number of samples."""
        return f"{super().label(name)}, K={self.samples}"
