"""A network and batches whose source is a set of image regions and whose target is one answer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from pyro_align.data.batch import BOS, Batch, length_mask
from pyro_align.distributions import mask_logits
from pyro_align.networks import Network, States
from pyro_align.nn import GeneralScorer, Memory, TanhEmission


@dataclass(frozen=True, kw_only=True)
class RegionBatch(Batch):
    regions: Float[Tensor, "batch source feature"]

    @classmethod
    def of(cls, regions, answers):
        lengths, ones = torch.tensor([len(each) for each in regions]), torch.ones_like(answers)
        return cls(
            regions=pad_sequence(regions, batch_first=True),
            target=answers.unsqueeze(1),
            source_mask=length_mask(lengths),
            target_mask=length_mask(ones),
            source_lengths=lengths,
            target_lengths=ones,
            indices=torch.arange(len(answers)),
        )


class RegionFeatures(nn.Module):
    def __init__(self, size, answers):
        super().__init__()
        self.source = nn.Linear(size, 4)
        self.target = nn.Embedding(answers, 3)

    def forward(self, batch):
        return self.source(batch.regions), self.target(batch.target)


class RegionNetwork(Network):
    """The query is the mean of the regions; one target position, so nothing to decode."""

    def __init__(self, size=5, answers=6):
        super().__init__()
        self.feature_sizes, self.hidden_size, self.annotation_size = (4, 3), 4, size
        self.sizes = size, answers
        self.query = nn.Linear(size, 4)
        self.scorer = GeneralScorer(4, size, 0)
        self.emission = TanhEmission(size, 4, nn.Parameter(torch.randn(answers, 3)))
        self.own_features = self.new_features()

    def new_features(self):
        return RegionFeatures(*self.sizes)

    def features(self, batch):
        return self.own_features(batch)

    def forward(self, batch):
        mean = batch.regions.sum(1) / batch.source_mask.sum(1, keepdim=True)
        hidden, keys = torch.tanh(self.query(mean)).unsqueeze(1), self.scorer.keys(batch.regions)
        scores = mask_logits(self.scorer(hidden, keys), batch.source_mask.unsqueeze(1))
        values = self.emission.values(batch.regions)
        memory = Memory(batch.regions, keys, values, batch.source_mask)
        positions = torch.zeros(1, 1, dtype=torch.long)
        return States(memory, hidden, scores, positions, torch.full_like(batch.target, BOS))
