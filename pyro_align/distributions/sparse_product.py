"""A distribution over a large vocabulary times a factor that favours a few tokens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pyro.distributions import Categorical, TorchDistribution
from pyro.ops.provenance import detach_provenance, get_provenance, track_provenance
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import constraints
from torch.nn.functional import linear

from pyro_align.distributions import chunks
from pyro_align.distributions.output_layer import OutputGradients
from pyro_align.distributions.pairing import Pairing
from pyro_align.distributions.precision import at_least_fp32
from pyro_align.distributions.shapes import broadcast_shapes
from pyro_align.distributions.token_subset import TokenSubset
from pyro_align.distributions.vocabulary_categorical import VocabularyCategorical

_SINGLE = torch.Size()


@dataclass(frozen=True)
class TokenFactors:
    """Factors ``1 + r(y)`` of the probabilities of tokens; ``r`` is zero but for a few tokens.

    A token may be listed more than once, its ``r`` are then added. Factors are linear in ``r``, so
    that the mean of factors lists all tokens of all of them with weighted ``r``.

    Attributes:
        tokens: token ids, ``(*#shape, number)``.
        raised: ``r`` of each, nonnegative, ``(*#shape, number)``.
    """

    tokens: Int[Tensor, "*#shape number"]
    raised: Float[Tensor, "*#shape number"]

    @property
    def shape(self) -> torch.Size:
        """Batch shape."""
        return broadcast_shapes(self.tokens.shape[:-1], self.raised.shape[:-1])

    def __getitem__(self, index: Any) -> TokenFactors:
        """Index batch dimensions that tokens and ``r`` have in common."""
        return self.map(lambda each: each[index])

    def map(self, function: Callable[[Tensor], Tensor]) -> TokenFactors:
        """Apply a function that selects or arranges rows to both tensors."""
        return TokenFactors(function(self.tokens), function(self.raised))

    def unsqueeze(self, dim: int) -> TokenFactors:
        """Insert a batch dimension, counted from the left."""
        return self.map(lambda each: each.unsqueeze(dim))

    def mean(self, weights: Float[Tensor, "*weights source"]) -> TokenFactors:
        """Compute the means of factors ``(*shape, source)`` under weights of ``source``."""
        raised = weights.unsqueeze(-1) * self.raised.unsqueeze(-3)
        return TokenFactors(self.tokens.flatten(-2).unsqueeze(-2), raised.flatten(-2))

    def among(self, subset: TokenSubset) -> TokenFactors:
        """Return the factors of a subset of the tokens, by their position in it."""
        positions = subset.positions(self.tokens)
        raised = self.raised.masked_fill(positions < 0, 0.0)
        return TokenFactors(positions.clamp_min_(0), raised)

    def log_of(self, value: Int[Tensor, "*value"]) -> Float[Tensor, "*shape"]:
        """Compute ``log(1 + r(y))`` of tokens ``y``, broadcast to the batch shape."""
        listed = self.tokens == value.unsqueeze(-1)
        return (listed * at_least_fp32(self.raised)).sum(-1).log1p()

    def log_of_all(self, vocabulary: int) -> Float[Tensor, "*shape vocabulary"]:
        """Compute ``log(1 + r(y))`` of the whole vocabulary, of a size."""
        raised = at_least_fp32(self.raised)
        shape = (*self.shape, raised.shape[-1])
        none = raised.new_zeros(*self.shape, vocabulary)
        return none.scatter_add(-1, self.tokens.expand(shape), raised.expand(shape)).log1p()


@dataclass(frozen=True)
class SharedTokenFactors:
    """The factors of all source positions of a sentence, with each token listed once.

    What beam search reads of :class:`TokenFactors`: in each step, all sums over positions and
    tokens are then small matrix products.

    Attributes:
        tokens: the tokens that any position lists; shorter lists end in tokens that no position
            raises.
        raised: ``r`` of each token for each position.
    """

    tokens: Int[Tensor, "batch token"]
    raised: Float[Tensor, "batch source token"]

    @classmethod
    def of(cls, factors: TokenFactors) -> SharedTokenFactors:
        """Collect the tokens of factors of batch shape ``(batch, source)``."""
        tokens, order = factors.tokens.flatten(1).sort(dim=1)
        changes = tokens.diff(dim=1, prepend=tokens[:, :1]) != 0
        places = changes.cumsum(1)
        kept = tokens.new_zeros(len(tokens), int(places.max()) + 1).scatter_(1, places, tokens)
        columns = torch.empty_like(places).scatter_(1, order, places).view_as(factors.tokens)
        raised = at_least_fp32(factors.raised)
        none = raised.new_zeros(*factors.shape, kept.shape[1])
        return cls(kept, none.scatter_add_(2, columns, raised))

    def __getitem__(self, index: Any) -> SharedTokenFactors:
        """Index sentences."""
        return SharedTokenFactors(self.tokens[index], self.raised[index])

    def mixed(
        self,
        log_probs: Float[Tensor, "batch target vocabulary"],
        log_weights: Float[Tensor, "batch target source"],
    ) -> Float[Tensor, "batch target vocabulary"]:
        """Compute ``log Σ_s w_s p_s(y)`` of ``p_s(y) ∝ p_0(y) (1 + r_s(y))``.

        Args:
            log_probs: ``log p_0``; overwritten if gradients are disabled.
            log_weights: ``log w``.
        """
        columns, gained = self._listed(log_probs)
        with torch.autocast(log_probs.device.type, enabled=False):
            weights = log_weights.exp() / (1.0 + gained)
            raised = weights @ self.raised
        total = weights.sum(-1, keepdim=True)
        more = (raised / total).log1p()
        if torch.is_grad_enabled():
            return (log_probs + total.log()).scatter_add(2, columns, more)
        return log_probs.add_(total.log()).scatter_add_(2, columns, more)

    def log_probs_of(
        self,
        log_probs: Float[Tensor, "batch target vocabulary"],
        value: Int[Tensor, "batch target"],
    ) -> Float[Tensor, "batch target source"]:
        """Compute ``log p_s(y_t)`` of one token for each row of ``log p_0``."""
        _, gained = self._listed(log_probs)
        value = value.unsqueeze(-1)
        is_own = (self.tokens.unsqueeze(1) == value).to(gained.dtype)
        with torch.autocast(log_probs.device.type, enabled=False):
            own = is_own @ self.raised.mT
        return log_probs.gather(2, value) + own.log1p() - gained.log1p()

    def _listed(
        self, log_probs: Float[Tensor, "batch target vocabulary"]
    ) -> tuple[Int[Tensor, "batch target token"], Float[Tensor, "batch target source"]]:
        """Return the tokens for each row, and ``Σ_y p_0(y) r_s(y)``."""
        columns = self.tokens.unsqueeze(1).expand(-1, log_probs.shape[1], -1)
        with torch.autocast(log_probs.device.type, enabled=False):
            return columns, log_probs.gather(2, columns).exp() @ self.raised.mT


class SparseProductCategorical(TorchDistribution):
    """``p(y) ∝ p_0(y) (1 + r(y))``, with ``r`` zero but for a few tokens.

    Given the log probabilities of these tokens under ``p_0``, the normaliser
    ``1 + Σ_y p_0(y) r(y)`` is a sum over them. If ``p_0`` has batch dimensions that ``r`` lacks and
    vice versa, as in enumeration, where ``p_0`` depends on the target position and ``r`` on the
    source position, one softmax for each ``p_0`` gives the normalisers of all pairs.

    Args:
        base: the distribution ``p_0``.
        factors: the tokens and their ``r``.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_enumerate_support = True

    def __init__(
        self,
        base: VocabularyCategorical,
        factors: TokenFactors,
        *,
        validate_args: bool | None = None,
    ):
        self.base = base
        self.factors = factors
        shape = broadcast_shapes(base.batch_shape, factors.shape)
        super().__init__(shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        """Token ids from 0 to the size of the vocabulary − 1."""
        return self.base.support

    def among(self, subset: TokenSubset) -> SparseProductCategorical:
        """See :meth:`VocabularyCategorical.among`."""
        return SparseProductCategorical(
            self.base.among(subset), self.factors.among(subset), validate_args=False
        )

    def expand(self, batch_shape: Any, _instance: object = None) -> SparseProductCategorical:
        """Return the distribution expanded to a batch shape."""
        shape = torch.Size(batch_shape)
        own = (1,) * (len(shape) - len(self.batch_shape)) + tuple(self.batch_shape)
        left = (1,) * (len(own) - len(self.base.batch_shape)) + tuple(self.base.batch_shape)
        # Expand only dimensions that neither factor has, so that the others stay separate.
        widened = [
            new if old == 1 else mine for new, old, mine in zip(shape, own, left, strict=True)
        ]
        return SparseProductCategorical(
            self.base.expand(widened), self.factors, validate_args=False
        )

    @property
    def logits(self) -> Float[Tensor, "*batch vocabulary"]:
        """Normalised log probabilities of the whole vocabulary, in fp32 or better."""
        return (self.base.logits + self.factors.log_of_all(len(self.base.bias))).log_softmax(-1)

    @property
    def probs(self) -> Float[Tensor, "*batch vocabulary"]:
        """Probabilities of the whole vocabulary, in fp32 or better."""
        return self.logits.exp()

    def log_prob(self, value: Int[Tensor, "*value"]) -> Float[Tensor, "*shape"]:
        """Compute the log probability of the tokens ``value``, broadcast to the batch shape."""
        if self._validate_args:
            self._validate_sample(value)
        pairs = _Pairs.of(self.base, self.factors, value.shape)
        return pairs.pairing.restored(pairs.log_probs(pairs.pairing.of_value(value)))

    def mixture(
        self, log_weights: Float[Tensor, "*batch"], shared: SharedTokenFactors | None = None
    ) -> Float[Tensor, "*mixed vocabulary"]:
        """Compute ``log Σ_k w_k p_k(y)`` over the last batch dimension, for the whole vocabulary.

        Args:
            log_weights: ``log w``, of the batch shape.
            shared: the factors as :class:`SharedTokenFactors`, if they have been collected.
        """
        if shared is not None:
            return shared.mixed(self.base.logits.squeeze(-2), log_weights)
        pairs = _Pairs.of(self.base, self.factors, torch.Size())
        if not pairs.pairing.last_is_right:
            log_weights = log_weights.expand(self.batch_shape).unsqueeze(-1)
            return (log_weights + self.logits).logsumexp(-2)
        weights = pairs.pairing.of_pairs(log_weights).exp()
        parts = [
            pairs.mixed(rows, weights[rows])
            for rows in _chunks(pairs.base.features, self.base.bias)
        ]
        return pairs.pairing.restored_left(parts[0] if len(parts) == 1 else torch.cat(parts))

    def sample(self, sample_shape: Any = _SINGLE) -> Int[Tensor, "*shape"]:
        """Sample token ids of shape ``sample_shape + batch_shape``."""
        return Categorical(logits=self.logits).sample(sample_shape)

    def enumerate_support(self, expand: bool = True) -> Int[Tensor, "vocabulary *_"]:
        """Return all token ids along a new leftmost dimension."""
        return Categorical(logits=self.logits).enumerate_support(expand)


@dataclass(frozen=True)
class _Pairs:
    """Rows of ``p_0`` and of factors, arranged by :class:`Pairing`."""

    pairing: Pairing
    base: VocabularyCategorical
    tokens: Int[Tensor, "shared right number"]
    raised: Float[Tensor, "shared right number"]

    @classmethod
    def of(cls, base: VocabularyCategorical, factors: TokenFactors, value: torch.Size) -> _Pairs:
        pairing = Pairing(base.features.shape, (*factors.shape, 1), value)
        left = pairing.of_left(base.features)
        raised = at_least_fp32(factors.raised)
        return cls(
            pairing,
            VocabularyCategorical(left, base.weight, base.bias, validate_args=False),
            pairing.of_right(factors.tokens),
            pairing.of_right(raised),
        )

    def log_probs(self, value: Int[Tensor, "shared left"]) -> Float[Tensor, "shared left right"]:
        """Compute the log probability of the token of each left row, for every pair."""
        base, elements = self.base, value.numel() * len(self.base.bias)
        keep = torch.is_grad_enabled() and elements <= chunks.KEPT_ELEMENTS
        inputs = (base.features, base.weight, base.bias, value, self.tokens, self.raised)
        # As in VocabularyCategorical: a Function would lose the graph of Pyro's provenance tensors.
        found = _PairLogProbs.apply(*detach_provenance(inputs), keep)  # type: ignore[no-untyped-call]
        return track_provenance(found, get_provenance(inputs))

    def mixed(
        self, rows: slice, weights: Float[Tensor, "n left right"]
    ) -> Float[Tensor, "n left vocabulary"]:
        """Log probabilities of a mixture over the right rows, of some of the shared rows."""
        tokens, raised = self.tokens[rows], self.raised[rows].unsqueeze(1)
        features = self.base.features[rows]
        probs = VocabularyCategorical(features, self.base.weight, self.base.bias).probs
        columns = tokens.flatten(1).unsqueeze(1).expand(*probs.shape[:2], -1)
        gained = probs.gather(-1, columns).unflatten(-1, tokens.shape[1:]) * raised
        weights = weights / (1.0 + gained.sum(-1))
        gained = (gained * weights.unsqueeze(-1)).flatten(-2)
        total, tiny = weights.sum(-1, keepdim=True), torch.finfo(probs.dtype).tiny
        if torch.is_grad_enabled():
            return (probs * total).scatter_add(-1, columns, gained).clamp_min(tiny).log()
        # Beam search does this for every token: in place it is faster.
        return probs.mul_(total).scatter_add_(-1, columns, gained).clamp_min_(tiny).log_()


@dataclass(frozen=True)
class _Chunk:
    """Terms of some of the shared rows.

    Attributes:
        value: the token of each left row.
        tokens: the listed tokens of each right row.
        raised: their ``r``.
        probs: their probabilities under ``p_0``, for every pair.
    """

    value: Int[Tensor, "n left"]
    tokens: Int[Tensor, "n right number"]
    raised: Float[Tensor, "n right number"]
    probs: Float[Tensor, "n left right number"]

    @classmethod
    def of(
        cls, mass: Tensor, sums: Tensor, value: Tensor, tokens: Tensor, raised: Tensor
    ) -> _Chunk:
        """Look up the listed tokens in unnormalised probabilities ``(n, left, vocabulary)``."""
        probs = mass.gather(2, _columns(tokens, mass)).div_(sums)
        return cls(value, tokens, raised, probs.unflatten(-1, tokens.shape[1:]))

    @property
    def gained(self) -> Float[Tensor, "n left right"]:
        """``Σ_y p_0(y) r(y)`` of every pair."""
        return (self.probs * self.raised.unsqueeze(1)).sum(-1)

    @property
    def own(self) -> Float[Tensor, "n left right"]:
        """``r`` of the token of the left row, for every pair."""
        return torch.where(self._is_own, self.raised.unsqueeze(1), 0.0).sum(-1)

    @property
    def _is_own(self) -> Bool[Tensor, "n left right number"]:
        return self.tokens.unsqueeze(1) == self.value[..., None, None]

    def slopes(
        self, grad: Float[Tensor, "n left right"]
    ) -> tuple[
        Float[Tensor, "n left right"],
        Float[Tensor, "n left listed"],
        Float[Tensor, "n right number"],
    ]:
        """Compute gradients.

        Returns:
            The gradient of ``−log Σ_y p_0(y) (1 + r(y))`` in units of ``−p_0`` for all logits of
            ``p_0``, what is added to it for the listed tokens, and the gradient for ``r``.
        """
        share = grad / (1.0 + self.gained)
        of_listed = self.probs * share.unsqueeze(-1)
        of_own = (grad / (1.0 + self.own)).unsqueeze(-1)
        of_raised = torch.where(self._is_own, of_own, 0.0).sum(1) - of_listed.sum(1)
        return share, of_listed.mul_(self.raised.unsqueeze(1)).flatten(2).neg_(), of_raised


def _columns(tokens: Tensor, mass: Tensor) -> Int[Tensor, "n left listed"]:
    """Return the listed tokens of all right rows, for each left row."""
    return tokens.flatten(1).unsqueeze(1).expand(-1, mass.shape[1], -1)


class _PairLogProbs(torch.autograd.Function):
    """Log probabilities of the tokens of the left rows for all pairs, in chunks of shared rows."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Float[Tensor, "shared left feature"],
        weight: Float[Tensor, "vocabulary feature"],
        bias: Float[Tensor, " vocabulary"],
        value: Int[Tensor, "shared left"],
        tokens: Int[Tensor, "shared right number"],
        raised: Float[Tensor, "shared right number"],
        keep: bool,
    ) -> Float[Tensor, "shared left right"]:
        # Under autocast the product runs in bf16, as in nn.Linear.
        ctx.autocast = torch.is_autocast_enabled(features.device.type)
        log_probs, scale, kept = [], [], []
        for rows in _chunks(features, bias):
            scores = at_least_fp32(linear(features[rows], weight, bias))
            gold = scores.gather(2, value[rows].unsqueeze(2))
            largest = scores.amax(-1, keepdim=True)
            mass = scores.sub_(largest).exp_()
            sums = mass.sum(-1, keepdim=True)
            terms = _Chunk.of(mass, sums, value[rows], tokens[rows], raised[rows])
            before = gold - largest - sums.log()
            log_probs.append(before + terms.own.log1p() - terms.gained.log1p())
            scale.append(torch.cat([largest, sums], dim=-1))
            if keep:
                kept += [mass, terms.probs]
        ctx.save_for_backward(
            features, weight, bias, value, tokens, raised, torch.cat(scale), *kept
        )
        return torch.cat(log_probs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, "shared left right"]) -> tuple[Tensor | None, ...]:
        features, weight, bias, value, tokens, raised, scale, *kept = ctx.saved_tensors
        left = features.shape[1]
        found = OutputGradients(features.flatten(0, 1), weight, bias, autocast=ctx.autocast)
        of_raised = torch.empty_like(raised)
        for i, rows in enumerate(_chunks(features, bias)):
            largest, sums = scale[rows].split(1, dim=-1)
            if kept:
                mass, probs = kept[2 * i : 2 * i + 2]
                terms = _Chunk(value[rows], tokens[rows], raised[rows], probs)
            else:
                with torch.autocast(features.device.type, enabled=ctx.autocast):
                    scores = at_least_fp32(linear(features[rows], weight, bias))
                mass = scores.sub_(largest).exp_()
                terms = _Chunk.of(mass, sums, value[rows], tokens[rows], raised[rows])
            share, of_listed, of_raised[rows] = terms.slopes(grad[rows])
            slope = mass * (-share.sum(-1, keepdim=True) / sums)
            slope.scatter_add_(2, _columns(tokens[rows], slope), of_listed)
            slope.scatter_add_(2, value[rows].unsqueeze(2), grad[rows].sum(-1, keepdim=True))
            found.add(slice(rows.start * left, rows.stop * left), slope.flatten(0, 1))
        of_features, of_weight, of_bias = found.all
        return of_features.view_as(features), of_weight, of_bias, None, None, of_raised, None


def _chunks(features: Tensor, bias: Tensor) -> Iterator[slice]:
    """Return slices of the shared rows, each with at most the rows of logits of a chunk."""
    number = max(1, chunks.chunk_rows(len(bias), features.device) // features.shape[1])
    return (slice(start, start + number) for start in range(0, len(features), number))
