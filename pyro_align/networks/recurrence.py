"""LSTM and GRU with one interface: a state is a tuple of ``(layer, batch, hidden)`` tensors."""

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
        self.layers = _layers(cell, input_size, hidden, layers, bidirectional=True)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        inputs: Float[Tensor, "batch length input"],
        lengths: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch length output"]:
        """Outputs of both directions side by side, zero on padding; ``lengths`` on the CPU."""
        return (self._packed if inputs.is_cuda else self._reversed)(inputs, lengths)

    def _packed(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Both directions at once, as cuDNN computes them."""
        lengths, order = lengths.sort(descending=True)
        # Sorted here: PyTorch would wait for the device when it moves the order there.
        back = order.argsort().to(inputs.device, non_blocking=True)
        ordered = inputs.index_select(0, order.to(inputs.device, non_blocking=True))
        packed = pack_padded_sequence(ordered, lengths, batch_first=True)
        for number, layer in enumerate(self.layers):
            if number:
                packed = packed._replace(data=self.dropout(packed.data))
            packed, _ = layer(packed)
        padded, _ = pad_packed_sequence(packed, batch_first=True, total_length=inputs.shape[1])
        return padded.index_select(0, back)

    def _reversed(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Each direction by itself, the backward one over reversed sentences.

        Neither then meets padding before the sentence is over. On a CPU a packed network keeps
        its steps apart for the backward pass: a training step takes half as long again.
        """
        count, width = inputs.shape[:2]
        place, length = torch.arange(width), lengths.unsqueeze(1)
        reversed_place = torch.where(place < length, length - 1 - place, place)
        rows = (reversed_place + width * torch.arange(count).unsqueeze(1)).flatten()
        rows = rows.to(inputs.device)

        def reverse(vectors: Tensor) -> Tensor:
            return vectors.flatten(0, 1).index_select(0, rows).view_as(vectors)

        def directed(layer: nn.RNNBase, vectors: Tensor, weights: tuple[Tensor, ...]) -> Tensor:
            zero = vectors.new_zeros(1, count, layer.hidden_size)
            settings = (weights, True, 1, 0.0, self.training, False, True)  # as nn.LSTM gives them
            if isinstance(layer, nn.LSTM):
                return torch.lstm(vectors, (zero, zero), *settings)[0]
            return torch.gru(vectors, zero, *settings)[0]

        outputs = inputs
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.RNNBase)
            if number:
                outputs = self.dropout(outputs)
            forward, backward = map(tuple, layer.all_weights)
            behind = reverse(directed(layer, reverse(outputs), backward))
            outputs = torch.cat([directed(layer, outputs, forward), behind], -1)
        return outputs * (place < length).to(inputs.device).unsqueeze(-1)


class ForwardRecurrence(nn.Module):
    """A left-to-right network that can be run whole or resumed from a state.

    Args: as :class:`BidirectionalRecurrence`.
    """

    def __init__(self, cell: Cell, input_size: int, hidden: int, layers: int, dropout: float):
        super().__init__()
        self.layers = _layers(cell, input_size, hidden, layers, bidirectional=False)
        self.dropout = nn.Dropout(dropout)
        self.cell = cell

    def initial(self, hidden: Float[Tensor, "layer batch hidden"]) -> RecurrentState:
        """A state that starts from ``hidden``; an LSTM's cells start at zero."""
        return (hidden, torch.zeros_like(hidden)) if self.cell == "lstm" else (hidden,)

    def forward(
        self, inputs: Float[Tensor, "batch length input"], state: RecurrentState
    ) -> tuple[Float[Tensor, "batch length hidden"], RecurrentState]:
        """Outputs at every position and the state after the last."""
        # Of a single position, preparing a whole sequence would take up to half of the time.
        run = self._step if inputs.shape[1] == 1 else self._run
        outputs, after = inputs, []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.RNNBase)
            if number:
                outputs = self.dropout(outputs)
            outputs, behind = run(layer, outputs, tuple(each[number] for each in state))
            after.append(behind)
        return outputs, tuple(torch.stack(each) for each in zip(*after, strict=True))

    def _run(
        self, layer: nn.RNNBase, inputs: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer over a whole sequence."""
        before = tuple(each.unsqueeze(0) for each in state)
        outputs, after = layer(inputs, before if self.cell == "lstm" else before[0])
        return outputs, tuple(
            each.squeeze(0) for each in (after if self.cell == "lstm" else (after,))
        )

    def _step(
        self, layer: nn.RNNBase, inputs: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer at a single position."""
        (weights,) = layer.all_weights
        after: tuple[Tensor, ...]
        if self.cell == "lstm":
            after = torch.lstm_cell(inputs.squeeze(1), list(state), *weights)
        else:
            after = (torch.gru_cell(inputs.squeeze(1), *state, *weights),)
        return after[0].unsqueeze(1), after


def _layers(
    cell: Cell, input_size: int, hidden: int, layers: int, *, bidirectional: bool
) -> nn.ModuleList:
    """One network a layer: between the layers of one, cuDNN draws dropout from a stream of its own,
    which no seed reaches after its first use."""
    sizes = [input_size, *[hidden * (1 + bidirectional)] * (layers - 1)]
    return nn.ModuleList(
        _CELLS[cell](size, hidden, batch_first=True, bidirectional=bidirectional) for size in sizes
    )
