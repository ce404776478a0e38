"""Chunk sizes for logits over a vocabulary."""

from __future__ import annotations

import torch

ELEMENTS = {"cpu": 1 << 20, "cuda": 1 << 27}
"""Number of logits per chunk, by device: on a CPU small enough for its cache (4 MiB in fp32), on a
GPU large enough to keep it busy (512 MiB)."""

ROWS = 256
"""Minimum number of rows per chunk: smaller matrix products cost up to twice as much per row."""

KEPT_ELEMENTS = 1 << 26
"""Maximum number of values kept for the backward pass (256 MiB in fp32); others are recomputed."""


def chunk_rows(vocabulary: int, device: torch.device) -> int:
    """Return the number of rows per chunk of logits ``(row, vocabulary)``."""
    return max(ROWS, ELEMENTS.get(device.type, 1 << 24) // vocabulary)
