"""Precision of log probabilities."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_fp32(tensor: Tensor) -> Tensor:
    """Convert half precision to fp32 and return other tensors unchanged.

    Under autocast a matrix product returns bf16, whose 8-bit mantissa is too small for log
    probabilities that are summed over a sentence.
    """
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor
