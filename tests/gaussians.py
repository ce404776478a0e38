"""Programs with a Gaussian for each sentence beside the alignments, and their terms by brute force.

The reparameterised noise of the Gaussian is fixed, so that each expectation is a finite sum over
alignments.
"""

from __future__ import annotations

import pyro
import pyro.distributions as dist
import torch
from support import random_batch
from torch import nn

from pyro_align.distributions import GumbelSoftmax, PaddedDirichlet, concentrations
from pyro_align.inference import position_plate, sentence_plate

SOURCES = 2
BATCH = random_batch((2, 2), (2, 1))
"""Three target positions and a padded one."""

NOISE = torch.randn(3, 2, 1, 2, generator=torch.Generator().manual_seed(0)).double()
"""Of the Gaussian, for up to three samples: ``[sample, sentence, 1, coordinate]``."""


class Fixed(dist.Normal):
    """A Gaussian whose noise is :data:`NOISE`."""

    def rsample(self, sample_shape=()):
        shape = self._extended_shape(torch.Size(sample_shape))
        noise = NOISE[: shape[0]] if len(shape) == 4 else NOISE[0]
        return self.loc + self.scale * noise.expand(shape)


class Unknown(dist.Normal):
    """A Gaussian whose KL divergence has no closed form."""


@torch.distributions.register_kl(Fixed, Unknown)
def _none(q, p):
    raise NotImplementedError


class Model(nn.Module):
    """Prior of the alignment and emission depend on the Gaussian, unless ``apart``."""

    def __init__(self, kind="categorical", apart=False, sample=dist.Normal):
        super().__init__()
        generator = torch.Generator().manual_seed(1)

        def new(*shape):
            return nn.Parameter(torch.randn(*shape, generator=generator).double())

        self.kind, self.apart, self.sample = kind, apart, sample
        self.loc, self.log_scale = new(2), new(2)
        self.attention = new(SOURCES)
        self.of_sentence = new(2, SOURCES)
        self.values, self.sentence_values = new(SOURCES, 9), new(2, 9)

    def gaussian(self):
        loc = self.loc.expand(len(BATCH), 1, 2)
        return self.sample(loc, self.log_scale.exp()).to_event(1)

    def scores(self, sentence):
        sentence = sentence * 0 if self.apart else sentence
        positions = torch.arange(2.0).to(sentence).unsqueeze(-1)
        return self.attention * (positions + 1) + sentence @ self.of_sentence

    def logits(self, alignment, sentence):
        sentence = sentence * 0 if self.apart else sentence
        one = (
            alignment
            if alignment.is_floating_point()
            else nn.functional.one_hot(alignment, SOURCES).to(self.values)
        )
        return one @ self.values + (sentence @ self.sentence_values) * (1 + one[..., :1])

    def alignment(self, sentence):
        scores = self.scores(sentence)
        if self.kind == "simplex":
            return PaddedDirichlet(concentrations(scores), torch.ones(1, 1, SOURCES).bool())
        return dist.Categorical(logits=scores)

    def forward(self, batch):
        with sentence_plate(batch):
            sentence = pyro.sample("sentence", self.gaussian())
            with position_plate(batch):
                if self.kind == "none":
                    alignment = torch.zeros(batch.target.shape).long()
                else:
                    alignment = pyro.sample("alignment", self.alignment(sentence))
                emission = dist.Categorical(logits=self.logits(alignment, sentence))
                pyro.sample("tokens", emission, obs=batch.target)


class Guide(nn.Module):
    """The posterior of the alignment depends on the Gaussian, too."""

    def __init__(self, kind="categorical", sample=Fixed):
        super().__init__()
        generator = torch.Generator().manual_seed(2)

        def new(*shape):
            return nn.Parameter(torch.randn(*shape, generator=generator).double())

        self.kind, self.sample = kind, sample
        self.loc, self.log_scale = new(2, 1, 2), new(2, 1, 2)
        self.base, self.of_sentence = new(2, 2, SOURCES), new(2, SOURCES)

    def gaussian(self):
        return self.sample(self.loc, self.log_scale.exp()).to_event(1)

    def scores(self, sentence):
        return self.base + sentence @ self.of_sentence

    def alignment(self, sentence):
        scores = self.scores(sentence)
        if self.kind == "simplex":
            return PaddedDirichlet(concentrations(scores), torch.ones(1, 1, SOURCES).bool())
        if self.kind == "relaxed":
            return GumbelSoftmax(torch.tensor(0.7).double(), scores)
        return dist.Categorical(logits=scores)

    def forward(self, batch):
        with sentence_plate(batch):
            sentence = pyro.sample("sentence", self.gaussian())
            with position_plate(batch):
                if self.kind != "none":
                    pyro.sample("alignment", self.alignment(sentence))


def programs(model="categorical", guide="categorical", **options):
    return Model(model, **options), Guide(guide)


class Brute:
    """Terms of one sample of the Gaussian, ``[position, alignment]``, with plain PyTorch."""

    def __init__(self, model, guide, sample=0):
        self.mask = BATCH.target_mask
        q, p = guide.gaussian(), model.gaussian()
        sentence = guide.loc + guide.log_scale.exp() * NOISE[sample]
        scale = guide.log_scale - model.log_scale
        ratio = ((guide.loc - model.loc) / model.log_scale.exp()).square()
        self.kl = (0.5 * ((2 * scale).exp() + ratio - 1) - scale).sum()
        self.log_ratio = (q.log_prob(sentence) - p.log_prob(sentence)).sum()
        self.log_p = model.scores(sentence).log_softmax(-1)[self.mask]
        self.log_q = guide.scores(sentence).log_softmax(-1)[self.mask]
        every = [
            model.logits(torch.full((2, 2), s), sentence).log_softmax(-1) for s in range(SOURCES)
        ]
        gold = BATCH.target.unsqueeze(-1)
        self.log_y = torch.stack([e.gather(-1, gold).squeeze(-1) for e in every], -1)[self.mask]

    @property
    def joint(self):
        return self.log_p + self.log_y

    @property
    def evidence(self):
        return self.joint.logsumexp(-1).sum()

    @property
    def log_likelihood(self):
        return (self.log_q.exp() * self.log_y).sum()

    @property
    def alignment_kl(self):
        return (self.log_q.exp() * (self.log_q - self.log_p)).sum()

    @property
    def elbo(self):
        return self.log_likelihood - self.alignment_kl - self.kl
