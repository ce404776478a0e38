"""Evidence lower bound with Gumbel-softmax alignments."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyro.distributions as dist

from pyro_align.distributions import StraightThroughGumbelSoftmax, kl_divergence
from pyro_align.inference.objective import Terms
from pyro_align.inference.pathwise import PathwiseELBO
from pyro_align.inference.relaxation import relaxed

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

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Estimate the terms from ``samples`` alignments per position."""
        if self.step is not None and hasattr(guide, "anneal"):
            guide.anneal(self.step)
        model_trace, guide_trace = self._traces(relaxed(model, _PRIOR), guide, args, kwargs)
        site = guide_trace.nodes["alignment"]
        q, p = (
            dist.Categorical(logits=trace.nodes["alignment"]["fn"].logits)
            for trace in (guide_trace, model_trace)
        )
        return self._bound(self._log_likelihood(model_trace), kl_divergence(q, p), site)
