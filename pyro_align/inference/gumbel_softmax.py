"""Evidence lower bound with Gumbel-softmax alignments."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyro.distributions as dist

from pyro_align.distributions import StraightThroughGumbelSoftmax, kl_divergence
from pyro_align.inference.enumerated import elbo_reference
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Reference, Terms
from pyro_align.inference.pathwise import PathwiseELBO
from pyro_align.inference.relaxation import relaxed, unrelaxed
from pyro_align.inference.traces import Traces

# Only its logits are used, but its log probability must be defined on the whole simplex.
_PRIOR = partial(StraightThroughGumbelSoftmax, 1.0)


class GumbelSoftmaxELBO(PathwiseELBO):
    """``E[log p(y | z)] − KL(q ‖ p)`` with ``z`` relaxed (Jang et al. 2017).

    The guide samples relaxed one-hot vectors ``z``, which take the place of the values of the
    model's Categorical. The KL divergence is that of the two categorical distributions, in closed
    form. With relaxed samples the value is biased and tends to the evidence lower bound as the
    temperature tends to 0; with straight-through samples the value is unbiased and the gradient
    biased.

    If :attr:`step` is set and the guide has a method ``anneal``, ``guide.anneal(step)`` is called
    before the guide runs.
    """

    pairs = frozenset({("categorical", "relaxed")})

    def _handled(self, model: Any, guide: Any) -> tuple[Any, Any]:
        """Relax the model's alignment, and anneal the guide."""
        if self.step is not None and hasattr(guide, "anneal"):
            guide.anneal(self.step)
        return relaxed(model, _PRIOR), guide

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Estimate the terms from ``samples`` alignments per position."""
        q, p = (
            dist.Categorical(logits=site["fn"].logits) for site in (traces.alignment, traces.prior)
        )
        return self._bound(self._log_likelihood(traces), kl_divergence(q, p), traces.alignment)

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The evidence lower bound of the Categorical that the guide relaxes."""
        return elbo_reference(self.free_bits, unrelaxed)
