"""Categorical alignments, and a Gaussian for each sentence pair."""

from __future__ import annotations

from pyro_align.models.categorical import CategoricalModel
from pyro_align.models.sentence_latent_model import SentenceLatentModel


class VariationalModel(SentenceLatentModel, CategoricalModel):
    """``s ~ N(μ(x), diag σ(x)²)``, and :class:`CategoricalModel` given ``s``.

    The latent variable of Zhang et al. (2016) together with the alignments of Deng et al. (2018),
    which stay independent given ``s`` and the target, so that they can be summed out.

    It has the arguments of :class:`SentenceLatentModel`.
    """

    latents = {"alignment": "categorical", "sentence": "gaussian"}
