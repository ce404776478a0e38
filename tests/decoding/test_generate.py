"""Sentences generated token by token."""

from collections import Counter

import pytest
import torch
from scipy.stats import chisquare
from sentences import network

from pyro_align.data.batch import EOS, SentenceBatch
from pyro_align.decoding import generate
from pyro_align.errors import ConfigError

LATENT = torch.tensor([[0.3, -1.0], [1.2, 0.4]]).double()


def test_greedy_search_takes_the_most_probable_token_at_each_step():
    networks = network(2).eval()
    found = generate(networks, LATENT, max_length=6, temperature=0)
    for ids, latent in zip(found, LATENT, strict=True):
        logits = networks(SentenceBatch.from_ids([ids]), latent.reshape(1, 1, 2)).logits[0]
        logits[:, [0, 2]] = -torch.inf
        assert logits.argmax(1).tolist() == ids
        assert len(ids) == 6 or ids[-1] == EOS


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_frequencies_of_short_sentences(temperature):
    networks = network(2, scale=0.3).eval()
    count = 4000
    rows = LATENT[:1].expand(count, -1)
    found = Counter(
        tuple(ids) for ids in generate(networks, rows, max_length=1, temperature=temperature)
    )
    logits = networks(SentenceBatch.from_ids([[EOS]]), LATENT[:1].unsqueeze(1)).logits[0, 0]
    logits[[0, 2]] = -torch.inf
    expected = count * (logits / temperature).softmax(0)
    tokens = [token for token in range(len(expected)) if expected[token] > 0]
    observed = [found[(token,)] for token in tokens]
    assert chisquare(observed, expected[tokens].detach().numpy()).pvalue > 1e-5


def test_tokens_after_the_end_are_left_out():
    networks = network(2).eval()
    networks.bias.data[EOS] = 50.0
    assert generate(networks, LATENT, max_length=9) == [[EOS], [EOS]]


def test_bad_arguments():
    networks = network(2)
    with pytest.raises(ValueError, match="training mode"):
        generate(networks.train(), LATENT, max_length=3)
    with pytest.raises(ConfigError, match="temperature must be 0 or more, got -1"):
        generate(networks.eval(), LATENT, max_length=3, temperature=-1)
