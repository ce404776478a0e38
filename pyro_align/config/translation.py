"""Settings of the task ``translation``."""

from __future__ import annotations

from pydantic import model_validator

from pyro_align.config.config import Config
from pyro_align.data.settings import DataConfig, VocabularyConfig
from pyro_align.networks import NetworkConfig


class TranslationConfig(Config):
    """The configuration of a fit on parallel text."""

    data: DataConfig = DataConfig()
    vocabulary: VocabularyConfig = VocabularyConfig()
    network: NetworkConfig = NetworkConfig()

    @model_validator(mode="after")
    def _tied_embeddings_share_a_vocabulary(self) -> TranslationConfig:
        given = self.vocabulary.source is not None
        same = self.vocabulary.source == self.vocabulary.target if given else self.vocabulary.joint
        if self.network.tie_embeddings == "all" and not same:
            raise ValueError(
                "network.tie_embeddings = 'all' needs one vocabulary for both sides: set "
                "vocabulary.joint = true, or give one file as vocabulary.source and target"
            )
        return self

    @model_validator(mode="after")
    def _links_are_between_fixed_pieces(self) -> TranslationConfig:
        if self.vocabulary.dropout > 0 and self.data.links is not None:
            raise ValueError(
                "data.links has no effect on pieces that change each time the text is read: "
                "remove vocabulary.dropout or data.links"
            )
        return self
