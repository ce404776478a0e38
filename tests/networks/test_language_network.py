"""Networks of sentences: step by step, over several draws, and under padding."""

import dataclasses

import pytest
import torch
from sentences import BATCH, VOCABULARY, network
from torch.nn.functional import pad

from pyro_align.data.batch import BOS, PAD, UNK, SentenceBatch
from pyro_align.networks import LanguageNetwork, LanguageNetworkConfig

DECODERS = [
    {"cell": cell, "latent_input": where, "layers": layers, "skip": skip}
    for cell, where, layers, skip in (
        ("lstm", "both", 2, False),
        ("gru", "start", 1, True),
        ("gru", "steps", 1, False),
    )
]

DECODERS += [
    {"decoder": "convolutional", "layers": 2, "kernel": 2},
    {"decoder": "convolutional", "layers": 1, "kernel": 2, "skip": True},
    {"decoder": "transformer", "layers": 2, "hidden": 4, "heads": 2},
]

decoders = pytest.mark.parametrize("settings", DECODERS)


@decoders
@pytest.mark.parametrize("latent", [0, 2])
def test_step_by_step_equals_teacher_forcing(settings, latent):
    networks = network(latent, **settings).eval()
    rows = torch.randn(len(BATCH), latent).double()
    at_once = networks(BATCH, rows.unsqueeze(1)).logits
    state = networks.initial(rows)
    for position in range(BATCH.target.shape[1]):
        features, state = networks.decode(BATCH.target_input[:, position : position + 1], state)
        step = networks.emission(features).logits.squeeze(1)
        torch.testing.assert_close(step, at_once[:, position])


@decoders
def test_a_token_depends_on_the_latent_vector_and_the_tokens_before_it(settings):
    networks = network(2, **settings).eval()
    latent = torch.randn(len(BATCH), 1, 2).double()
    before = networks(BATCH, latent).logits
    changed = dataclasses.replace(BATCH, target=BATCH.target.clone())
    changed.target[0, 1] = 7
    after = networks(changed, latent).logits
    torch.testing.assert_close(after[0, :2], before[0, :2])
    assert not torch.allclose(after[0, 2], before[0, 2])
    other = networks(BATCH, latent + 1).logits
    assert ((other - before).abs().amax(-1) > 1e-4).all()


@decoders
def test_at_first_the_latent_vector_is_no_large_noise(settings):
    torch.manual_seed(0)
    config = LanguageNetworkConfig(**{"embedding": 32, "hidden": 32, **settings})
    networks = LanguageNetwork.from_config(config, VOCABULARY, 32).eval()
    words = torch.tensor([[4], [5], [6], [7]])
    latent, other = torch.randn(2, len(words), 32)

    def features(words, latent):
        return networks.decode(words, networks.initial(latent))[0]

    start = features(words, latent)
    by_latent = (features(words, other) - start).norm()
    by_word = (features(words.flip(0), latent) - start).norm()
    assert 0 < by_latent < 4 * by_word


@decoders
def test_draws_are_independent_rows(settings):
    networks = network(2, **settings).eval()
    draws = torch.randn(3, 2, len(BATCH), 1, 2).double()
    found = networks(BATCH, draws)
    assert found.batch_shape == (3, 2, *BATCH.target.shape)
    for i in range(3):
        expected = networks(BATCH, draws[i, 1]).logits
        torch.testing.assert_close(found.logits[i, 1], expected)


@decoders
def test_padding_does_not_matter(settings):
    networks = network(2, **settings).eval()
    latent = torch.randn(len(BATCH), 1, 2).double()
    wide = dataclasses.replace(
        BATCH,
        target=pad(BATCH.target, (0, 3), value=PAD),
        target_mask=pad(BATCH.target_mask, (0, 3), value=False),
    )
    torch.testing.assert_close(networks(wide, latent).logits[:, :4], networks(BATCH, latent).logits)


def test_word_dropout_hides_all_words_but_not_the_start(monkeypatch):
    networks = network(2, word_dropout=1.0).train()
    latent = torch.randn(len(BATCH), 1, 2).double()
    words = BATCH.target_input
    unread = words.masked_fill(words != BOS, UNK)
    # A batch whose shifted targets are the unknown tokens themselves.
    hidden = SentenceBatch.from_ids([[UNK] * 4] * len(BATCH))
    assert torch.equal(hidden.target_input, unread)
    expected = networks.eval()(hidden, latent).logits
    torch.testing.assert_close(networks.train()(BATCH, latent).logits, expected)


def test_untied_output():
    networks = network(0, tie_embeddings=False)
    assert networks.weight is not networks.embedding.weight
    assert networks(BATCH).logits.shape[-1] == VOCABULARY


@pytest.mark.parametrize(("layers", "kernel", "reach"), [(1, 2, 2), (2, 3, 7), (3, 2, 8)])
def test_the_reach_of_convolutions(layers, kernel, reach):
    networks = network(2, decoder="convolutional", layers=layers, kernel=kernel).eval()
    assert networks.decoder.reach == reach
    tokens = torch.randint(4, VOCABULARY, (1, 12))
    state = networks.initial(torch.randn(1, 2).double())
    before, _ = networks.decode(tokens, state)
    tokens[0, 2] = 4 + (tokens[0, 2] - 3) % 4
    after, _ = networks.decode(tokens, state)
    changed = ((after - before).abs().amax(-1) > 1e-12)[0].tolist()
    assert changed == [2 <= position < 2 + reach for position in range(12)]


def test_the_window_of_convolutions_has_a_bounded_size():
    networks = network(2, decoder="convolutional", layers=2, kernel=2).eval()
    tokens = torch.randint(4, VOCABULARY, (2, 12))
    start = networks.initial(torch.randn(2, 2).double())
    at_once, _ = networks.decode(tokens, start)
    state, steps = start, []
    for position in tokens.split(1, 1):
        features, state = networks.decode(position, state)
        steps.append(features)
        assert state.window.shape[1] <= networks.decoder.reach - 1
    torch.testing.assert_close(torch.cat(steps, 1), at_once)
