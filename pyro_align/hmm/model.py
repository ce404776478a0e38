"""`HiddenMarkovModel`: the alignment of a word depends on that of the word before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import pyro
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from pyro.distributions import Categorical, TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from pyro_align.distributions import MarkovMixture
from pyro_align.hmm.classes import NULL
from pyro_align.hmm.fertility import Fertility
from pyro_align.hmm.lexicon import Lexicon
from pyro_align.posterior import WordAlignment

Ids = Sequence[int] | NDArray[np.int32]
"""Of the words of a sentence."""


@dataclass(frozen=True)
class Words:
    """Sentence pairs as ids of classes of words, padded with 0.

    Attributes:
        source: ids of source words.
        target: ids of target words.
    """

    source: Int[Tensor, "b s"]
    target: Int[Tensor, "b t"]

    @classmethod
    def from_ids(cls, source: Sequence[Ids], target: Sequence[Ids]) -> Words:
        """A batch of sentences, each at least a word long."""
        return cls(_padded(source), _padded(target))

    @property
    def source_mask(self) -> Bool[Tensor, "b s"]:
        """Which source words are there."""
        return self.source != NULL

    @property
    def target_mask(self) -> Bool[Tensor, "b t"]:
        """Which target words are there."""
        return self.target != NULL

    def turned(self) -> Words:
        """The other direction."""
        return Words(self.target, self.source)


def _padded(rows: Sequence[Ids]) -> Int[Tensor, "b n"]:
    padded = np.full((len(rows), max(map(len, rows))), NULL, dtype=np.int64)
    for row, each in enumerate(rows):
        padded[row, : len(each)] = each
    return torch.from_numpy(padded)


def unpadded(states: Float[Tensor, "t one_more"], source: int, target: int) -> WordAlignment:
    """Probabilities of states as a table, padding cut off.

    Args:
        states: from nothing (first), then from each source word.
        source: number of source words.
        target: number of target words.
    """
    return WordAlignment(weights=states[:target, 1 : 1 + source], null=states[:target, 0])


@final
class Translations(TorchDistribution):
    """Target words given source words, for each pair of a position and a source word.

    Args:
        lexicon: of classes of words.
        source: source words, padded.
        length: number of target positions.
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        lexicon: Lexicon,
        source: Int[Tensor, "b s"],
        length: int,
    ):
        self.lexicon = lexicon
        self.source = source
        batch, width = source.shape
        super().__init__(torch.Size((batch, length, 1 + width)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        """Ids of classes of target words."""
        return constraints.integer_interval(1, self.lexicon.width - 1)

    def log_prob(self, value: Int[Tensor, "b t 1"]) -> Float[Tensor, "b t one_more"]:
        """Log probabilities of one word a position, drawn from nothing or from a source word."""
        return self.lexicon.log_probs(self.source, value.squeeze(-1))

    def sample(self, sample_shape: Any = torch.Size()) -> Int[Tensor, "..."]:  # noqa: B008
        """Draw a word from each."""
        from_null = torch.zeros_like(self.source[:, :1])
        table = self.lexicon.table(torch.cat([from_null, self.source], dim=1))
        drawn = Categorical(table).expand(
            (self.batch_shape[1], self.batch_shape[0], self.batch_shape[2])
        )
        return drawn.sample(sample_shape).transpose(-3, -2)


@final
class HiddenMarkovModel:
    r"""The hidden Markov alignment model of Vogel, Ney & Tillmann (1996), a Pyro program.

    .. math::
        p(z_t = s' | z_{t-1} = s) ∝ w_{s' - s}, \qquad y_t | z_t \sim p(\cdot | x_{z_t})

    Alignments are summed out by :class:`~pyro_align.distributions.MarkovMixture`. Jumps are told
    apart by their width; wider ones than ``max_jump`` count as that wide.

    Args:
        lexicon: which words are translations of which.
        max_jump: the widest jump with a weight of its own.
        null: probability that a target word is drawn from nothing.

    Attributes:
        jumps: weights of widths, from that of ``−max_jump`` on.
        starts: weights of first positions.
        fertility: numbers of links, by which fitting weighs whole alignments, if it has learnt
            them. They are no part of the program.
    """

    def __init__(self, lexicon: Lexicon, max_jump: int, null: float):
        self.lexicon = lexicon
        self.max_jump = max_jump
        self.null = null
        self.jumps = torch.ones(2 * max_jump + 1)
        self.starts = torch.ones(max_jump + 1)
        self.fertility: Fertility | None = None

    def __call__(self, words: Words) -> Tensor:
        """Observe the target words, given the source words."""
        with pyro.plate("sentences", len(words.source)):
            return pyro.sample("target", self.target(words), obs=words.target)

    def target(self, words: Words) -> MarkovMixture:
        """Distribution of the target words, given the source words and their own number."""
        here = words.source_mask
        initial = self.starts[self.distances(here.shape[1])[0]] * here
        transition = self.jumps[self.widths(here.shape[1])] * here.unsqueeze(1)
        return MarkovMixture(
            _normalised(initial),
            _normalised(transition),
            self.null,
            Translations(self.lexicon, words.source, words.target.shape[1]),
            words.target_mask,
            validate_args=False,
        )

    def widths(self, length: int) -> Int[Tensor, "s s"]:
        """Which weight belongs to a jump from one position (row) to another."""
        position = torch.arange(length)
        jump = position - position.unsqueeze(1)
        return jump.clamp(-self.max_jump, self.max_jump) + self.max_jump

    def distances(self, length: int) -> Int[Tensor, "1 s"]:
        """Which weight belongs to a first position."""
        return torch.arange(length).clamp_max(self.max_jump).unsqueeze(0)


def _normalised(weights: Float[Tensor, "*b s"]) -> Float[Tensor, "*b s"]:
    """Their logarithms, the sum 1; of no weight at all, of padding, uniform ones."""
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total, 1.0 / weights.shape[-1]).log()
