"""Agreement of two directions: by the product of their posteriors, or by posterior regularisation.

Both combine the link probabilities of two independent models. The product (Liang, Taskar & Klein
2006) is the probability that both directions have the link. Posterior regularisation (Ganchev,
Graça, Gillenwater & Taskar 2010) finds the pair of distributions over chains that is nearest to the
two posteriors and has the same expected links in both directions.
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
"""Smaller expected numbers of links are replaced by this before taking logarithms."""


def product(
    forward: Float[Tensor, "b t s_null"], reverse: Float[Tensor, "b s t_null"]
) -> list[Tensor]:
    """Replace the link probabilities of both directions by their product."""
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
    r"""Find the distributions over chains nearest to the posteriors whose expected links agree.

    With the expected links :math:`F_{ts}` and :math:`R_{ts}` of the two directions,

    .. math::
        \min_{q_F, q_R} KL(q_F \| p_F) + KL(q_R \| p_R) + c \sum_{ts} |F_{ts} - R_{ts}|
            + c \sum_{s} \max(0, \textstyle\sum_t F_{ts} - m)
            + c \sum_{t} \max(0, \textstyle\sum_s R_{ts} - m),

    where the last two sums are included if ``most`` is given. The dual has a variable for each
    term, ``λ`` within ``±c`` and ``μ`` between ``−c`` and 0. They are added to the scores of links
    (``−λ`` in the reverse direction), so that the distributions after each step are exact
    posteriors of chains. A step adds half of ``log R/F`` to each ``λ``, and half of ``log m/E`` to
    the ``μ`` of a word with ``E`` expected links, and clips them to their bounds. This is iterative
    scaling, whose only fixed point is the optimum.

    Args:
        observed: a batch in both directions.
        found: posteriors of the batch.
        projection: settings; ``price`` is ``c`` and ``most`` is ``m``.

    Returns:
        The distributions of both directions; their ``log_prob`` are evidence lower bounds.
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
