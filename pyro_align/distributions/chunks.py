"""How many logits over a vocabulary exist at a time, and how many are kept."""

from __future__ import annotations

import torch

ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 27}
"""Logits of a chunk, by device: on a CPU what stays near its cache (4 MiB in fp32), on a GPU what
keeps it busy (512 MiB)."""

ROWS = 256
"""But never fewer rows: a matrix product of fewer costs more a row, up to twice as much."""

KEPT_ELEMENTS = 1 << 26
"""Largest number of values that are kept for the backward pass (256 MiB in fp32); more are computed
again."""


def chunk_rows(vocabulary: int, device: torch.device) -> int:
    """Rows of a chunk of logits ``(row, vocabulary)``."""
    return max(ROWS, ELEMENTS.get(device.type, 1 << 24) // vocabulary)
