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
    """A bidirectional network over padded sentences whose outputs do not depend on the padding.

    Args:
        cell: ``lstm`` or ``gru``.
        input_size: size of an input vector.
        hidden: number of units per direction; outputs have size ``2 * hidden``.
        layers: number of layers.
        dropout: rate between layers.
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
        """Compute outputs of both directions, concatenated and zero on padding.

        ``lengths`` must be on the CPU.
        """
        return (self._packed if inputs.is_cuda else self._reversed)(inputs, lengths)

    def _packed(self, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Run both directions at once with cuDNN."""
        lengths, order = lengths.sort(descending=True)
        # Sorted here, because pack_padded_sequence would synchronise with the GPU.
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
        """Run each direction separately, the backward direction over reversed sentences.

        Padding then comes after the sentence in both directions. On a CPU a training step with
        packed sequences takes one and a half times as long.
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
            settings = (weights, True, 1, 0.0, self.training, False, True)  # as in nn.LSTM
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
    """A left-to-right network that can be resumed from a state.

    For the arguments see :class:`BidirectionalRecurrence`.
    """

    def __init__(self, cell: Cell, input_size: int, hidden: int, layers: int, dropout: float):
        super().__init__()
        self.layers = _layers(cell, input_size, hidden, layers, bidirectional=False)
        self.dropout = nn.Dropout(dropout)
        self.cell = cell

    def initial(self, hidden: Float[Tensor, "layer batch hidden"]) -> RecurrentState:
        """Return the state with the given hidden states; LSTM cells are zero."""
        return (hidden, torch.zeros_like(hidden)) if self.cell == "lstm" else (hidden,)

    def forward(
        self, inputs: Float[Tensor, "batch length input"], state: RecurrentState
    ) -> tuple[Float[Tensor, "batch length hidden"], RecurrentState]:
        """Compute outputs at every position and the state after the last."""
        # For a single position the overhead of a sequence takes up to half of the time.
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
        """Run one layer over a whole sequence."""
        before = tuple(each.unsqueeze(0) for each in state)
        outputs, after = layer(inputs, before if self.cell == "lstm" else before[0])
        return outputs, tuple(
            each.squeeze(0) for each in (after if self.cell == "lstm" else (after,))
        )

    def _step(
        self, layer: nn.RNNBase, inputs: Tensor, state: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run one layer at a single position."""
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
    """Create one single-layer network per layer.

    cuDNN draws dropout between layers from its own random state, which cannot be reseeded.
    """
    sizes = [input_size, *[hidden * (1 + bidirectional)] * (layers - 1)]
    return nn.ModuleList(
        _CELLS[cell](size, hidden, batch_first=True, bidirectional=bidirectional) for size in sizes
    )
