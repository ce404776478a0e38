"""Monte Carlo EM: latent variables from their posterior, by Hamiltonian Monte Carlo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from pyro import poutine
from pyro.infer import Trace_ELBO
from torch import Tensor
from torch.distributions import constraints

from pyro_align.constraints import Count
from pyro_align.data.batch import Batch
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.inference.diagnostics import without_dropout
from pyro_align.inference.enumeration import trace_every_alignment
from pyro_align.inference.hamiltonian import Move, hamiltonian_step
from pyro_align.inference.kinds import AlignmentKind
from pyro_align.inference.objective import Objective, Reference, Terms
from pyro_align.inference.persistent_chains import PersistentChains
from pyro_align.inference.plates import MAX_PLATE_NESTING
from pyro_align.inference.sentences import log_likelihood_by_sentence
from pyro_align.inference.sites import other_latents
from pyro_align.inference.traces import Traces, program_name

TARGET_ACCEPTANCE = 0.9
"""Acceptance rate that the step size is adapted to, as in Kingma & Welling 2014, appendix E."""

ADAPTATION = 0.05
"""Change of the logarithm of the step size per unit of acceptance rate."""


class MonteCarloEM(Objective, Trace_ELBO):
    """Monte Carlo EM with persistent chains (Wei & Tanner 1990; Kingma & Welling 2014).

    - E step: the latent sites ``s`` besides the alignment are moved by Hamiltonian Monte Carlo
      towards ``p(s | x, y)``, with a chain for every example that continues where it was when the
      example was last in a batch. Alignments are summed out exactly.
    - M step: the model follows ``∇ log p(y, s | x)``, which by Fisher's identity is the expectation
      of the gradient under the exact posterior of the alignments.

    There is no guide: use :class:`~pyro_align.guides.NoGuide`. Chains start at samples of the prior
    and are part of a checkpoint; with several processes, only those of the first are. The step size
    is adapted to an acceptance rate of :data:`TARGET_ACCEPTANCE`. Without such sites the objective
    is the log evidence.

    The value of the loss is ``−log p(y, s | x)`` at the current state of the chains, which is no
    bound. ``kl_weight`` must be 1.

    Args:
        leapfrog: leapfrog steps of a proposal.
        moves: proposals before every step of the model.

    Attributes:
        chains: the chains, their step size and acceptance rate.
    """

    pairs = frozenset({("none", "none"), ("categorical", "none"), ("markov", "none")})
    strategy = "marginalisation"
    other_sites = "model"
    weighs_kl = False
    is_pathwise = False
    weighs_other_sites = False

    def __init__(self, *, leapfrog: Count = 10, moves: Count = 1):
        super().__init__()
        self.leapfrog = leapfrog
        self.moves = moves
        self.chains = PersistentChains(step_size=0.1, acceptance=TARGET_ACCEPTANCE)

    def terms(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Terms:
        """Move the chains of a batch, and compute the log joint probability there.

        Args:
            model: a Pyro program.
            guide: a Pyro program without sites.
            *args: the batch.
            **kwargs: none.

        Raises:
            IncompatibleError: if a latent site of the model does not lie in the plate
                ``sentences`` or is not on the whole real line, or the guide has sites.
            ConfigError: if the KL weight is not 1.
        """
        self.check(model, guide)
        if self.kl_weight != 1:
            raise ConfigError(
                f"{type(self).__name__} has no KL divergence, so a KL weight of "
                f"{self.kl_weight:g} has no effect: set training.kl_schedule = 'constant'"
            )
        batch = self._arguments(args)[0]
        values = self._start(model, batch)
        if values:
            with without_dropout(model):  # noise in the energy would be rejected
                for _ in range(self.moves):
                    values = dict(self.move(model, batch, values).values)
            self.chains.keep(batch, values)
        # The moves did not record results with the gradients that the model needs.
        joint = log_joint(model, batch, values).sum()
        return Terms(-joint, joint.detach(), {})

    def move(self, model: Any, batch: Batch, values: Mapping[str, Tensor]) -> Move:
        """Move the values of a batch by one step, and adapt the step size."""
        chains = self.chains
        size = chains.step_size * (0.8 + 0.4 * float(torch.rand(())))  # no periodic orbits
        with poutine.block():
            found = hamiltonian_step(
                lambda candidates: log_joint(model, batch, candidates),
                values,
                step_size=size,
                leapfrog=self.leapfrog,
            )
        rate = float(found.acceptance.mean())
        chains.acceptance += 0.05 * (rate - chains.acceptance)
        chains.step_size *= math.exp(ADAPTATION * (rate - TARGET_ACCEPTANCE))
        return found

    def figures(self) -> dict[str, float]:
        """The acceptance rate and step size of the chains."""
        return {"acceptance": self.chains.acceptance, "step_size": self.chains.step_size}

    def module(self, model: Any) -> PersistentChains:
        """Return the chains, which are part of a checkpoint."""
        return self.chains

    def _start(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Return the state of the chains of a batch, or samples of the prior at first."""
        with torch.no_grad(), poutine.block():
            trace = poutine.trace(model).get_trace(batch)
        sites = other_latents(trace)
        for name, site in sites.items():
            if not _is_real(site["fn"].support):
                raise IncompatibleError(
                    f"{type(self).__name__} needs latent sites on the whole real line, but "
                    f"{name!r} of {program_name(model)} is a {type(site['fn']).__name__}: sample "
                    f"an unconstrained variable and transform it in the model"
                )
        values = {name: site["value"].detach() for name, site in sites.items()}
        return self.chains.continued(batch, values)

    def _terms(self, traces: Traces, args: Any, kwargs: Any) -> Terms:
        """Not used: the terms are not computed from traces of a guide."""
        raise NotImplementedError

    def reference(self, kinds: tuple[AlignmentKind, AlignmentKind]) -> Reference:
        """The gradient depends on the state of the chains."""
        return Reference("log evidence")


def log_joint(
    model: Any, batch: Batch, values: Mapping[str, Float[Tensor, "row 1 *event"]]
) -> Float[Tensor, " row"]:
    """Compute ``log p(y, s | x)`` of every sentence, with alignments summed out.

    Args:
        model: a Pyro program.
        batch: the sentences.
        values: values of the latent sites ``s`` besides the alignment.
    """
    # Not shared with other calls: what is computed may depend on the values.
    trace = trace_every_alignment(poutine.condition(model, dict(values)), batch)
    return log_likelihood_by_sentence(Traces(model, None, trace, None, nesting=MAX_PLATE_NESTING))


def _is_real(support: Any) -> bool:
    base = getattr(support, "base_constraint", support)
    return base is constraints.real or base is constraints.real_vector
