"""`MarkovChain`: source positions of a target sentence, each depending on the previous one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, final

import torch
from jaxtyping import Bool, Float, Int
from pyro.distributions import Categorical, TorchDistribution
from torch import Tensor
from torch.distributions import constraints
from torch.distributions.kl import register_kl

from pyro_align.distributions.divergence import categorical_kl
from pyro_align.distributions.masked import MASKED_LOGIT
from pyro_align.distributions.precision import at_least_fp32
from pyro_align.distributions.shapes import broadcast_shapes

MAX_SUPPORT = 1 << 16
"""Maximum number of paths that :meth:`MarkovChain.enumerate_support` returns."""


@final
class MarkovChain(TorchDistribution):
    r"""A Markov chain :math:`z_1, …, z_T` over ``S`` positions, with its own transitions per step.

    .. math::
        z_1 \sim p_1, \qquad z_t \sim p_t(\cdot | z_{t-1})

    The first-order alignment of Wu & Cotterell (2019, *Exact Hard Monotonic Attention for
    Character-Level Transduction*). A value is a path, an event of shape ``(T,)``. Given tokens
    whose log probabilities ``log p(y_t | z_t = s)`` are known for every position, an *emission*
    ``(*batch, T, S)``, :meth:`log_evidence` sums over all paths by the forward algorithm, and
    :meth:`posterior` returns the posterior, which is a Markov chain as well: its marginals,
    entropy, most probable path and samples are those of the returned distribution.

    All recursions are in the log domain and in fp32 or better, loop over the steps and are
    differentiable. Forbidden transitions have a large negative logit, see
    :func:`~pyro_align.distributions.mask_logits`. :class:`MarkovMixture` is the special case of
    equal transitions at all steps and null words, which is cheaper as matrix products.

    Args:
        initial: logits of the first position, ``(*batch, S)``.
        transition: logits of the next position (last dimension) given the previous one, for every
            step, ``(*batch, T − 1, S, S)``.
        mask: true on real steps ``(*batch, T)``, which come first; None if all are real. On padding
            a path stays at position 0.

    Attributes:
        initial: normalised log probabilities of the first position.
        transition: normalised log probabilities of the next position.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = False
    has_enumerate_support = True

    def __init__(
        self,
        initial: Float[Tensor, "*batch s"],
        transition: Float[Tensor, "*batch steps s s"],
        mask: Bool[Tensor, "*batch t"] | None = None,
        *,
        validate_args: bool | None = None,
    ):
        self.initial = at_least_fp32(initial).log_softmax(-1)
        self.transition = at_least_fp32(transition).log_softmax(-1)
        self.mask = mask
        length = torch.Size((transition.shape[-3] + 1,))
        super().__init__(initial.shape[:-1], length, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> constraints.Constraint:
        """Paths of positions from 0 to ``S − 1``."""
        return constraints.independent(constraints.integer_interval(0, self._positions - 1), 1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> MarkovChain:
        """Return the distribution expanded to a batch shape."""
        new: MarkovChain = self._get_checked_instance(MarkovChain, _instance)
        batch = torch.Size(batch_shape)
        new.initial = self.initial.expand(batch + self.initial.shape[-1:])
        new.transition = self.transition.expand(batch + self.transition.shape[-3:])
        new.mask = None if self.mask is None else self.mask.expand(batch + self.event_shape)
        super(MarkovChain, new).__init__(batch, self.event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def masked(self, mask: Bool[Tensor, "*batch t"]) -> MarkovChain:
        """Return the chain with another mask of real steps."""
        new = self.expand(self.batch_shape)
        new.mask = mask.expand(self.batch_shape + self.event_shape)
        return new

    def log_prob(self, value: Int[Tensor, "*value t"]) -> Float[Tensor, "*shape"]:
        """Compute the log probability of paths, broadcast to the batch shape."""
        return self.log_prob_of_steps(value).sum(-1)

    def log_prob_of_steps(self, value: Int[Tensor, "*value t"]) -> Float[Tensor, "*shape t"]:
        """Compute ``log p(z_t | z_{t−1})`` of each step of paths; zero on padding."""
        if self._validate_args:
            self._validate_sample(value)
        shape = broadcast_shapes(value.shape, self.batch_shape + self.event_shape)
        # Draws last, so that they do not repeat the transitions.
        paths = value.expand(shape).reshape(-1, *self.batch_shape, shape[-1]).movedim(0, -1)
        pairs = paths[..., :-1, :] * self._positions + paths[..., 1:, :]
        first = self.initial.gather(-1, paths[..., 0, :]).unsqueeze(-2)
        steps = torch.cat([first, self.transition.flatten(-2).gather(-1, pairs)], dim=-2)
        if self.mask is not None:
            padding = torch.zeros_like(steps).masked_fill(paths != 0, MASKED_LOGIT)
            steps = steps.where(self.mask.unsqueeze(-1), padding)
        return steps.movedim(-1, 0).reshape(shape)

    def sample(self, sample_shape: Any = torch.Size()) -> Int[Tensor, "*shape t"]:  # noqa: B008
        """Sample paths of shape ``sample_shape + batch_shape + (T,)``."""
        sample_shape = torch.Size(sample_shape)
        with torch.no_grad():
            first = Categorical(logits=self.initial).sample((sample_shape.numel(),))
            path = [first.movedim(0, -1)]
            for step in self.transition.unbind(-3):
                index = path[-1].unsqueeze(-1).expand(*path[-1].shape, self._positions)
                path.append(Categorical(logits=step.gather(-2, index)).sample())
            drawn = self._zero_on_padding(torch.stack(path, dim=-1).movedim(-2, 0))
        return drawn.reshape(sample_shape + self.batch_shape + self.event_shape)

    def enumerate_support(self, expand: bool = True) -> Int[Tensor, "path *batch t"]:
        """Return all ``S ** T`` paths along a new leftmost dimension.

        Raises:
            NotImplementedError: if there are more than :data:`MAX_SUPPORT`.
        """
        positions, (length,) = self._positions, self.event_shape
        if positions**length > MAX_SUPPORT:
            raise NotImplementedError(
                f"{positions} ** {length} paths are too many to enumerate: use log_evidence() and "
                f"posterior(), which sum over all of them"
            )
        each = torch.arange(positions, device=self.initial.device)
        paths = torch.cartesian_prod(*[each] * length).reshape(-1, length)
        paths = paths.reshape(-1, *(1 for _ in self.batch_shape), length)
        return paths.expand(-1, *self.batch_shape, -1) if expand else paths

    def predictive(self, emission: Float[Tensor, "*batch t s"]) -> Float[Tensor, "*batch t s"]:
        """Compute ``log p(z_t | y_<t)`` by the forward algorithm.

        Args:
            emission: ``log p(y_t | z_t = s)`` for every position ``s``.
        """
        predicted = [self.initial]
        for step, likelihood in zip(
            self.transition.unbind(-3), emission.unbind(-2)[:-1], strict=True
        ):
            predicted.append(advance(predicted[-1] + likelihood, step))
        return torch.stack(predicted, dim=-2)

    def log_evidence(self, emission: Float[Tensor, "*batch t s"]) -> Float[Tensor, "*batch t"]:
        """Compute ``log p(y_t | y_<t)``, summed over all paths; zero on padding.

        The sum over the steps is the log marginal probability of the tokens.

        Args:
            emission: ``log p(y_t | z_t = s)`` for every position ``s``.
        """
        evidence = (self.predictive(emission) + emission).logsumexp(-1)
        return evidence if self.mask is None else evidence.where(self.mask, 0.0)

    def posterior(self, emission: Float[Tensor, "*batch t s"]) -> MarkovChain:
        r"""Return ``p(z | y)``, by the backward algorithm.

        With :math:`β_t(s) = \log p(y_{>t} | z_t = s)`, the logits of a transition are those of the
        chain plus :math:`\log p(y_t | z_t) + β_t(z_t)`.

        Args:
            emission: ``log p(y_t | z_t = s)`` for every position ``s``.
        """
        *likelihoods, last = emission.unbind(-2)
        ahead = [last]
        for step, likelihood, real in self._backwards(likelihoods):
            # Normalised, which changes nothing but the size of the numbers.
            later = (step + ahead[-1].unsqueeze(-2)).logsumexp(-1).log_softmax(-1)
            ahead.append(likelihood + (later if real is None else later.where(real, 0.0)))
        first, *rest = reversed(ahead)
        transition = self.transition
        if rest:
            transition = transition + torch.stack(rest, dim=-2).unsqueeze(-2)
        return MarkovChain(self.initial + first, transition, self.mask, validate_args=False)

    @property
    def marginals(self) -> Float[Tensor, "*batch t s"]:
        """``p(z_t = s)``; zero on padding."""
        probs = [self.initial.exp()]
        for step in self.transition.exp().unbind(-3):
            probs.append((probs[-1].unsqueeze(-2) @ step).squeeze(-2))
        marginals = torch.stack(probs, dim=-2)
        return marginals if self.mask is None else marginals.where(self.mask.unsqueeze(-1), 0.0)

    @property
    def pairs(self) -> Float[Tensor, "*batch steps s s"]:
        """``p(z_{t-1} = s, z_t = s')``; zero on padding."""
        return self._before().unsqueeze(-1) * self.transition.exp()

    def entropy(self) -> Float[Tensor, "*batch"]:
        """Compute the entropy of the path in nats."""
        first, steps = (
            -categorical_kl(log_probs, torch.zeros_like(log_probs))
            for log_probs in (self.initial, self.transition)
        )
        return first + (self._before() * steps).sum((-2, -1))

    def divergences(self, other: MarkovChain) -> Float[Tensor, "*batch t"]:
        """Compute the KL divergence from another chain, in nats, divided among the steps.

        A step has the expected divergence of its transitions; steps to padding have zero.
        """
        first = categorical_kl(self.initial, other.initial).unsqueeze(-1)
        steps = categorical_kl(self.transition, other.transition)
        return torch.cat([first, (self._before() * steps).sum(-1)], dim=-1)

    @property
    def mode(self) -> Int[Tensor, "*batch t"]:
        """The most probable path, by the Viterbi algorithm."""
        best = torch.zeros_like(self.initial)
        pointers = []
        for step, _, real in self._backwards([None] * (self.event_shape[0] - 1)):
            best, pointer = (step + best.unsqueeze(-2)).max(-1)
            best = best if real is None else best.where(real, 0.0)
            pointers.append(pointer)
        path = [(self.initial + best).argmax(-1)]
        for pointer in reversed(pointers):
            path.append(pointer.gather(-1, path[-1].unsqueeze(-1)).squeeze(-1))
        return self._zero_on_padding(torch.stack(path, dim=-1))

    @property
    def _positions(self) -> int:
        return self.initial.shape[-1]

    def _zero_on_padding(self, path: Int[Tensor, "*shape t"]) -> Int[Tensor, "*shape t"]:
        return path if self.mask is None else path.where(self.mask, 0)

    def _backwards(self, each: Sequence[Any]) -> Iterator[tuple[Tensor, Any, Tensor | None]]:
        """Yield, from the last step, its transition, one of ``each``, and whether it is real."""
        # All slices at once: the gradient of one index would have the size of all transitions.
        steps = self.transition.unbind(-3)
        real = [None] * len(steps) if self.mask is None else self.mask[..., 1:, None].unbind(-2)
        return zip(reversed(steps), reversed(each), reversed(real), strict=True)

    def _before(self) -> Float[Tensor, "*batch steps s"]:
        """Marginals before each step; zero for a step to padding."""
        before = self.marginals[..., :-1, :]
        return before if self.mask is None else before.where(self.mask[..., 1:, None], 0.0)


def advance(
    log_weights: Float[Tensor, "*batch s"], transition: Float[Tensor, "*batch s s"]
) -> Float[Tensor, "*batch s"]:
    """Compute ``log p(z_t | y_<t)``, a step of the forward algorithm.

    Args:
        log_weights: ``log p(z_{t-1} | y_<t)``, up to a constant.
        transition: normalised log probabilities of the next position (last dimension).
    """
    return (log_weights.log_softmax(-1).unsqueeze(-1) + transition).logsumexp(-2)


@register_kl(MarkovChain, MarkovChain)
def _kl_of_chains(q: MarkovChain, p: MarkovChain) -> Float[Tensor, "*batch"]:
    return q.divergences(p).sum(-1)
