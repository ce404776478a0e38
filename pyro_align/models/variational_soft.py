"""Soft attention, and a Gaussian for each sentence pair: variational NMT."""

from __future__ import annotations

from pyro_align.models.sentence_latent_model import SentenceLatentModel
from pyro_align.models.soft import SoftModel


class VariationalSoftModel(SentenceLatentModel, SoftModel):
    """``s ~ N(μ(x), diag σ(x)²)``, and :class:`SoftModel` given ``s`` (Zhang et al. 2016).

    It has the arguments of :class:`SentenceLatentModel`.
    """

    latents = {"sentence": "gaussian"}
