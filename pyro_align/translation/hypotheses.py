"""Finished translations and their scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pyro_align.batch import PAD


@dataclass(frozen=True)
class Hypothesis:
    """A finished translation.

    Attributes:
        tokens: target ids, ``EOS`` at the end.
        score: ``log_probability`` divided by the length penalty.
        log_probability: ``log p(tokens | source)`` in nats, alignments summed out.
    """

    tokens: tuple[int, ...]
    score: float
    log_probability: float


def length_penalty(length: float, alpha: float) -> float:
    """``((5 + length) / 6) ** alpha`` (Wu et al. 2016, equation 14); ``length`` counts ``EOS``."""
    return float(((5 + length) / 6) ** alpha)


class FinishedHypotheses:
    """The finished translations of each sentence of a batch, as tensors.

    Args:
        limits: for each sentence the most tokens a translation may have.
        beam: most translations a sentence can have.
        n_best: how many of them are wanted.
        alpha: exponent of the length penalty.
        like: a log probability, for its type.
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
        """Add the entries where ``ended`` is true; ``tokens`` has a row for each, in order."""
        sentence, rank = ended.nonzero(as_tuple=True)
        place = self.count[sentence] + ended.cumsum(1)[sentence, rank] - 1
        length = tokens.shape[1]
        added = log_probability[sentence, rank]
        self._log_probability[sentence, place] = added
        self._scores[sentence, place] = added / length_penalty(length, self._alpha)
        self._tokens[sentence, place, :length] = tokens
        self.count += ended.sum(1)

    def beatable(self, log_probability: Float[Tensor, " sentence"]) -> Bool[Tensor, " sentence"]:
        """Whether a prefix of that log probability may still grow into one of the ``n_best``.

        Log probabilities are negative and only fall with every token, so that the best score a
        prefix can come to is its own log probability under the length limit's penalty.
        """
        worst = self._scores.topk(self._n_best, dim=1).values[:, -1]
        return log_probability / self._limit_penalty > worst

    def ranked(self) -> list[list[Hypothesis]]:
        """The ``n_best`` of each sentence, best first; fewer where there are fewer."""
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
