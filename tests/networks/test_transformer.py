"""Transformer encoders and decoders of sequence-to-sequence networks."""

from __future__ import annotations

import itertools

import pytest
import torch
from pydantic import ValidationError
from support import evidence, gradient, padded, random_batch, randomise, tiny_networks
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from pyro_align.data.batch import BOS
from pyro_align.guides import NoGuide
from pyro_align.inference import score_positions
from pyro_align.models import CategoricalModel, DirichletModel, MarkovModel, SoftModel
from pyro_align.networks import NetworkConfig
from pyro_align.nn.positions import rotated, rotation
from pyro_align.testing import ModelContract

SIZES = {"encoder_hidden": 4, "decoder_hidden": 8, "heads": 2, "feedforward": 6}
PARTS = {
    "both, rotary": {"kind": "transformer", "encoder_layers": 2, "decoder_layers": 3},
    "both, sinusoidal": {"kind": "transformer", "decoder_layers": 2, "positions": "sinusoidal"},
    "one layer": {"kind": "transformer"},
    "encoder": {"encoder": "transformer", "input_feeding": True, "cell": "gru"},
    "decoder": {"decoder": "transformer", "decoder_layers": 2, "attention": "mlp"},
    "posterior": {"kind": "transformer", "decoder_layers": 2, "input_feeding": "posterior"},
    "posterior, one layer": {"decoder": "transformer", "input_feeding": "posterior"},
}


def networks(part, **settings):
    return tiny_networks(**SIZES, **PARTS[part], **settings)


def model(part, kind=CategoricalModel, *, seed=0, **settings):
    return randomise(kind(networks(part, **settings)), seed, 1.2)


def memory_of(made, batch):
    return made.encode(batch.source, batch.source_mask, batch.source_lengths)


class TestTransformerModel(ModelContract):
    def create(self, **settings):
        return model("both, rotary", emission="product", lexical=True, **settings)


class TestSoftModelWithATransformerDecoder(ModelContract):
    def create(self, **settings):
        return model("decoder", SoftModel, **settings)


class TestMarkovModelWithATransformerEncoder(ModelContract):
    def create(self, **settings):
        return model("encoder", MarkovModel, **settings)

    def guide(self, model):
        return NoGuide(model)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("lengths", [(1, 1, 1, 1), (2, 2), (1, 3)])
def test_decoding_in_steps_equals_teacher_forcing(part, lengths):
    made, batch = networks(part), padded(random_batch(), source=1)
    forced = made(batch)
    memory = memory_of(made, batch)
    state, found = made.initial(memory), []
    for tokens in batch.target_input.split(lengths, dim=1):
        states, state = made.decode(tokens, state, memory)
        found.append(states)
    assert state.position == batch.target.shape[1]
    for name in ("hidden", "scores"):
        whole = torch.cat([getattr(each, name) for each in found], 1)
        torch.testing.assert_close(whole, getattr(forced, name))


@pytest.mark.parametrize("part", PARTS)
def test_selected_rows_continue_like_their_originals(part):
    """Beam search reorders, drops and duplicates hypotheses at every step."""
    made, batch = model(part), random_batch()
    forced = made.next_token(made.networks(batch))
    memory = memory_of(made.networks, batch)
    state, rows = made.networks.initial(memory), torch.arange(len(batch))
    generator = torch.Generator().manual_seed(0)
    for position in range(batch.target.shape[1]):
        index = torch.randint(len(rows), (5,), generator=generator)
        rows, state, memory = rows[index], state.select(index), memory.select(index)
        tokens = batch.target_input[rows, position].unsqueeze(1)
        states, state = made.networks.decode(tokens, state, memory)
        torch.testing.assert_close(made.next_token(states)[:, 0], forced[rows, position])


@pytest.mark.parametrize("kind", [CategoricalModel, DirichletModel])
@pytest.mark.parametrize("part", PARTS)
def test_padding_changes_neither_value_nor_gradient(part, kind):
    made, batch = model(part, kind), random_batch()
    wide = padded(batch, source=2, target=3)
    torch.testing.assert_close(evidence(made, wide), evidence(made, batch))
    narrow = gradient(evidence(made, batch), made)
    assert narrow.isfinite().all()
    assert narrow.abs().max() > 0.01
    torch.testing.assert_close(gradient(evidence(made, wide), made), narrow)


@pytest.mark.parametrize("part", ["posterior", "posterior, one layer"])
def test_the_last_layer_reads_the_context_given_the_token_just_read(part):
    made, batch, read = model(part), padded(random_batch(), source=1), []
    made.networks.decoder.context.register_forward_pre_hook(lambda _, given: read.append(*given))
    posterior = score_positions(made, None, batch).log_posterior.exp()
    expected = posterior @ memory_of(made.networks, batch).annotations
    assert len(read) == batch.target.shape[1] - 1
    for position, context in enumerate(read):
        rows = batch.target_mask[:, position]
        torch.testing.assert_close(context[rows, 0], expected[rows, position])


@pytest.mark.parametrize("part", PARTS)
def test_states_depend_on_the_past_only(part):
    made, batch = networks(part), random_batch((3, 4), (4, 4))
    before = made(batch)
    batch.target[:, 2] = torch.tensor([5, 6]) + (batch.target[:, 2] == torch.tensor([5, 6])).long()
    after = made(batch)
    assert torch.equal(after.hidden[:, :3], before.hidden[:, :3])
    assert torch.equal(after.scores[:, :3], before.scores[:, :3])
    assert (after.hidden[:, 3] != before.hidden[:, 3]).all()


def test_with_posterior_attention_the_source_reaches_a_single_layer():
    """Through the alignments of earlier tokens alone: the first state does not depend on it."""
    made, batch = networks("posterior, one layer"), random_batch((4, 3), (3, 4))
    changed = type(batch)(**{**vars(batch), "source": random_batch((4, 3), (3, 4), seed=1).source})
    same = [
        (left == right).all()
        for left, right in zip(
            made(batch).hidden.unbind(1), made(changed).hidden.unbind(1), strict=True
        )
    ]
    assert same == [True, False, False, False]


def test_a_step_costs_as_much_more_as_the_prefix_is_longer():
    made = networks("both, rotary").eval()
    batch = random_batch((4,), (1,))
    memory = memory_of(made, batch)
    state, costs = made.initial(memory), []
    for _ in range(12):
        with FlopCounterMode(display=False) as counted, sdpa_kernel(SDPBackend.MATH):
            _, state = made.decode(torch.full((1, 1), BOS), state, memory)
        costs.append(counted.get_total_flops())
    growth = {after - before for before, after in itertools.pairwise(costs)}
    # Two products of a query with a key or value of 8 features, in each of 3 layers.
    assert growth == {3 * 2 * 2 * 8}


def test_attention_with_rotary_embeddings_depends_on_distances():
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 8, dtype=torch.double)

    def product(i, j):
        places = torch.tensor([i, j])
        cos, sin = rotation(places, 8)
        left, right = ((cos[n : n + 1], sin[n : n + 1]) for n in range(2))
        return (rotated(query, left) * rotated(key, right)).sum()

    torch.testing.assert_close(product(5, 2), product(13, 10), rtol=1e-5, atol=1e-5)
    assert (product(5, 2) - product(5, 3)).abs() > 0.01


def test_the_source_reaches_a_single_layer_through_the_alignment_alone():
    batch = random_batch((4, 3), (3, 4))
    for part, is_read in {"one layer": False, "both, rotary": True}.items():
        made = networks(part)
        before = made(batch).hidden
        changed = random_batch((4, 3), (3, 4), seed=1)
        after = made(type(batch)(**{**vars(batch), "source": changed.source})).hidden
        assert torch.equal(before, after) != is_read


@pytest.mark.parametrize("part", ["both, rotary", "both, sinusoidal"])
def test_under_autocast_scores_are_fp32(part):
    made, batch = networks(part).float(), random_batch()
    exact = made(batch)
    with torch.autocast("cpu", torch.bfloat16):
        states = made(batch)
        states.hidden.float().sum().backward()
    assert states.scores.dtype == torch.float32
    assert all(p.grad is None or p.grad.isfinite().all() for p in made.parameters())
    torch.testing.assert_close(states.hidden.float(), exact.hidden, rtol=0.1, atol=0.2)


def test_dropout_only_in_training_mode():
    made, batch = networks("both, rotary", dropout=0.5), random_batch()
    assert not torch.equal(made(batch).hidden, made(batch).hidden)
    made.eval()
    assert torch.equal(made(batch).hidden, made(batch).hidden)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "transformer", "encoder_hidden": 12}, "encoder_hidden .* twice network.heads"),
        ({"decoder": "transformer", "heads": 3}, "decoder_hidden .* got 256 and 3 heads"),
        ({"kind": "transformer", "input_feeding": True}, "input_feeding = true needs a recurrent"),
        ({"kind": "convolutional"}, "kind"),
    ],
)
def test_settings_without_sense_are_rejected(settings, message):
    with pytest.raises(ValidationError, match=message):
        NetworkConfig(**settings)


def test_parts_that_are_recurrent_are_free_of_the_rules_for_heads():
    NetworkConfig(encoder="transformer", decoder_hidden=7, input_feeding=True)
