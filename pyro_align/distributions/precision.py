"""Precision of log probabilities."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_fp32(tensor: Tensor) -> Tensor:
    """Half precision widened to fp32, anything else as it is.

    Under autocast a matrix product comes out in bf16, whose 8 bits of mantissa are too few for a
    logarithm that is summed over a sentence.
    """
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
