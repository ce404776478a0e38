"""Finished translations and their scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pyro_align.data.batch import PAD


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation.

    Attributes:
        tokens: target ids, ending in ``EOS``.
        score: ``log_probability`` divided by the length penalty.
        log_probability: ``log p(tokens | source)`` in nats, with alignments summed out.
    """

    tokens: tuple[int, ...]
    score: float
    log_probability: float


def length_penalty(length: float, alpha: float) -> float:
    """Return ``((5 + length) / 6) ** alpha`` (Wu et al. 2016, equation 14).

    ``length`` includes ``EOS``.
    """
    return float(((5 + length) / 6) ** alpha)


class FinishedHypotheses:
    """The finished translations of each sentence of a batch, as tensors.

    Args:
        limits: maximum number of tokens of a translation, for each sentence.
        beam: maximum number of translations per sentence.
        n_best: number of translations to return per sentence.
        alpha: exponent of the length penalty.
        like: a tensor with the type and device of log probabilities.
    """

    def __init__(
        self, limits: Int[Tensor, " sentence"], beam: int, n_best: int, alpha: float, like: Tensor
    ):
        shape = (len(limits), beam)
        self.limits = limits
        self.count = torch.zeros_like(limits)
        self._n_best = n_best
        self._alpha = alpha
        self._limit_penalty = like.new_tensor(
            [length_penalty(limit, alpha) for limit in limits.tolist()]
        )
        self._log_probability = like.new_full(shape, -torch.inf)
        self._scores = like.new_full(shape, -torch.inf)
        self._tokens = limits.new_full((*shape, int(limits.max())), PAD)

    def add(
        self,
        ended: Bool[Tensor, "sentence beam"],
        log_probability: Float[Tensor, "sentence beam"],
        tokens: Int[Tensor, "row length"],
    ) -> None:
        """Add the entries where ``ended`` is true; ``tokens`` has one row for each, in order."""
        sentence, rank = ended.nonzero(as_tuple=True)
        place = self.count[sentence] + ended.cumsum(1)[sentence, rank] - 1
        length = tokens.shape[1]
        added = log_probability[sentence, rank]
        self._log_probability[sentence, place] = added
        self._scores[sentence, place] = added / length_penalty(length, self._alpha)
        self._tokens[sentence, place, :length] = tokens
        self.count += ended.sum(1)

    def beatable(self, log_probability: Float[Tensor, " sentence"]) -> Bool[Tensor, " sentence"]:
        """Return whether a prefix with this log probability may still become one of the ``n_best``.

        Log probabilities are negative and decrease with every token, so that the score of a
        completion is at most the log probability of the prefix divided by the penalty of the
        length limit.
        """
        worst = self._scores.topk(self._n_best, dim=1).values[:, -1]
        return log_probability / self._limit_penalty > worst

    def ranked(self) -> list[list[Hypothesis]]:
        """Return up to ``n_best`` translations per sentence, best first."""
        order = self._scores.argsort(dim=1, descending=True, stable=True)[:, : self._n_best]
        tokens = self._tokens.take_along_dim(order.unsqueeze(2), 1).tolist()
        scores = self._scores.take_along_dim(order, 1).tolist()
        log_probability = self._log_probability.take_along_dim(order, 1).tolist()
        counts = self.count.clamp_max(self._n_best).tolist()
        return [
            [
                Hypothesis(tuple(token for token in row if token != PAD), score, log_prob)
                for row, score, log_prob in list(zip(*sentence, strict=True))[:count]
            ]
            for *sentence, count in zip(tokens, scores, log_probability, counts, strict=True)
        ]
