"""Products of two exponential factors over the vocabulary, normalised for all pairs at once.

With ``a = W l + b`` for every ``l`` and ``c = W r`` for every ``r`` (which may have fewer features
and then uses the first columns of ``W``), the normalisers ``Z_lr = Σ_v exp(a_lv) exp(c_rv)`` are
one matrix product. Each factor is first divided by its largest value. If the two factors have their
mass on different tokens, all products may still underflow in fp32; in double precision, which
reaches e⁻⁷⁰⁰, this needs logits that differ by hundreds. On a CPU the sums are therefore checked
and recomputed in double precision if necessary; on a GPU, where a check would synchronise, and in a
compiled graph, which cannot branch on values, they are always computed in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear, one_hot

from pyro_align.distributions import chunks
from pyro_align.distributions.precision import at_least_fp32

SMALLEST = 1e-25
"""Threshold for the sums: above it, terms that underflow in fp32 are negligible."""


@dataclass(frozen=True)
class _Factors:
    """The scaled factors of a chunk and the sums of their products.

    Attributes:
        left: ``exp(a − max a)``.
        right: ``exp(c − max c)``.
        sums: ``Σ_v left right`` for every pair.
        gold: ``(a − max a) + (c − max c)`` at the gold token of the left row, for every pair; None
            if no tokens were given.
    """

    left: Float[Tensor, "n left vocabulary"]
    right: Float[Tensor, "n right vocabulary"]
    sums: Float[Tensor, "n left right"]
    gold: Float[Tensor, "n left right"] | None = None

    @classmethod
    def of(
        cls, left: Tensor, right: Tensor, weight: Tensor, bias: Tensor, value: Tensor | None = None
    ) -> _Factors:
        """Compute from features and tokens, in double precision if fp32 is not sufficient."""
        a, c = _shifted(left, weight, bias), _shifted(right, weight)
        if left.device.type == "cpu" and not torch.compiler.is_compiling():
            factors = cls._exponentiated(a, c, value)
            if not bool((factors.sums < SMALLEST).any()):
                return factors
            a, c = _shifted(left, weight, bias), _shifted(right, weight)
        return cls._exponentiated(a.double(), c.double(), value)

    @classmethod
    def beside(cls, factor: Tensor, left: Tensor, weight: Tensor, bias: Tensor) -> _Factors | None:
        """Compute with a precomputed right factor; return None if fp32 is not sufficient."""
        known = _shifted(left, weight, bias).exp_()
        with torch.autocast(left.device.type, enabled=False):
            # With more source positions than hypotheses this order is faster.
            sums = (factor @ known.mT).mT
        return None if bool((sums < SMALLEST).any()) else cls(known, factor, sums)

    @classmethod
    def _exponentiated(cls, left: Tensor, right: Tensor, value: Tensor | None) -> _Factors:
        """Compute from shifted logits, which are overwritten by the factors."""
        gold = None
        if value is not None:
            columns = value.unsqueeze(1).expand(-1, right.shape[1], -1)
            gold = left.gather(2, value.unsqueeze(2)) + right.gather(2, columns).mT
        with torch.autocast(left.device.type, enabled=False):
            return cls(left.exp_(), right.exp_(), left @ right.mT, gold)

    @property
    def log_probs(self) -> Float[Tensor, "n left right"]:
        """Log probability of the gold token of the left row, for every pair."""
        assert self.gold is not None
        return self.gold - self.sums.log()

    def mixed(
        self, log_weights: Float[Tensor, "n left right"]
    ) -> Float[Tensor, "n left vocabulary"]:
        """Compute ``log Σ_r w_lr p(y | l, r)`` for the whole vocabulary."""
        with torch.autocast(log_weights.device.type, enabled=False):
            mixed = (log_weights.exp().to(self.sums.dtype) / self.sums) @ self.right
            tiny = torch.finfo(log_weights.dtype).tiny
            if torch.is_grad_enabled():
                return (mixed * self.left).to(log_weights.dtype).clamp_min(tiny).log()
            # Beam search does this for every token: in place it is a third faster.
            return mixed.mul_(self.left).to(log_weights.dtype).clamp_min_(tiny).log_()

    def slopes(
        self, value: Int[Tensor, "n left"], grad: Float[Tensor, "n left right"]
    ) -> tuple[Float[Tensor, "n left vocabulary"], Float[Tensor, "n right vocabulary"]]:
        """Compute the gradients for both logits: one-hot gold tokens minus probabilities."""
        with torch.autocast(grad.device.type, enabled=False):
            share = -grad.to(self.sums.dtype) / self.sums
            left = (share @ self.right).mul_(self.left).to(grad.dtype)
            right = (share.mT @ self.left).mul_(self.right).to(grad.dtype)
            left.scatter_add_(2, value.unsqueeze(2), grad.sum(2, keepdim=True))
            right.scatter_add_(2, value.unsqueeze(1).expand(-1, right.shape[1], -1), grad.mT)
        return left, right


def _shifted(features: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute the logits of a factor minus their maximum, which cancels in the probabilities."""
    logits = at_least_fp32(linear(features, weight[:, : features.shape[-1]], bias))
    return logits.sub_(logits.detach().amax(-1, keepdim=True))


def pair_log_probs(
    left: Float[Tensor, "shared left feature"],
    right: Float[Tensor, "shared right fewer"],
    weight: Float[Tensor, "vocabulary feature"],
    bias: Float[Tensor, " vocabulary"],
    value: Int[Tensor, "shared left"],
) -> Float[Tensor, "shared left right"]:
    """Compute ``log p(y_l | l, r)`` for every pair of left and right features; differentiable."""
    elements = (left.shape[1] + right.shape[1]) * len(bias)
    keep = chunks.KEPT_ELEMENTS // elements if torch.is_grad_enabled() else 0
    found: Tensor = _PairLogProb.apply(  # type: ignore[no-untyped-call]
        left, right, weight, bias, value, keep
    )
    return found


class _PairLogProb(torch.autograd.Function):
    """Gold-token log probabilities of all pairs, computed in chunks of sentences.

    The factors of the first ``keep`` sentences are kept for the backward pass; the others are
    recomputed.
    """

    @staticmethod
    def forward(
        ctx: Any,
        left: Float[Tensor, "shared left feature"],
        right: Float[Tensor, "shared right fewer"],
        weight: Float[Tensor, "vocabulary feature"],
        bias: Float[Tensor, " vocabulary"],
        value: Int[Tensor, "shared left"],
        keep: int,
    ) -> Float[Tensor, "shared left right"]:
        # Under autocast the products run in bf16, as in nn.Linear.
        ctx.autocast = torch.is_autocast_enabled(left.device.type)
        rows = left.shape[1] + right.shape[1]
        dtype = at_least_fp32(left).dtype
        kept, log_probs = [], []
        for chunk in _chunks(left, rows, bias):
            factors = _Factors.of(left[chunk], right[chunk], weight, bias, value[chunk])
            log_probs.append(factors.log_probs.to(dtype))
            if min(chunk.stop, len(left)) <= keep:
                kept += [factors.left, factors.right, factors.sums]
        ctx.save_for_backward(left, right, weight, bias, value, *kept)
        return torch.cat(log_probs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, "shared left right"]) -> tuple[Tensor | None, ...]:
        left, right, weight, bias, value, *kept = ctx.saved_tensors
        grad_left, grad_right = torch.empty_like(left), torch.empty_like(right)
        # Sums over chunks, in fp32 also for parameters in half precision.
        grad_weight, grad_bias = (
            torch.zeros_like(each, dtype=torch.promote_types(each.dtype, torch.float32))
            for each in (weight, bias)
        )
        with torch.autocast(left.device.type, enabled=ctx.autocast):
            rows = left.shape[1] + right.shape[1]
            for i, chunk in enumerate(_chunks(left, rows, bias)):
                if 3 * i < len(kept):
                    factors = _Factors(*kept[3 * i : 3 * i + 3])
                else:
                    factors = _Factors.of(left[chunk], right[chunk], weight, bias)
                slopes = factors.slopes(value[chunk], grad[chunk])
                grad_bias += slopes[0].sum((0, 1))
                for slope, features, grad_features in zip(
                    slopes, (left, right), (grad_left, grad_right), strict=True
                ):
                    size = features.shape[-1]
                    slope = slope.to(weight.dtype)
                    grad_features[chunk] = slope @ weight[:, :size]
                    slope, part = slope.flatten(0, 1), features[chunk].flatten(0, 1)
                    if ctx.autocast or part.dtype != grad_weight.dtype:
                        grad_weight[:, :size] += slope.T @ part
                    else:  # accumulated by the product itself
                        grad_weight[:, :size].addmm_(slope.T, part)
        grad_weight, grad_bias = grad_weight.to(weight.dtype), grad_bias.to(bias.dtype)
        return grad_left, grad_right, grad_weight, grad_bias, None, None


def factor_of(
    features: Float[Tensor, "*shape fewer"], weight: Float[Tensor, "vocabulary feature"]
) -> Float[Tensor, "*shape vocabulary"]:
    """Compute the scaled right factor, to pass to :func:`mixed_log_probs`."""
    return _shifted(features, weight).exp_()


def mixed_log_probs(
    left: Float[Tensor, "shared left feature"],
    right: Float[Tensor, "shared right fewer"],
    log_weights: Float[Tensor, "shared left right"],
    weight: Float[Tensor, "vocabulary feature"],
    bias: Float[Tensor, " vocabulary"],
    factor: Float[Tensor, "shared right vocabulary"] | None = None,
) -> Float[Tensor, "shared left vocabulary"]:
    """Compute ``log Σ_r w_lr p(y | l, r)`` for the whole vocabulary, with two matrix products.

    Args:
        left: features of the left factor.
        right: features of the right factor.
        log_weights: ``log w``, for every pair.
        weight: output embedding.
        bias: one per token.
        factor: the right factor from :func:`factor_of`, if precomputed.
    """
    parts = []
    rows = left.shape[1] + (right.shape[1] if factor is None else 0)
    for chunk in _chunks(left, rows, bias):
        factors = None
        if factor is not None:
            factors = _Factors.beside(factor[chunk], left[chunk], weight, bias)
        if factors is None:
            factors = _Factors.of(left[chunk], right[chunk], weight, bias)
        parts.append(factors.mixed(log_weights[chunk]))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _chunks(features: Tensor, rows: int, bias: Tensor) -> Iterator[slice]:
    """Return slices of sentences, each with at most the rows of logits of a chunk.

    Args:
        features: ``(sentence, …)``.
        rows: rows of logits per sentence.
        bias: one per token, for the vocabulary size.
    """
    number = max(1, chunks.chunk_rows(len(bias), features.device) // rows)
    return (slice(start, start + number) for start in range(0, len(features), number))


def log_probs_beside(
    factor: Float[Tensor, "shared right vocabulary"],
    left: Float[Tensor, "shared left feature"],
    weight: Float[Tensor, "vocabulary feature"],
    bias: Float[Tensor, " vocabulary"],
    value: Int[Tensor, "shared left"],
) -> Float[Tensor, "shared left right"] | None:
    """Compute ``log p(y_l | l, r)`` for every pair, with a precomputed right factor.

    For few left features at a time, where :func:`pair_log_probs` would compute the right factor for
    each of them. Factors below the smallest number are raised to it.

    Args:
        factor: from :func:`factor_of`.
        left: features of the left factor.
        weight: output embedding.
        bias: one per token.
        value: the tokens.

    Returns:
        The log probabilities, differentiable also for the factor; None if fp32 is not sufficient.
    """
    logits = _shifted(left, weight, bias)
    gold = logits.gather(2, value.unsqueeze(2))
    # One product for the sums and the gold tokens: a gather would need a gradient of its own.
    rows = torch.cat([logits.exp(), one_hot(value, len(bias)).to(logits.dtype)], dim=1)
    with torch.autocast(left.device.type, enabled=False):
        sums, factors = (rows @ factor.mT).chunk(2, dim=1)
    if bool((sums < SMALLEST).any()):
        return None
    return gold + factors.clamp_min(torch.finfo(factors.dtype).tiny).log() - sums.log()
