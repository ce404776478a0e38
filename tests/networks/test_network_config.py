"""Network configuration."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from support import tiny_networks

from pyro_align.errors import ConfigError
from pyro_align.networks import NetworkConfig


@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "rnn"},
        {"attention": "cosine"},
        {"tie_embeddings": True},
        {"embedding": 0},
        {"decoder_layers": 0},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"hiden": 3},
    ],
)
def test_invalid_settings_are_rejected(settings):
    with pytest.raises(ValidationError, match=next(iter(settings))):
        NetworkConfig(**settings)


def test_a_configuration_is_immutable():
    with pytest.raises(ValidationError, match="frozen"):
        NetworkConfig().embedding = 3


def test_dot_attention_needs_equal_sizes():
    with pytest.raises(ConfigError, match=r"\(5 features\).*\(6\).*decoder_hidden.*'general'"):
        tiny_networks(attention="dot", decoder_hidden=5, encoder_hidden=3)
    tiny_networks(attention="dot", decoder_hidden=6, encoder_hidden=3)


def test_tying_all_embeddings_needs_one_vocabulary():
    with pytest.raises(ConfigError, match=r"source has 8 .* target 9.*joint = true"):
        tiny_networks(tie_embeddings="all", source_vocabulary=8)
    tiny_networks(tie_embeddings="output", source_vocabulary=8)


@pytest.mark.parametrize(("tie", "matrices"), [("none", 3), ("output", 2), ("all", 1)])
def test_tied_matrices_are_one_parameter(tie, matrices):
    networks = tiny_networks(tie_embeddings=tie, embedding=5, decoder_hidden=6)
    views = (
        networks.source_embedding.weight,
        networks.target_embedding.weight,
        networks.emission.weight,
    )
    assert len(set(map(id, views))) == matrices
    assert sum(any(p is view for view in views) for p in networks.parameters()) == matrices
    assert networks.emission.weight.shape == (9, 6 if tie == "none" else 5)
    # Tied matrices stay tied after a conversion to another type.
    moved = networks.float()
    assert (moved.emission.weight is moved.target_embedding.weight) == (tie != "none")
