"""What stands out among the posteriors of many sentences."""

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
        before: source position that the one thinks best.
        after: source position that the other thinks best.
        distance: total variation of the two, from 0 to 1.
    """

    sentence: int
    target: int
    before: int
    after: int
    distance: float


def certainty(posterior: AlignmentPosterior) -> list[tuple[int, float]]:
    """Sentences and their mean entropies in nats a target token, the most certain first.

    Entropies are those of the exact posterior; of the guide where there is none, else of the prior.
    """
    kind = posterior.kinds[-1] if "posterior" not in posterior.kinds else "posterior"
    means = [float(np.mean(getattr(sentence, f"{kind}_entropy"))) for sentence in posterior]
    return sorted(enumerate(means), key=lambda found: (found[1], found[0]))


def disagreements(
    posterior: AlignmentPosterior, before: str, after: str, most: int
) -> list[Disagreement]:
    """Target tokens whose two distributions are farthest apart, these first.

    Args:
        posterior: the sentences.
        before: a kind, such as ``prior``.
        after: another, such as ``posterior``.
        most: how many to give.
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
