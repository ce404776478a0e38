"""LSTM and GRU behind one face: the state is a tuple of ``(layer, batch, hidden)`` tensors."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

RecurrentState = tuple[Float[Tensor, "layer batch hidden"], ...]
Cell = Literal["lstm", "gru"]

_CELLS: dict[str, type[nn.LSTM] | type[nn.GRU]] = {"lstm": nn.LSTM, "gru": nn.GRU}


class BidirectionalRecurrence(nn.Module):
    """A bidirectional network over padded sentences that never reads the padding.

    Args:
        cell: ``lstm`` or ``gru``.
        input_size: size of one input vector.
        hidden: units each direction; an output has ``2 * hidden``.
        layers: number of layers.
        dropout: between layers.
    """

    def __init__(self, cell: Cell, input_size: int, hidden: int, layers: int, dropout: float):
        super().__init__()
        self.network = _CELLS[cell](
            input_size,
            hidden,
            layers,
            batch_first=True,
            bidirectional=True,
            dropout=dropout if layers > 1 else 0.0,
        )

    def forward(
        self,
        inputs: Float[Tensor, "batch length input"],
        lengths: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch length output"]:
        """Outputs of both directions side by side, zero on padding; ``lengths`` on the CPU."""
        packed = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = self.network(packed)
        padded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])
        return padded


class ForwardRecurrence(nn.Module):
    """A left-to-right network that can be run whole or resumed from a state.

    Args: as :class:`BidirectionalRecurrence`.
    """

    def __init__(self, cell: Cell, input_size: int, hidden: int, layers: int, dropout: float):
        super().__init__()
        self.network = _CELLS[cell](
            input_size,
            hidden,
            layers,
            batch_first=True,
            dropout=dropout if layers > 1 else 0.0,
        )

    def initial(self, hidden: Float[Tensor, "layer batch hidden"]) -> RecurrentState:
        """A state that starts from ``hidden``; an LSTM's cells start at zero."""
        is_lstm = isinstance(self.network, nn.LSTM)
        return (hidden, torch.zeros_like(hidden)) if is_lstm else (hidden,)

    def forward(
        self, inputs: Float[Tensor, "batch length input"], state: RecurrentState
    ) -> tuple[Float[Tensor, "batch length hidden"], RecurrentState]:
        """Outputs at every position and the state after the last."""
        is_lstm = isinstance(self.network, nn.LSTM)
        outputs, after = self.network(inputs, state if is_lstm else state[0])
        return outputs, (after if is_lstm else (after,))
