"""Dilated convolutions over sentences."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import pad

from pyro_align.nn.encoder import Encoder


class DilatedConvolutions(nn.Module):
    """Residual layers of convolutions whose dilation doubles from layer to layer.

    Args:
        size: number of units.
        layers: number of layers; the dilations are 1, 2, 4, ….
        kernel: width of a convolution.
        dropout: rate within layers.
        is_causal: whether an output depends on inputs up to its own position only.
    """

    def __init__(self, size: int, layers: int, kernel: int, dropout: float, *, is_causal: bool):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(size) for _ in range(layers))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(size, size, kernel, dilation=2**number) for number in range(layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.is_causal = is_causal
        self.reach = 1 + (kernel - 1) * (2**layers - 1)
        """Number of inputs that an output depends on."""

    def forward(
        self,
        units: Float[Tensor, "batch length size"],
        mask: Float[Tensor, "batch length 1"] | None = None,
    ) -> Float[Tensor, "batch length size"]:
        """Compute outputs at every position.

        Args:
            units: the inputs.
            mask: 1 on real positions, 0 on padding; None without padding.
        """
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            assert isinstance(convolution, nn.Conv1d)
            read = torch.relu(norm(units))
            if mask is not None:
                read = read * mask
            around = convolution.dilation[0] * (convolution.kernel_size[0] - 1)
            left = around if self.is_causal else around // 2
            padded = pad(read.transpose(1, 2), (left, around - left))
            units = units + self.dropout(convolution(padded).transpose(1, 2))
        return units


class ConvolutionalEncoder(Encoder):
    """Dilated convolutions over the whole sentence.

    Args:
        embedding: size of an embedding.
        size: number of units.
        layers: number of layers.
        kernel: width of a convolution.
        dropout: rate within layers.
    """

    def __init__(self, embedding: int, size: int, layers: int, kernel: int, dropout: float):
        super().__init__(size)
        self.read = nn.Linear(embedding, size)
        self.convolutions = DilatedConvolutions(size, layers, kernel, dropout, is_causal=False)

    def forward(
        self, embedded: Float[Tensor, "batch source embedding"], lengths: Int[Tensor, " batch"]
    ) -> Tensor:
        """Compute annotations, zero on padding; ``lengths`` must be on the CPU."""
        place = torch.arange(embedded.shape[1])
        mask = (place < lengths.unsqueeze(1)).to(embedded).unsqueeze(-1)
        annotations: Tensor = self.convolutions(self.read(embedded), mask) * mask
        return annotations
