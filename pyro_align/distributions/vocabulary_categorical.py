"""A Categorical over a large vocabulary with chunked log probabilities."""

from __future__ import annotations

from typing import Any, ClassVar

import pyro.distributions as dist
import torch
from jaxtyping import Float, Int
from pyro.distributions import TorchDistribution
from pyro.ops.provenance import detach_provenance, get_provenance, track_provenance
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import constraints
from torch.nn.functional import linear

from pyro_align.distributions import chunks
from pyro_align.distributions.output_layer import OutputGradients
from pyro_align.distributions.precision import at_least_fp32
from pyro_align.distributions.shapes import broadcast_shapes
from pyro_align.distributions.token_subset import TokenSubset

_SINGLE = torch.Size()


class VocabularyCategorical(TorchDistribution):
    """``p(y) = softmax(W f + b)_y`` over a vocabulary, from features ``f``.

    It equals ``Categorical(logits=features @ weight.T + bias)`` with less memory: :meth:`log_prob`
    computes the logits in chunks and, if there are many, recomputes them in the backward pass, so
    that memory does not grow with the number of enumerated alignments.

    Args:
        features: one vector per batch position, ``(*batch, feature)``.
        weight: output embedding, ``(vocabulary, feature)``.
        bias: one per token, ``(vocabulary,)``.
    """

    arg_constraints: ClassVar = {
        "features": constraints.independent(constraints.real, 1),
        "weight": constraints.independent(constraints.real, 2),
        "bias": constraints.independent(constraints.real, 1),
    }
    has_enumerate_support = True

    def __init__(
        self,
        features: Float[Tensor, "*batch feature"],
        weight: Float[Tensor, "vocabulary feature"],
        bias: Float[Tensor, " vocabulary"],
        *,
        validate_args: bool | None = None,
    ):
        self.features = features
        self.weight = weight
        self.bias = bias
        super().__init__(features.shape[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        """Token ids from 0 to the size of the vocabulary − 1."""
        return constraints.integer_interval(0, len(self.bias) - 1)

    def expand(self, batch_shape: Any, _instance: object = None) -> VocabularyCategorical:
        """Return the distribution expanded to a batch shape."""
        batch_shape = torch.Size(batch_shape)
        features = self.features.expand(batch_shape + self.features.shape[-1:])
        return VocabularyCategorical(features, self.weight, self.bias, validate_args=False)

    def among(self, subset: TokenSubset) -> VocabularyCategorical:
        """Return the distribution over a subset of the tokens, with their weights, normalised.

        The log probability of a token of weight 1 is an estimate of that under this distribution.
        """
        bias = self.bias[subset.tokens] + subset.log_weights.to(self.bias.dtype)
        weight = self.weight[subset.tokens]
        return VocabularyCategorical(self.features, weight, bias, validate_args=False)

    @property
    def logits(self) -> Float[Tensor, "*batch vocabulary"]:
        """Normalised log probabilities of the whole vocabulary, in fp32 or better."""
        scores = at_least_fp32(linear(self.features, self.weight, self.bias))
        # In place it is faster, which beam search does for every token.
        return torch.log_softmax(scores, -1, out=None if scores.requires_grad else scores)

    @property
    def probs(self) -> Float[Tensor, "*batch vocabulary"]:
        """Probabilities of the whole vocabulary, in fp32 or better."""
        scores = linear(self.features, self.weight, self.bias)
        return at_least_fp32(scores).softmax(-1)

    def log_prob(self, value: Int[Tensor, "*value"]) -> Float[Tensor, "*shape"]:
        """Compute the log probability of the tokens ``value``, broadcast to the batch shape."""
        if self._validate_args:
            self._validate_sample(value)
        shape = broadcast_shapes(value.shape, self.batch_shape)
        features = self.features.expand(shape + self.features.shape[-1:])
        inputs = (
            features.reshape(-1, features.shape[-1]),
            self.weight,
            self.bias,
            value.expand(shape).reshape(-1),
        )
        # Pyro tracks provenance with a tensor subclass. A Function applied to it returns a tensor
        # without graph.
        keep = torch.is_grad_enabled() and shape.numel() * len(self.bias) <= chunks.KEPT_ELEMENTS
        flat = _ChunkedLogProb.apply(*detach_provenance(inputs), keep)  # type: ignore[no-untyped-call]
        return track_provenance(flat.reshape(shape), get_provenance(inputs))

    def mixture(self, log_weights: Float[Tensor, "*batch"]) -> Float[Tensor, "*mixed vocabulary"]:
        """Compute ``log Σ_k w_k p_k(y)`` over the last batch dimension, for the whole vocabulary.

        Args:
            log_weights: ``log w``, of the batch shape.
        """
        shape = broadcast_shapes(log_weights.shape, self.batch_shape)
        weights = log_weights.expand(shape).reshape(-1, 1, shape[-1]).exp()
        features = self.features.expand(*shape, -1).reshape(*weights[:, 0].shape, -1)
        rows = max(1, chunks.chunk_rows(len(self.bias), self.bias.device) // shape[-1])
        parts = []
        for part, weight in zip(features.split(rows), weights.split(rows), strict=True):
            probs = at_least_fp32(linear(part, self.weight, self.bias)).softmax(-1)
            # As probabilities: one matrix product, which takes half the time of a logsumexp.
            with torch.autocast(probs.device.type, enabled=False):
                mixed = (weight.to(probs.dtype) @ probs).squeeze(1)
            parts.append(mixed.clamp_min(torch.finfo(mixed.dtype).tiny).log())
        return torch.cat(parts).reshape(*shape[:-1], len(self.bias))

    def sample(self, sample_shape: Any = _SINGLE) -> Int[Tensor, "*shape"]:
        """Sample token ids of shape ``sample_shape + batch_shape``."""
        return dist.Categorical(logits=self.logits).sample(sample_shape)

    def enumerate_support(self, expand: bool = True) -> Int[Tensor, "vocabulary *_"]:
        """Return all token ids along a new leftmost dimension."""
        return dist.Categorical(logits=self.logits).enumerate_support(expand)


class _ChunkedLogProb(torch.autograd.Function):
    """Gold-token log probabilities of ``softmax(features @ weight.T + bias)``, in chunks."""

    @staticmethod
    def forward(
        ctx: Any,
        features: Float[Tensor, "row feature"],
        weight: Float[Tensor, "vocabulary feature"],
        bias: Float[Tensor, " vocabulary"],
        value: Int[Tensor, " row"],
        keep: bool = False,
    ) -> Float[Tensor, " row"]:
        rows = chunks.chunk_rows(len(bias), bias.device)
        # Under autocast the product runs in bf16, as in nn.Linear.
        ctx.autocast = torch.is_autocast_enabled(features.device.type)
        log_probs, largest, sums, kept = [], [], [], []
        for part, gold in zip(features.split(rows), value.split(rows), strict=True):
            scores = at_least_fp32(linear(part, weight, bias))
            score = scores.gather(-1, gold.unsqueeze(-1))
            largest.append(scores.amax(-1, keepdim=True))
            exp = scores.sub_(largest[-1]).exp_()
            sums.append(exp.sum(-1, keepdim=True))
            log_probs.append(score - largest[-1] - sums[-1].log())
            if keep:
                kept.append(exp)
        ctx.save_for_backward(
            features, weight, bias, value, torch.cat(largest), torch.cat(sums), *kept
        )
        return torch.cat(log_probs).squeeze(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Float[Tensor, " row"]) -> tuple[Tensor | None, ...]:
        features, weight, bias, value, largest, sums, *kept = ctx.saved_tensors
        rows = chunks.chunk_rows(len(bias), bias.device)
        found = OutputGradients(features, weight, bias, autocast=ctx.autocast)
        grad = grad.unsqueeze(-1)
        share = -grad / sums
        for i, start in enumerate(range(0, len(value), rows)):
            chunk = slice(start, start + rows)
            # d log p(gold) / d scores = onehot(gold) − softmax(scores)
            if kept:
                slope = kept[i] * share[chunk]
            else:
                with torch.autocast(features.device.type, enabled=ctx.autocast):
                    scores = at_least_fp32(linear(features[chunk], weight, bias))
                slope = scores.sub_(largest[chunk]).exp_().mul_(share[chunk])
            slope.scatter_add_(-1, value[chunk].unsqueeze(-1), grad[chunk])
            found.add(chunk, slope)
        return *found.all, None, None
