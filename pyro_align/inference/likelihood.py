"""Log likelihood of a model without a latent alignment."""

from __future__ import annotations

from typing import Any

from pyro.infer import Trace_ELBO

from pyro_align.inference.enumeration import observed_terms
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Objective, Reference, Terms
from pyro_align.inference.traces import Traces


class Likelihood(Objective, Trace_ELBO):
    """``log p(y | x)`` of a model without an alignment to infer, such as soft attention.

    With other latent sites ``s``, the evidence lower bound ``E_q(s)[log p(y | x, s)] −
    KL(q(s) ‖ p(s))``.
    """

    pairs = frozenset({("none", "none")})
    strategy = "nothing, since there is no such site,"
    weighs_kl = False

    def __init__(self) -> None:
        super().__init__()

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Sum the log probabilities of the observed sites."""
        return observed_terms(traces)

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The objective is exact."""
        return Reference("log evidence")
