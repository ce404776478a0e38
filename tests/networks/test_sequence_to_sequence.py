"""Encoding, decoding step by step, dropout."""

from __future__ import annotations

import pytest
import torch
from support import padded, random_batch, tiny_model, tiny_networks

from pyro_align.data.batch import BOS, PAD, UNK
from pyro_align.inference import score_positions
from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.networks import NetworkConfig, SequenceToSequence


def encode(networks, batch):
    return networks.encode(batch.source, batch.source_mask, batch.source_lengths)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("feeding", [False, True, "posterior"])
@pytest.mark.parametrize("layers", [1, 2])
def test_decoding_step_by_step_equals_teacher_forcing(cell, feeding, layers):
    networks = tiny_networks(
        cell=cell, input_feeding=feeding, decoder_layers=layers, encoder_layers=layers
    )
    batch = padded(random_batch(), source=1)
    forced = networks(batch)
    assert forced.positions.tolist() == [list(range(batch.target.shape[1]))]
    memory = encode(networks, batch)
    state = networks.decoder.initial(memory)
    for position, tokens in enumerate(batch.target_input.split(1, dim=1)):
        states, state = networks.decode(tokens, state, memory)
        assert states.hidden.shape[:2] == (len(batch), 1)
        assert states.positions.tolist() == [[position]]
        torch.testing.assert_close(states.hidden[:, 0], forced.hidden[:, position])
        torch.testing.assert_close(states.scores[:, 0], forced.scores[:, position])


@pytest.mark.parametrize("kind", [SoftModel, CategoricalModel])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("feeding", [False, True, "posterior"])
def test_selected_rows_continue_like_their_originals(kind, cell, feeding):
    """Beam search reorders, drops and duplicates hypotheses at every step."""
    model = tiny_model(kind, cell=cell, input_feeding=feeding, decoder_layers=2)
    networks, batch = model.networks, random_batch()
    forced = model.next_token(networks(batch))
    memory = encode(networks, batch)
    state = networks.decoder.initial(memory)
    rows = torch.arange(len(batch))
    generator = torch.Generator().manual_seed(0)
    for position in range(batch.target.shape[1]):
        index = torch.randint(len(rows), (5,), generator=generator)
        rows, state, memory = rows[index], state.select(index), memory.select(index)
        tokens = batch.target_input[rows, position].unsqueeze(1)
        states, state = networks.decode(tokens, state, memory)
        torch.testing.assert_close(model.next_token(states)[:, 0], forced[rows, position])


@pytest.mark.parametrize("feeding", [False, True])
def test_states_depend_on_the_past_only(feeding):
    networks, batch = tiny_networks(input_feeding=feeding), random_batch((3, 4), (4, 4))
    before = networks(batch)
    batch.target[:, 2] = torch.tensor([5, 6]) + (batch.target[:, 2] == torch.tensor([5, 6])).long()
    after = networks(batch)
    assert torch.equal(after.hidden[:, :3], before.hidden[:, :3])
    assert torch.equal(after.scores[:, :3], before.scores[:, :3])
    assert (after.hidden[:, 3] != before.hidden[:, 3]).all()
    assert (after.scores[0, 3, :3] != before.scores[0, 3, :3]).all()


def test_input_feeding_feeds_the_expected_context():
    networks, batch = tiny_networks(input_feeding=True), random_batch()
    memory = encode(networks, batch)
    state = networks.decoder.initial(memory)
    assert (state.context == 0).all()
    states, state = networks.decode(torch.full((3, 1), BOS), state, memory)
    for row in range(len(batch)):
        weights = states.scores[row, 0].softmax(-1)
        expected = sum(w * m for w, m in zip(weights, memory.annotations[row], strict=True))
        torch.testing.assert_close(state.context[row], expected)


@pytest.mark.parametrize(
    "settings",
    [{}, {"emission": "product", "lexical": True}, {"emission": "sparse-product"}],
)
def test_posterior_feeding_feeds_the_context_given_the_token_just_read(settings):
    model = tiny_model(CategoricalModel, input_feeding="posterior", **settings)
    networks, batch = model.networks, padded(random_batch(), source=1)
    posterior = score_positions(model, None, batch).log_posterior.exp()
    memory = encode(networks, batch)
    state = networks.initial(memory)
    for position, tokens in enumerate(batch.target_input.split(1, dim=1)):
        _, state = networks.decode(tokens, state, memory)
        if position == 0:
            assert (state.context == 0).all()
            continue
        rows = batch.target_mask[:, position]
        expected = (posterior[:, position - 1].unsqueeze(1) @ memory.annotations).squeeze(1)
        torch.testing.assert_close(state.context[rows], expected[rows])


def test_initial_state_is_computed_from_the_mean_annotation():
    networks, batch = tiny_networks(decoder_layers=2), padded(random_batch(), source=2)
    memory = encode(networks, batch)
    hidden, cell = networks.decoder.initial(memory).recurrent
    bridge = networks.decoder.bridge
    for row, length in enumerate(batch.source_lengths.tolist()):
        mean = memory.annotations[row, :length].mean(0)
        expected = torch.tanh(bridge.weight @ mean + bridge.bias)
        torch.testing.assert_close(hidden[:, row].reshape(-1), expected)
    assert (cell == 0).all()


def test_annotations_are_zero_on_padding():
    networks, batch = tiny_networks(), padded(random_batch(), source=2)
    annotations = encode(networks, batch).annotations
    assert (annotations[~batch.source_mask] == 0).all()
    assert (annotations[batch.source_mask] != 0).all()


def test_dropout_only_in_training_mode():
    networks, batch = tiny_networks(dropout=0.5, encoder_layers=2, decoder_layers=2), random_batch()
    first, second = networks(batch), networks(batch)
    assert not torch.equal(first.hidden, second.hidden)
    assert not torch.equal(first.memory.annotations, second.memory.annotations)
    networks.eval()
    first, second = networks(batch), networks(batch)
    assert torch.equal(first.hidden, second.hidden)
    without = tiny_networks(dropout=0.0, encoder_layers=2, decoder_layers=2)
    assert torch.equal(without(batch).hidden, first.hidden)


def test_padding_embedding_is_zero_without_gradient():
    config = NetworkConfig(embedding=5, encoder_hidden=3, decoder_hidden=6, tie_embeddings="none")
    networks = SequenceToSequence.from_config(config, 9, 9)
    batch = padded(random_batch(), source=1, target=2)
    for embedding in (networks.source_embedding, networks.target_embedding):
        assert (embedding.weight[PAD] == 0).all()
    networks(batch).scores.softmax(-1).pow(2).sum().backward()
    for embedding in (networks.source_embedding, networks.target_embedding):
        assert (embedding.weight.grad[PAD] == 0).all()
        assert embedding.weight.grad.abs().sum() > 0


def test_under_autocast_scores_are_fp32():
    # A CPU without bf16 instructions has no bf16 LSTM, but every CPU has the GRU.
    networks, batch = tiny_networks(cell="gru", input_feeding=True).float(), random_batch()
    exact = networks(batch).scores
    with torch.autocast("cpu", torch.bfloat16):
        scores = networks(batch).scores
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, exact, rtol=0.05, atol=0.1)


def test_word_dropout_hides_target_words_from_the_decoder_in_training():
    networks, batch = tiny_networks(word_dropout=0.5), random_batch((3,) * 400, (6,) * 400)
    seen = []
    networks.target_embedding.register_forward_hook(lambda _, tokens, __: seen.append(tokens[0]))
    networks.train()(batch)
    networks.eval()(batch)
    in_training, in_evaluation = seen
    assert torch.equal(in_evaluation, batch.target_input)
    hidden = in_training != batch.target_input
    assert (in_training[hidden] == UNK).all()
    assert not hidden[:, 0].any()  # BOS is never replaced
    # 2,000 samples: the fraction is within 5 standard errors; a false alarm is below 1e-6.
    assert abs(hidden[:, 1:].double().mean().item() - 0.5) < 5 * 0.5 / 2000**0.5


@pytest.mark.parametrize("input_feeding", [False, True])
def test_dropout_of_embeddings_annotations_and_states(input_feeding):
    networks, batch = tiny_networks(dropout=0.5, input_feeding=input_feeding), random_batch()
    read = {}
    for name in ("encoder", "decoder"):
        part = getattr(networks, name)
        part.register_forward_pre_hook(lambda _, inputs, name=name: read.update({name: inputs[0]}))

    def computed():
        states = networks(batch)
        return {
            "source embeddings": read["encoder"][batch.source_mask],
            "target embeddings": read["decoder"][batch.target_mask],
            "annotations": states.memory.annotations[batch.source_mask],
            "decoder states": states.hidden[batch.target_mask],
        }

    dropped = computed()
    networks.eval()
    for name, whole in computed().items():
        assert (whole != 0).all(), name
        assert 0 < (dropped[name] == 0).sum() < whole.numel(), name
