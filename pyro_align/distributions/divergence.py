"""Kullback–Leibler divergences that stay finite."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical
from torch.distributions import kl_divergence as torch_kl_divergence


def categorical_kl(
    log_q: Float[Tensor, "*shape"], log_p: Float[Tensor, "*shape"], dim: int = -1
) -> Float[Tensor, "*rest"]:
    """``Σ_s q(s) (log q(s) − log p(s))`` in nats, from normalised log probabilities.

    A position that ``q`` gives no probability counts for nothing, whatever ``p`` gives it, and has
    no gradient. Computed from logarithms, the sum is finite also where a probability of ``p`` is
    too small for its floating-point type; torch's ``kl_divergence`` of two ``Categorical``
    distributions is infinite there.

    Args:
        log_q: log probabilities of ``q``.
        log_p: log probabilities of ``p``, broadcast against ``log_q``.
        dim: dimension of the positions ``s``.
    """
    q = log_q.exp()
    # Filled, not multiplied by zero: a difference may be infinite or NaN where q is zero.
    return (q * (log_q - log_p).masked_fill(q == 0, 0.0)).sum(dim)


def kl_divergence(q: Any, p: Any) -> Tensor:
    """``KL(q ‖ p)`` in closed form, for categorical distributions by :func:`categorical_kl`.

    Returns:
        A tensor of the batch shape.

    Raises:
        NotImplementedError: if torch knows no closed form.
    """
    if isinstance(q, Categorical) and isinstance(p, Categorical):
        return categorical_kl(q.logits, p.logits)
    return torch_kl_divergence(q, p)
