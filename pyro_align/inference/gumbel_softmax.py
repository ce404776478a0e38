"""The evidence lower bound with one-hot alignments relaxed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pyro.distributions as dist

from pyro_align.distributions import StraightThroughGumbelSoftmax, kl_divergence
from pyro_align.inference.objective import Terms
from pyro_align.inference.pathwise import PathwiseELBO
from pyro_align.inference.relaxation import relaxed

# Only its logits are read; its log probability, though, is defined on all of the simplex.
_PRIOR = partial(StraightThroughGumbelSoftmax, 1.0)


class GumbelSoftmaxELBO(PathwiseELBO):
    """``E[log p(y | z)] − KL(q ‖ p)`` with ``z`` relaxed (Jang et al. 2017).

    ``z`` is a draw of the guide's relaxed one-hot vectors, in the place of the model's Categorical;
    the divergence is that of the categoricals, in closed form. With a relaxed ``z`` the value is
    biased, and tends to the bound as the temperature tends to 0; with a straight-through one the
    value is right and its gradient biased.

    Where :attr:`step` is set, a guide with a method ``anneal(step)`` is told it before it runs.
    """

    pairs = frozenset({("categorical", "relaxed")})

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Estimates from ``samples`` alignments a position."""
        if self.step is not None and hasattr(guide, "anneal"):
            guide.anneal(self.step)
        model_trace, guide_trace = self._traces(relaxed(model, _PRIOR), guide, args, kwargs)
        site = guide_trace.nodes["alignment"]
        q, p = (
            dist.Categorical(logits=trace.nodes["alignment"]["fn"].logits)
            for trace in (guide_trace, model_trace)
        )
        return self._bound(self._log_likelihood(model_trace), kl_divergence(q, p), site)
