"""LSTM and GRU behind one face: the state is a tuple of ``(layer, batch, hidden)`` tensors."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import dropout
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
        return (self._packed if inputs.is_cuda else self._turned)(inputs, lengths)

    def _packed(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """All layers and directions at once, as cuDNN has them."""
        lengths, order = lengths.sort(descending=True)
        # Sorted here, for PyTorch would wait for the device when it moves the order there.
        back = order.argsort().to(inputs.device, non_blocking=True)
        ordered = inputs.index_select(0, order.to(inputs.device, non_blocking=True))
        outputs, _ = self.network(pack_padded_sequence(ordered, lengths, batch_first=True))
        padded, _ = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])
        return padded.index_select(0, back)

    def _turned(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Every direction by itself, the backward one over sentences that are turned around.

        Neither then meets padding before the sentence is over. On a CPU a packed network keeps
        its steps apart for the backward pass: a step of training takes half as long again.
        """
        network, (count, width) = self.network, inputs.shape[:2]
        place, length = torch.arange(width), lengths.unsqueeze(1)
        turned = torch.where(place < length, length - 1 - place, place)
        rows = (turned + width * torch.arange(count).unsqueeze(1)).flatten().to(inputs.device)

        def turn(vectors: Tensor) -> Tensor:
            return vectors.flatten(0, 1).index_select(0, rows).view_as(vectors)

        def directed(vectors: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
            zero = vectors.new_zeros(1, count, network.hidden_size)
            settings = (weights, True, 1, 0.0, self.training, False, True)  # as nn.LSTM gives them
            if isinstance(network, nn.LSTM):
                return torch.lstm(vectors, (zero, zero), *settings)[0]
            return torch.gru(vectors, zero, *settings)[0]

        outputs = inputs
        for layer in range(network.num_layers):
            if layer:
                outputs = dropout(outputs, network.dropout, self.training)
            forward, backward = map(tuple, network.all_weights[2 * layer : 2 * layer + 2])
            behind = turn(directed(turn(outputs), backward))
            outputs = torch.cat([directed(outputs, forward), behind], -1)
        return outputs * (place < length).to(inputs.device).unsqueeze(-1)


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
        if inputs.shape[1] == 1:
            return self._step(inputs, state)
        is_lstm = isinstance(self.network, nn.LSTM)
        outputs, after = self.network(inputs, state if is_lstm else state[0])
        return outputs, (after if is_lstm else (after,))

    def _step(self, inputs: Tensor, state: RecurrentState) -> tuple[Tensor, RecurrentState]:
        """A single position; what prepares a whole sequence would take up to half of the time."""
        network, outputs = self.network, inputs.squeeze(1)
        after: list[tuple[Tensor, ...]] = []
        for layer, weights in enumerate(network.all_weights):
            if layer:
                outputs = dropout(outputs, network.dropout, self.training)
            before = [each[layer] for each in state]
            if isinstance(network, nn.LSTM):
                after.append(torch.lstm_cell(outputs, before, *weights))
            else:
                after.append((torch.gru_cell(outputs, *before, *weights),))
            outputs = after[-1][0]
        return outputs.unsqueeze(1), tuple(torch.stack(each) for each in zip(*after, strict=True))
