"""An emission in which a source word raises the probability of a few target tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import embedding

from pyro_align.distributions import (
    SharedTokenFactors,
    SparseProductCategorical,
    TokenFactors,
    VocabularyCategorical,
    at_least_fp32,
)
from pyro_align.nn.emissions import SoftmaxEmission, source_expert_size
from pyro_align.nn.listed_rows import products_with_rows

LARGEST = 40.0
"""Largest logit of a candidate: ``r`` and its product with any probability are finite in fp32, and
a probability below the smallest number of fp32 stays negligible."""


class SparseProductEmission(SoftmaxEmission):
    """``p(y | m, x, h) ∝ exp(w_y · g W_h h + b_y) (1 + r_y)``, ``r_y`` zero but for candidates.

    Each source token ``x`` has a list of candidates, target tokens that may be its translation. For
    these

        ``r_y = exp(w'_y · g tanh(W_c m) + u_xy)``

    with the annotation ``m`` of the source position, the first dimensions ``w'_y`` of the output
    embedding as in :class:`~pyro_align.nn.ProductEmission`, and a learnt table ``u``. The aligned
    word raises the probability of its candidates and leaves the odds of all other tokens as they
    are given the decoder state. Its sums over alignments are exact and cost one softmax for each
    target position, as soft attention does, see
    :class:`~pyro_align.distributions.SparseProductCategorical`.

    Args:
        annotation: size of a source annotation.
        hidden: size of a decoder state.
        weight: output embedding ``(vocabulary, feature)``, a parameter that may be tied.
        candidates: target tokens of each source token, see
            :func:`~pyro_align.data.translation_candidates`; shorter lists end in negative ids.
        dropout: probability that a candidate is not raised in training. Candidates are found in the
            training text, so that a model may learn to rely on them too much.
    """

    def __init__(
        self,
        annotation: int,
        hidden: int,
        weight: Tensor,
        candidates: Int[Tensor, "source_vocabulary number"],
        dropout: float = 0.0,
    ):
        super().__init__(annotation, hidden, weight)
        self.dropout = dropout
        self.table = nn.Parameter(torch.zeros(candidates.shape))
        self.candidates: Tensor
        self.register_buffer("candidates", candidates)

    def value_size(self, feature: int) -> int:
        """Return the number of dimensions of an output embedding that ``r`` uses."""
        return source_expert_size(feature)

    def annotate(
        self,
        annotations: Float[Tensor, "batch source annotation"],
        source: Int[Tensor, "batch source"],
    ) -> Float[Tensor, "batch source more"]:
        """Append the source id as a column in fp32, which is exact up to 2²⁴."""
        return torch.cat([annotations, source.unsqueeze(-1).float()], dim=-1)

    def values(self, annotations: Float[Tensor, "batch source more"]) -> TokenFactors:
        """Compute ``r`` of the candidates of each position.

        Args:
            annotations: from :meth:`annotate`.
        """
        read, source = annotations[..., :-1], annotations[..., -1].long()
        tokens = self.candidates[source]
        absent = tokens < 0
        if self.training and self.dropout > 0:
            absent |= torch.rand(tokens.shape, device=tokens.device) < self.dropout
        tokens = tokens.clamp_min(0)
        features = self.gain * torch.tanh(self.context(read))
        logits = products_with_rows(features, self.weight, tokens) + embedding(source, self.table)
        raised = at_least_fp32(logits).clamp_max(LARGEST).exp()
        return TokenFactors(tokens, raised.masked_fill(absent, 0.0))

    def factors(self, values: TokenFactors) -> SharedTokenFactors:
        """List each candidate of a sentence once, for beam search."""
        return SharedTokenFactors.of(values)

    def log_likelihoods(
        self,
        hidden: Float[Tensor, "batch target hidden"],
        values: TokenFactors,
        tokens: Int[Tensor, "batch target"],
        factors: SharedTokenFactors | None = None,
    ) -> Float[Tensor, "batch target source"]:
        """``log p(y_t | v_s, h_t)``, from the shared factors if they are given."""
        if factors is None:
            return super().log_likelihoods(hidden, values, tokens)
        return factors.log_probs_of(self._base(hidden).logits, tokens)

    def forward(self, hidden: Tensor, context: TokenFactors) -> SparseProductCategorical:
        """Return the token distribution given decoder states and contexts."""
        return SparseProductCategorical(self._base(hidden), context)

    def _base(self, hidden: Tensor) -> VocabularyCategorical:
        """Return the distribution without raised tokens."""
        return VocabularyCategorical(self.gain * self.query(hidden), self.weight, self.bias)
