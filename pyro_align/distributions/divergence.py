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
    """Compute ``Σ_s q(s) (log q(s) − log p(s))`` in nats, from normalised log probabilities.

    A position with ``q(s) = 0`` contributes zero and has no gradient, whatever ``p(s)`` is. The sum
    is computed from log probabilities, so that it is finite even if a probability of ``p``
    underflows; PyTorch's ``kl_divergence`` of two ``Categorical`` distributions is infinite then.

    Args:
        log_q: log probabilities of ``q``.
        log_p: log probabilities of ``p``, broadcast against ``log_q``.
        dim: dimension of the positions ``s``.
    """
    q = log_q.exp()
    # Not multiplied by zero: the difference may be infinite or NaN where q is zero.
    return (q * (log_q - log_p).masked_fill(q == 0, 0.0)).sum(dim)


def kl_divergence(q: Any, p: Any) -> Tensor:
    """Compute ``KL(q ‖ p)`` in closed form, with :func:`categorical_kl` for two categoricals.

    Returns:
        A tensor of the batch shape.

    Raises:
        NotImplementedError: if PyTorch has no closed form for the two distributions.
    """
    if isinstance(q, Categorical) and isinstance(p, Categorical):
        return categorical_kl(q.logits, p.logits)
    return torch_kl_divergence(q, p)
