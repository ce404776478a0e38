"""Products of two exponential factors over the vocabulary, normalised for all pairs at once.

With ``a = W l + b`` for every ``l`` and ``c = W r`` for every ``r`` the normalisers
``Z_lr = Σ_v exp(a_lv) exp(c_rv)`` are one matrix product. Both factors are divided by their largest
value first. What can still go wrong is that the two have their mass on different tokens, so that
every product lies below what fp32 can hold; in double precision, which reaches e⁻⁷⁰⁰, logits would
have to differ by hundreds. So a CPU looks, and computes again in double precision if need be; a
GPU, which should not be waited for, computes in double precision at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

from pyro_align.distributions.precision import at_least_fp32

CHUNK_ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 26}
"""Largest number of logits of both factors that exist at a time, by device."""

KEPT_ELEMENTS = 1 << 25
"""Largest number of values of both factors that are kept for the backward pass (128 MiB in fp32);
more are computed again."""

SMALLEST = 1e-25
"""A sum of products above this has lost nothing that matters to terms fp32 cannot hold."""


@dataclass(frozen=True)
class _Factors:
    """Both factors of a chunk, each divided by its largest value, and their product's sums.

    Attributes:
        exp: ``exp(a − max a)`` of the left rows, then ``exp(c − max c)`` of the right ones.
        sums: ``Σ_v exp(a) exp(c)`` of every pair, so divided.
    """

    exp: Float[Tensor, "n rows vocabulary"]
    sums: Float[Tensor, "n left right"]

    @classmethod
    def of(cls, shifted: Float[Tensor, "n rows vocabulary"], lefts: int) -> _Factors:
        """From logits less their largest, in double precision if fp32 does not do."""
        if shifted.device.type == "cpu":
            factors = cls._exponentiated(shifted, lefts)
            if not bool((factors.sums < SMALLEST).any()):
                return factors
        return cls._exponentiated(shifted.double(), lefts)

    @classmethod
    def _exponentiated(cls, shifted: Tensor, lefts: int) -> _Factors:
        exp = shifted.exp()
        return cls(exp, exp[:, :lefts] @ exp[:, lefts:].mT)

    @property
    def left(self) -> Float[Tensor, "n left vocabulary"]:
        """The left factor."""
        return self.exp[:, : self.sums.shape[1]]

    @property
    def right(self) -> Float[Tensor, "n right vocabulary"]:
        """The right factor."""
        return self.exp[:, self.sums.shape[1] :]


def _shifted(features: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Logits of both factors less their largest, which cancels in every probability.

    Half of the bias is in either factor: then one product makes both.
    """
    logits = at_least_fp32(linear(features, weight, bias / 2))
    return logits.sub_(logits.detach().amax(-1, keepdim=True))


def pair_log_probs(
    left: Float[Tensor, "shared left feature"],
    right: Float[Tensor, "shared right feature"],
    weight: Float[Tensor, "vocabulary feature"],
    bias: Float[Tensor, " vocabulary"],
    value: Int[Tensor, "shared left"],
) -> Float[Tensor, "shared left right"]:
    """``log p(y_l | l, r)`` for every pair of left and right features; differentiable."""
    found: Tensor = _PairLogProb.apply(  # type: ignore[no-untyped-call]
        left, right, weight, bias, value
    )
    return found


class _PairLogProb(torch.autograd.Function):
    """Chunks of sentences, one after the other.

    Large batches are computed again in the backward pass, so that no logits are kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        left: Float[Tensor, "shared left feature"],
        right: Float[Tensor, "shared right feature"],
        weight: Float[Tensor, "vocabulary feature"],
        bias: Float[Tensor, " vocabulary"],
        value: Int[Tensor, "shared left"],
    ) -> Float[Tensor, "shared left right"]:
        features, lefts = torch.cat([left, right], 1), left.shape[1]
        ctx.lefts = lefts
        # Under autocast the products run in bf16 here as they would in a Linear.
        ctx.autocast = torch.is_autocast_enabled(left.device.type)
        keep = features.shape[0] * features.shape[1] * len(bias) <= KEPT_ELEMENTS
        kept, log_probs = [], []
        for chunk in _chunks(features, bias):
            shifted = _shifted(features[chunk], weight, bias)
            with torch.autocast(left.device.type, enabled=False):
                factors = _Factors.of(shifted, lefts)
                log_probs.append(_log_probs(shifted, factors, value[chunk]))
            if keep:
                kept += [factors.exp, factors.sums]
        ctx.save_for_backward(features, weight, bias, value, *kept)
        return torch.cat(log_probs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, "shared left right"]) -> tuple[Tensor | None, ...]:
        features, weight, bias, value, *kept = ctx.saved_tensors
        grad_features = torch.empty_like(features)
        grad_weight, grad_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        with torch.autocast(features.device.type, enabled=ctx.autocast):
            for i, chunk in enumerate(_chunks(features, bias)):
                if kept:
                    factors = _Factors(*kept[2 * i : 2 * i + 2])
                else:
                    shifted = _shifted(features[chunk], weight, bias)
                    with torch.autocast(features.device.type, enabled=False):
                        factors = _Factors.of(shifted, ctx.lefts)
                slope = _slope(factors, value[chunk], grad[chunk])
                grad_features[chunk] = slope @ weight
                slope = slope.flatten(0, 1)
                grad_weight += slope.T @ features[chunk].flatten(0, 1)
                grad_bias += slope.sum(0)
        left, right = grad_features[:, : ctx.lefts], grad_features[:, ctx.lefts :]
        return left, right, grad_weight, grad_bias / 2, None


def factor_of(
    features: Float[Tensor, "*shape feature"],
    weight: Float[Tensor, "vocabulary feature"],
    bias: Float[Tensor, " vocabulary"],
) -> Float[Tensor, "*shape vocabulary"]:
    """One factor, divided by its largest value; what :func:`mixed_log_probs` can be given."""
    return _shifted(features, weight, bias).exp_()


def mixed_log_probs(
    left: Float[Tensor, "shared left feature"],
    right: Float[Tensor, "shared right feature"],
    log_weights: Float[Tensor, "shared left right"],
    weight: Float[Tensor, "vocabulary feature"],
    bias: Float[Tensor, " vocabulary"],
    factor: Float[Tensor, "shared right vocabulary"] | None = None,
) -> Float[Tensor, "shared left vocabulary"]:
    """``log Σ_r w_lr p(y | l, r)`` for the whole vocabulary: two matrix products.

    Args:
        left: features of one factor.
        right: features of the other.
        log_weights: of every pair.
        weight: output embedding.
        bias: of the vocabulary.
        factor: the right factor if it is known from before.
    """
    if factor is not None:
        known = factor_of(left, weight, bias)
        with torch.autocast(left.device.type, enabled=False):
            sums = known @ factor.mT
            if not bool((sums < SMALLEST).any()):
                return _mixed(known, factor, sums, log_weights)
    shifted = _shifted(torch.cat([left, right], 1), weight, bias)
    with torch.autocast(left.device.type, enabled=False):
        factors = _Factors.of(shifted, left.shape[1])
        return _mixed(factors.left, factors.right, factors.sums, log_weights)


def _mixed(left: Tensor, right: Tensor, sums: Tensor, log_weights: Tensor) -> Tensor:
    mixed = left * ((log_weights.exp().to(sums.dtype) / sums) @ right)
    return mixed.to(log_weights.dtype).clamp_min(torch.finfo(log_weights.dtype).tiny).log()


def _log_probs(shifted: Tensor, factors: _Factors, value: Tensor) -> Float[Tensor, "n left right"]:
    """Log probability of the left rows' tokens for every pair."""
    lefts, rights = shifted[:, : value.shape[1]], shifted[:, value.shape[1] :]
    columns = value.unsqueeze(1).expand(-1, rights.shape[1], -1)
    gold = lefts.gather(2, value.unsqueeze(2)) + rights.gather(2, columns).mT
    return (gold - factors.sums.log()).to(shifted.dtype)


def _slope(factors: _Factors, value: Tensor, grad: Tensor) -> Float[Tensor, "n rows v"]:
    """Gradient for both factors' logits: one-hot of the gold token less its probability."""
    with torch.autocast(grad.device.type, enabled=False):
        share = grad.to(factors.sums.dtype) / factors.sums
        expected = torch.cat([share @ factors.right, share.mT @ factors.left], 1)
        slope = expected.mul_(factors.exp).neg_().to(grad.dtype)
        left, right = slope[:, : value.shape[1]], slope[:, value.shape[1] :]
        left.scatter_add_(2, value.unsqueeze(2), grad.sum(2, keepdim=True))
        right.scatter_add_(2, value.unsqueeze(1).expand(-1, right.shape[1], -1), grad.mT)
    return slope


def _chunks(features: Tensor, bias: Tensor) -> Iterator[slice]:
    elements = features.shape[1] * len(bias)
    rows = max(1, CHUNK_ELEMENTS.get(features.device.type, 1 << 24) // elements)
    return (slice(start, start + rows) for start in range(0, len(features), rows))
