"""Comparison of alignment posteriors of the same sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyro_align.errors import ConfigError, UserError, nearest
from pyro_align.posterior.alignment_posterior import AlignmentPosterior
from pyro_align.posterior.sentence import KINDS, Floats, entropy

if TYPE_CHECKING:
    from pandas import DataFrame


def compare(*posteriors: AlignmentPosterior, by: str | None = None) -> DataFrame:
    """Return a table of all target positions, sorted by disagreement, largest first.

    Columns:

    - ``sentence``, ``target_position``, ``target_token``;
    - ``prior_divergence``, ``guide_divergence``, ``posterior_divergence``: the Jensen–Shannon
      divergence of the distributions in nats, ``H(mean) − mean of H``, between 0 and the logarithm
      of their number; only for kinds that all posteriors have;
    - for each posterior, named by its title, ``link``: the most probable source token under the
      kind ``by``, and ``gap``: KL(guide ‖ exact posterior), missing without a guide.

    Args:
        posteriors: two or more posteriors of the same sentence pairs and tokens.
        by: kind to sort by; None for ``guide`` if all have it, else ``posterior``, else ``prior``.

    Raises:
        UserError: if there are fewer than two, their sentences differ, or not all have the kind.
    """
    from pyro_align.posterior.frames import joined

    check_same_sentences(posteriors)
    common = [kind for kind in KINDS if all(kind in each.kinds for each in posteriors)]
    if by is None:
        by = next(kind for kind in ("guide", "posterior", "prior") if kind in common)
    if by not in common:
        raise ConfigError(f"not every posterior has a {by!r}: {nearest(by, common)}")
    columns: dict[str, list[NDArray[np.generic]]] = {}

    def add(name: str, values: NDArray[np.generic]) -> None:
        columns.setdefault(name, []).append(values)

    titles = distinct_titles(posteriors)
    for number, sentences in enumerate(zip(*posteriors, strict=True)):
        rows = len(sentences[0].target)
        add("sentence", np.full(rows, number))
        add("target_position", np.arange(rows))
        add("target_token", np.array(sentences[0].target, dtype=object))
        for kind in common:
            add(f"{kind}_divergence", jensen_shannon([one.matrix(kind) for one in sentences]))
        for title, one in zip(titles, sentences, strict=True):
            best = one.matrix(by).argmax(-1)
            add(f"link: {title}", np.array(one.source, dtype=object)[best])
        for title, one in zip(titles, sentences, strict=True):
            add(f"gap: {title}", np.full(rows, np.nan) if one.gap is None else one.gap)
    return joined(columns).sort_values(
        f"{by}_divergence", ascending=False, kind="stable", ignore_index=True
    )


def jensen_shannon(matrices: Sequence[Floats]) -> NDArray[np.float64]:
    """Compute the Jensen–Shannon divergence of each row of probability matrices, in nats."""
    stack = np.stack(matrices).astype(np.float64)
    mean = np.mean([entropy(matrix) for matrix in stack], axis=0)
    return np.maximum(entropy(stack.mean(0)) - mean, 0.0)


def distinct_titles(posteriors: Sequence[AlignmentPosterior]) -> list[str]:
    """Return the titles of posteriors, numbered if they are not distinct."""
    titles = [each.title for each in posteriors]
    if len(set(titles)) == len(titles):
        return titles
    return [f"{number} {title}".strip() for number, title in enumerate(titles, start=1)]


def check_same_sentences(posteriors: Sequence[AlignmentPosterior]) -> None:
    """Check that there are at least two posteriors with the same sentences and tokens.

    Raises:
        UserError: if not; the message names the first sentence that differs.
    """
    if len(posteriors) < 2:
        raise UserError(f"a comparison needs two or more posteriors, got {len(posteriors)}")
    first = posteriors[0]
    for number, other in enumerate(posteriors[1:], start=2):
        if len(other) != len(first):
            raise UserError(
                f"posterior {number} has {len(other)} sentence pairs, but the first has "
                f"{len(first)}: compare posteriors of the same sentences"
            )
        for index, (one, two) in enumerate(zip(first, other, strict=True)):
            if (one.source, one.target) != (two.source, two.target):
                remedy = (
                    ""
                    if first.units == other.units == "words"
                    else (
                        "; to compare posteriors with different vocabularies, merge tokens to "
                        "words: compare(a.words(), b.words())"
                    )
                )
                raise UserError(
                    f"the tokens of sentence {index} differ between posterior {number} and the "
                    f"first: {' '.join(two.target)!r} and {' '.join(one.target)!r}, translated "
                    f"from {' '.join(two.source)!r} and {' '.join(one.source)!r}{remedy}"
                )
    if not first:
        raise UserError("the posteriors contain no sentence pairs")
