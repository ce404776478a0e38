"""Find notable sentences and tokens among many posteriors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyro_align.posterior import AlignmentPosterior


@dataclass(frozen=True)
class Disagreement:
    """A target token about which two distributions disagree.

    Attributes:
        sentence: index of the sentence pair.
        target: target position.
        before: best source position of the first distribution.
        after: best source position of the second distribution.
        distance: total variation distance between the two, from 0 to 1.
    """

    sentence: int
    target: int
    before: int
    after: int
    distance: float


def certainty(posterior: AlignmentPosterior) -> list[tuple[int, float]]:
    """Rank sentences by mean entropy in nats per target token, the most certain first.

    Entropies are those of the exact posterior if available, otherwise of the guide or the prior.
    """
    kind = posterior.kinds[-1] if "posterior" not in posterior.kinds else "posterior"
    means = [float(np.mean(getattr(sentence, f"{kind}_entropy"))) for sentence in posterior]
    return sorted(enumerate(means), key=lambda found: (found[1], found[0]))


def disagreements(
    posterior: AlignmentPosterior, before: str, after: str, most: int
) -> list[Disagreement]:
    """Return the target tokens whose two distributions differ most, in decreasing order.

    Args:
        posterior: posteriors of the sentences.
        before: kind of the first distribution, such as ``prior``.
        after: kind of the second distribution, such as ``posterior``.
        most: maximum number of tokens.
    """
    found = []
    for number, sentence in enumerate(posterior):
        one, other = sentence.matrix(before), sentence.matrix(after)
        distances = 0.5 * np.abs(other - one).sum(-1, dtype=np.float64)
        found += [
            Disagreement(
                number, row, int(one[row].argmax()), int(other[row].argmax()), float(distances[row])
            )
            for row in np.argsort(-distances, kind="stable")[:most].tolist()
        ]
    return sorted(found, key=lambda item: (-item.distance, item.sentence, item.target))[:most]
