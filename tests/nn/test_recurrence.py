"""Recurrent networks ignore padding and can be resumed."""

from __future__ import annotations

import pytest
import torch

from pyro_align.nn.recurrence import BidirectionalRecurrence, ForwardRecurrence

CELLS = ["lstm", "gru"]


def stock(network, bidirectional):
    """One multi-layer PyTorch network with the same weights."""
    kind = type(network.layers[0])
    first = network.layers[0]
    whole = kind(
        first.input_size,
        first.hidden_size,
        len(network.layers),
        batch_first=True,
        bidirectional=bidirectional,
    ).double()
    weights = {
        name.replace("_l0", f"_l{number}"): weight
        for number, layer in enumerate(network.layers)
        for name, weight in layer.state_dict().items()
    }
    whole.load_state_dict(weights)
    return whole


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
def test_bidirectional_outputs_do_not_depend_on_other_sentences(cell, layers):
    network = BidirectionalRecurrence(cell, 4, 3, layers, dropout=0.0).double()
    lengths = torch.tensor([2, 5, 1])
    inputs = torch.randn(3, 7, 4, dtype=torch.float64)
    outputs = network(inputs, lengths)
    assert outputs.shape == (3, 7, 6)
    for row, length in enumerate(lengths.tolist()):
        alone, _ = stock(network, bidirectional=True)(inputs[row : row + 1, :length])
        torch.testing.assert_close(outputs[row, :length], alone[0])
        assert (outputs[row, length:] == 0).all()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layers", [1, 2])
def test_a_forward_network_can_be_resumed(cell, layers):
    network = ForwardRecurrence(cell, 4, 3, layers, dropout=0.0).double()
    inputs = torch.randn(2, 6, 4, dtype=torch.float64)
    state = network.initial(torch.randn(layers, 2, 3, dtype=torch.float64))
    whole, last = network(inputs, state)
    expected, _ = stock(network, False)(inputs, state if cell == "lstm" else state[0])
    torch.testing.assert_close(whole, expected)
    parts = []
    for part in inputs.split([2, 1, 3], dim=1):
        outputs, state = network(part, state)
        parts.append(outputs)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    for resumed, expected in zip(state, last, strict=True):
        torch.testing.assert_close(resumed, expected)


def test_lstm_cells_are_zero_initially():
    hidden = torch.randn(1, 2, 3)
    state = ForwardRecurrence("lstm", 4, 3, 1, 0.0).initial(hidden)
    assert torch.equal(state[0], hidden)
    assert (state[1] == 0).all()
    assert len(ForwardRecurrence("gru", 4, 3, 1, 0.0).initial(hidden)) == 1


@pytest.mark.parametrize("cell", CELLS)
def test_packed_and_reversed_runs_agree(cell):
    network = BidirectionalRecurrence(cell, 4, 3, 2, dropout=0.0).double()
    lengths = torch.tensor([2, 5, 1, 5])
    inputs = torch.randn(4, 7, 4, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(4, 7, 6, dtype=torch.float64)
    found = []
    for read in (network._packed, network._reversed):
        outputs = read(inputs, lengths)
        slopes = torch.autograd.grad((outputs * weights).sum(), [inputs, *network.parameters()])
        found.append([outputs, *slopes])
    for packed, reversed_ in zip(*found, strict=True):
        torch.testing.assert_close(packed, reversed_)


def test_dropout_between_layers_only_in_training_mode():
    network = BidirectionalRecurrence("lstm", 4, 3, 2, dropout=0.5)
    inputs, lengths = torch.randn(2, 5, 4), torch.tensor([5, 3])
    assert not torch.equal(network(inputs, lengths), network(inputs, lengths))
    network.eval()
    assert torch.equal(network(inputs, lengths), network(inputs, lengths))
