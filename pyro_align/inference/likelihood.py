"""Log likelihood of a model without latent variables."""

from __future__ import annotations

from typing import Any

from pyro.infer import Trace_ELBO

from pyro_align.inference.enumeration import observed_terms
from pyro_align.inference.objective import Objective, Terms


class Likelihood(Objective, Trace_ELBO):
    """``log p(y | x)`` of a model without latent variables, such as soft attention."""

    pairs = frozenset({("none", "none")})
    weighs_kl = False

    def __init__(self) -> None:
        super().__init__()

    def _terms(self, model: Any, guide: Any, args: Any, kwargs: Any) -> Terms:
        """Sum the log probabilities of the observed sites."""
        model_trace, _ = self._traces(model, guide, args, kwargs)
        return observed_terms(model_trace)
