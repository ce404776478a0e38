"""Networks for questions about images: one target position, whose memory is the regions."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pyro_align.data.batch import BOS
from pyro_align.data.question_batches import ImageBatch, QuestionBatch, RegionBatch
from pyro_align.data.sharing import shared
from pyro_align.distributions import mask_logits
from pyro_align.errors import ConfigError
from pyro_align.networks.answering_config import AnsweringNetworkConfig
from pyro_align.networks.network import Network, States
from pyro_align.networks.sequence_to_sequence import token_embedding
from pyro_align.nn import (
    EMISSIONS,
    SCORERS,
    Emission,
    ImageGrid,
    Memory,
    QuestionEncoder,
    RecurrentQuestionEncoder,
    RegionContext,
    RegionEncoder,
    Scorer,
    TransformerQuestionEncoder,
)
from pyro_align.nn.recurrence import Cell


class AnsweringInputs(nn.Module):
    """What is read of question, image and answer; also the features that guides read.

    Args:
        words: maps word ids to vectors.
        question: encodes questions.
        regions: encodes regions from features and boxes.
        context: maps encoded regions and the question to annotations.
        answers: maps answers to vectors.
        pixels: computes features and boxes of regions from images; None if a batch has them.
        dropout: rate on word embeddings, encoded questions and regions.
    """

    def __init__(
        self,
        words: nn.Embedding,
        question: QuestionEncoder,
        regions: RegionEncoder,
        context: RegionContext,
        answers: nn.Embedding,
        *,
        pixels: ImageGrid | None = None,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.words = words
        self.question = question
        self.regions = regions
        self.context = context
        self.answers = answers
        self.pixels = pixels
        self.dropout = nn.Dropout(dropout)

    @shared
    def encode_question(self, batch: QuestionBatch) -> Float[Tensor, "batch hidden"]:
        """Encode the questions of a batch."""
        embedded = self.dropout(self.words(batch.question))
        return self.dropout(self.question(embedded, batch.question_lengths))

    @shared
    def encode_regions(
        self, batch: RegionBatch | ImageBatch
    ) -> Float[Tensor, "batch source annotation"]:
        """Return the annotations of a batch: its regions, by themselves and in context."""
        if isinstance(batch, RegionBatch):
            features, boxes = batch.regions, batch.boxes
        else:
            assert self.pixels is not None
            features, boxes = self.pixels(batch.images)
        regions = self.dropout(self.regions(features, boxes))
        annotations: Tensor = self.context(
            regions, boxes, self.encode_question(batch), batch.source_mask
        )
        return annotations

    def forward(
        self, batch: RegionBatch | ImageBatch
    ) -> tuple[Float[Tensor, "batch source f"], Float[Tensor, "batch 1 g"]]:
        """Return what guides read, see :meth:`QuestionAnswering.features`."""
        question = self.encode_question(batch).unsqueeze(1)
        return self.encode_regions(batch), torch.cat([question, self.answers(batch.target)], -1)


class QuestionAnswering(Network):
    """A question as the query, the regions of an image as the memory, and an emission of answers.

    There is one target position, whose vocabulary is the answers. The parts are passed in, and may
    share parameters; :meth:`from_config` creates those that a configuration describes.

    Args:
        inputs: encodes questions and regions.
        scorer: maps the question and the annotations to attention scores.
        emission: maps the question and a region to a distribution of answers.
        dropout: default rate of guides.
        cell: recurrent cell of guides.
    """

    def __init__(
        self,
        inputs: AnsweringInputs,
        scorer: Scorer,
        emission: Emission,
        *,
        dropout: float = 0.0,
        cell: Cell = "gru",
    ):
        super().__init__()
        self.inputs = inputs
        self.scorer = scorer
        self.emission = emission
        self.hidden_size = inputs.question.hidden
        self.annotation_size = inputs.context.annotation_size
        answer = self.hidden_size + inputs.answers.embedding_dim
        self.feature_sizes = self.annotation_size, answer
        self.dropout_rate = dropout
        self.cell = cell

    @classmethod
    def from_config(
        cls, config: AnsweringNetworkConfig, words: int, answers: int, feature: int
    ) -> QuestionAnswering:
        """Create the network that a configuration describes.

        Args:
            config: architecture.
            words: size of the vocabulary of questions.
            answers: number of answers.
            feature: number of features of a region; not used for pixels.

        Raises:
            ConfigError: for sizes that do not fit together.
        """
        rate, size, hidden = config.dropout, config.region_size, config.hidden
        pixels = None
        if config.regions == "pixels":
            if config.cells < 2:
                raise ConfigError(
                    f"network.grid_layers = {config.grid_layers} leaves one cell of an image of "
                    f"network.image_size = {config.image_size} pixels; set fewer layers or a "
                    f"larger image"
                )
            feature = config.grid_channels
            pixels = ImageGrid(feature, config.grid_layers)
        table = nn.Embedding(answers, config.answer)
        nn.init.normal_(table.weight, std=0.05)
        inputs = AnsweringInputs(
            token_embedding(words, config.embedding),
            _question_encoder(config),
            RegionEncoder(feature, size),
            RegionContext(size, hidden, config.glimpses, rate),
            table,
            pixels=pixels,
            dropout=rate,
        )
        annotation = inputs.context.annotation_size
        return cls(
            inputs,
            SCORERS[config.attention](hidden, annotation, config.attention_hidden),
            EMISSIONS[config.emission](annotation, hidden, table.weight),
            dropout=rate,
            cell="gru" if config.question == "transformer" else config.question,
        )

    def features(
        self, batch: RegionBatch | ImageBatch
    ) -> tuple[Float[Tensor, "batch source f"], Float[Tensor, "batch 1 g"]]:
        """Return annotations, and the question with the answer's embedding.

        From regions alone a guide could not tell them apart by their relations to others, and the
        prior, which follows the guide in variational training, would not learn to.
        """
        features: tuple[Tensor, Tensor] = self.inputs(batch)
        return features

    def new_features(self) -> AnsweringInputs:
        """Return a copy of :attr:`inputs` with weights of its own, which start as the same."""
        return copy.deepcopy(self.inputs)

    def forward(self, batch: RegionBatch | ImageBatch) -> States:
        """Compute the query, the memory and the scores of the one target position."""
        question = self.inputs.encode_question(batch)
        annotations = self.inputs.encode_regions(batch)
        keys = self.scorer.keys(annotations)
        values = self.emission.values(annotations)
        hidden = question.unsqueeze(1)
        scores = mask_logits(self.scorer(hidden, keys), batch.source_mask.unsqueeze(1))
        return States(
            Memory(annotations, keys, values, batch.source_mask),
            hidden,
            scores,
            positions=batch.target.new_zeros(1, 1),
            inputs=torch.full_like(batch.target, BOS),
        )


def _question_encoder(config: AnsweringNetworkConfig) -> QuestionEncoder:
    layers, rate = config.question_layers, config.dropout
    if config.question == "transformer":
        return TransformerQuestionEncoder(
            config.embedding, config.hidden, layers, config.heads, rate
        )
    return RecurrentQuestionEncoder(config.question, config.embedding, config.hidden, layers, rate)
