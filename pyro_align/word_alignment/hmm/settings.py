"""`Settings`: sizes, priors and numbers of passes of the hidden Markov aligner."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

Passes = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Projection(BaseModel):
    """Soft constraints of :func:`~pyro_align.word_alignment.hmm.project`.

    Attributes:
        price: of each expected link in which two directions differ; ``inf`` for constraints.
        most: links that any word may expect to take part in when the other side chooses; more have
            the same price. None for any number.
        steps: of the dual; each costs about as much as inferring the chains once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    price: Positive = 1.0
    most: Positive | None = None
    steps: Passes = 4


class Settings(BaseModel):
    """Settings of :func:`~pyro_align.word_alignment.hmm.fit`, with defaults for any language.

    Attributes:
        prefix: characters of a word that are looked at.
        sparsity: see :class:`~pyro_align.word_alignment.hmm.Lexicon`.
        spelling: likewise.
        null: probability that a target word is drawn from nothing.
        max_jump: the widest jump with a weight of its own.
        jump_prior: pseudo-count of each width.
        fertility: power of the learnt prior on numbers of links,
            :class:`~pyro_align.word_alignment.hmm.Fertility`; 0 for none.
        regularise: whether the links given at the end are those of
            :func:`~pyro_align.word_alignment.hmm.project`.
        projection: settings of that projection.
        independent: first passes, in which jumps of any width are alike, as in IBM model 1.
        markov: passes after them, in which the widths of jumps are learnt, and in which a link
            counts only as far as both directions expect it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: Annotated[int, Field(ge=1)] = 4
    sparsity: Positive = 1e-3
    spelling: Annotated[float, Field(ge=0)] = 3.0
    null: Annotated[float, Field(gt=0, lt=1)] = 0.05
    max_jump: Annotated[int, Field(ge=1)] = 20
    jump_prior: Positive = 0.5
    fertility: Annotated[float, Field(ge=0)] = 0.5
    regularise: bool = False
    projection: Projection = Projection()
    independent: Passes = 2
    markov: Passes = 3

    @classmethod
    def fast(cls) -> Self:
        """Fewer passes, at some loss of quality."""
        return cls(independent=1, markov=2)
