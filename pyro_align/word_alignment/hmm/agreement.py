"""Agreement of two directions: by the product of their posteriors, or by posterior regularisation.

Both make one of what two models that know nothing of each other say about the same links. The
product (Liang, Taskar & Klein 2006) counts a link as often as both expect it. Posterior
regularisation (Ganchev, Graça, Gillenwater & Taskar 2010) looks for the pair of distributions over
chains that is nearest to the two posteriors and expects the same links in both directions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pyro_align.distributions import ChainPosterior
from pyro_align.word_alignment.hmm.observed import Observed
from pyro_align.word_alignment.hmm.settings import Projection

FLOOR = 1e-8
"""Expected numbers of links below this are taken as this, so that they have a logarithm."""


def product(
    forward: Float[Tensor, "b t s_null"], reverse: Float[Tensor, "b s t_null"]
) -> list[Tensor]:
    """Link probabilities of two directions replaced by their product."""
    both = forward[..., 1:] * reverse[..., 1:].transpose(1, 2)
    return [
        torch.cat([forward[..., :1], both], dim=-1),
        torch.cat([reverse[..., :1], both.transpose(1, 2)], dim=-1),
    ]


def project(
    observed: Sequence[Observed],
    found: Sequence[ChainPosterior],
    projection: Projection,
) -> list[ChainPosterior]:
    r"""The pair of distributions over chains that agrees, or nearly so, nearest to the posteriors.

    With the expected links :math:`F_{ts}` and :math:`R_{ts}` of the two directions,

    .. math::
        \min_{q_F, q_R} KL(q_F \| p_F) + KL(q_R \| p_R) + c \sum_{ts} |F_{ts} - R_{ts}|
            + c \sum_{s} \max(0, \textstyle\sum_t F_{ts} - m)
            + c \sum_{t} \max(0, \textstyle\sum_s R_{ts} - m),

    with the last two sums if ``most`` is given. The dual has a variable for each term, ``λ`` within
    ``±c`` and ``μ`` between ``−c`` and 0. They are added to the scores of links, ``−λ`` in the
    reverse direction, so that every step is an exact posterior of chains. In a step half of
    ``log R/F`` is added to each ``λ``, and half of ``log m/E`` to the ``μ`` of a word that expects
    ``E`` links; then they are cut to their bounds. That is iterative scaling, which stands still at
    the optimum and there alone.

    Args:
        observed: a batch in both directions.
        found: its posteriors.
        projection: ``price`` is ``c``, ``most`` is ``m``.

    Returns:
        What was found in both directions, ``log_prob`` the evidence lower bounds.
    """
    states = [each.states[..., 1:] for each in found]
    links = torch.zeros_like(states[0])
    caps = [torch.zeros_like(each[:, :1]) for each in states]
    result = list(found)
    price, most = projection.price, projection.most
    for _ in range(projection.steps):
        forward, reverse = (each.clamp_min(FLOOR).log() for each in states)
        links = (links + 0.5 * (reverse.transpose(1, 2) - forward)).clamp(-price, price)
        if most is not None:
            expected = [each.sum(1, keepdim=True).clamp_min(FLOOR) for each in states]
            caps = [
                (cap - 0.5 * (each / most).log()).clamp(-price, 0.0)
                for cap, each in zip(caps, expected, strict=True)
            ]
        shifts = links + caps[0], caps[1] - links.transpose(1, 2)
        result = [each.posterior(shift) for each, shift in zip(observed, shifts, strict=True)]
        states = [each.states[..., 1:] for each in result]
    return result
