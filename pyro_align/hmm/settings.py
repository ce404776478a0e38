"""`Settings`: sizes, priors and numbers of passes of the hidden Markov aligner."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

Passes = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Settings(BaseModel):
    """What :func:`~pyro_align.hmm.fit` is told; the defaults are for any pair of languages.

    Attributes:
        prefix: characters of a word that are looked at.
        sparsity: see :class:`~pyro_align.hmm.Lexicon`.
        spelling: likewise.
        null: probability that a target word is drawn from nothing.
        max_jump: the widest jump with a weight of its own.
        jump_prior: pseudo-count of each width.
        independent: first passes, in which jumps of any width are alike, as in IBM model 1.
        markov: passes after them, in which the widths of jumps are learnt, and in which a link
            counts as often as both directions expect it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: Annotated[int, Field(ge=1)] = 4
    sparsity: Positive = 1e-3
    spelling: Annotated[float, Field(ge=0)] = 3.0
    null: Annotated[float, Field(gt=0, lt=1)] = 0.05
    max_jump: Annotated[int, Field(ge=1)] = 20
    jump_prior: Positive = 0.5
    independent: Passes = 2
    markov: Passes = 3

    @classmethod
    def fast(cls) -> Self:
        """Fewer passes, at some loss of quality."""
        return cls(independent=1, markov=2)
