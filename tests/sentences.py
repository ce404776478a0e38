"""Small models of sentences, shared by tests."""

from __future__ import annotations

from typing import Any

from support import randomise

from pyro_align.data.batch import EOS, SentenceBatch
from pyro_align.guides import GaussianGuide
from pyro_align.models import SentenceVAE
from pyro_align.networks import LanguageNetwork, LanguageNetworkConfig

VOCABULARY = 8

BATCH = SentenceBatch.from_ids([[4, 5, 6, EOS], [7, EOS], [5, 5, EOS]])

SMALL = {"embedding": 5, "hidden": 6, "dropout": 0.0}


def network(latent: int, *, scale: float = 0.7, **settings: Any) -> LanguageNetwork:
    """A small network in double precision."""
    config = LanguageNetworkConfig(**{**SMALL, **settings})
    return randomise(LanguageNetwork.from_config(config, VOCABULARY, latent), scale=scale)


def vae(
    latent: int = 2, kind: Any = SentenceVAE, bag_of_words: float = 0.0, **settings: Any
) -> Any:
    """A small model with a latent variable, in evaluation mode."""
    return kind(network(latent, **settings), bag_of_words=bag_of_words).double().eval()


def guide_of(model: Any, kind: Any = GaussianGuide, **options: Any) -> Any:
    """A small guide, in evaluation mode."""
    return randomise(kind(model, **{"hidden": 3, **options}), 1, scale=0.3).eval()
