"""Translations given samples of the latent variable of a sentence, ranked by their likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pyro_align.data.batch import TextBatch
from pyro_align.decoding.beam_search import BeamSearch
from pyro_align.decoding.hypotheses import Hypothesis, length_penalty
from pyro_align.decoding.predictor import ModelPredictor
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.inference import score_sentences
from pyro_align.models import SentenceLatentModel
from pyro_align.nn import Memory


class SampledSearch(BeamSearch):
    """Beam search given each of ``N`` samples ``s ~ p(s | x)``, and a ranking of what it finds.

    The best translation given each sample is a candidate. Candidates are ranked by ``log p(y | x) /
    ((5 + |y|) / 6) ** α``, where ``s`` is integrated out: the likelihood is estimated by importance
    weighting with ``N`` samples of the guide, see :func:`~pyro_align.inference.score_sentences`.
    ``n_best`` of more than one thus gives translations that differ more than those of one beam.

    The samples of a sentence do not depend on the other sentences, nor on torch's random state.

    Args:
        model: the model.
        guide: the guide, in evaluation mode; None to weight samples of the prior.
        samples: number of samples ``N``.
        seed: seed of the samples.
        n_best: number of translations returned per sentence, at most ``samples``.
        **options: of :class:`BeamSearch`.

    Raises:
        ConfigError: if a number is out of its range.
        IncompatibleError: if the model has no Gaussian for each sentence.
    """

    def __init__(
        self,
        model: Any,
        guide: Any = None,
        *,
        samples: int = 10,
        seed: int = 0,
        n_best: int = 1,
        **options: Any,
    ):
        if not isinstance(model, SentenceLatentModel):
            raise IncompatibleError(
                f"translations given samples need a model with a latent variable of the sentence, "
                f"such as 'variational', but the model is {type(model).__name__}"
            )
        if samples < 1:
            raise ConfigError(f"the number of samples must be at least 1, got {samples}")
        if n_best > samples:
            raise ConfigError(
                f"n_best must be between 1 and the number of samples, {samples}; got {n_best}"
            )
        super().__init__(model, **options)
        self.guide = guide
        self.samples = samples
        self.most = n_best
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(samples, model.latent_size, generator=generator)
        self.predictor = _SamplePredictor(model, noise)

    def search(self, sources: Sequence[Sequence[int]]) -> list[list[Hypothesis]]:
        """Translate sentences, as :meth:`BeamSearch.search`.

        The ``log_probability`` of a translation is the estimate.
        """
        found = super().search([source for source in sources for _ in range(self.samples)])
        best = [hypotheses[0].tokens for hypotheses in found]
        return [
            self._ranked(source, best[row * self.samples : (row + 1) * self.samples])
            for row, source in enumerate(sources)
        ]

    def _ranked(
        self, source: Sequence[int], targets: Sequence[tuple[int, ...]]
    ) -> list[Hypothesis]:
        """Rank the distinct translations of a sentence; in a batch of its own, so that the samples
        do not depend on other sentences."""
        distinct = [*dict.fromkeys(targets)]
        batch = TextBatch.from_ids([source] * len(distinct), distinct)
        batch = batch.to(next(self.model.parameters()).device)
        scores = score_sentences(self.model, self.guide, batch, draws=self.samples)
        found = [
            Hypothesis(target, value / length_penalty(len(target), self.length_penalty), value)
            for target, value in zip(distinct, scores.log_evidence.tolist(), strict=True)
        ]
        return sorted(found, key=lambda one: one.score, reverse=True)[: self.most]


class _SamplePredictor(ModelPredictor):
    """Predicts given samples of the prior: rows ``i N … i N + N − 1`` are those of sentence ``i``.

    Args:
        model: the model.
        noise: standard normal vectors, one for each sample of a sentence.
    """

    def __init__(self, model: SentenceLatentModel, noise: Tensor):
        super().__init__(model)
        self.noise = noise

    def encode(self, source: Tensor, mask: Tensor, lengths: Tensor) -> Memory:
        """Encode sources, each with its sample."""
        memory = self.networks.encode(source, mask, lengths)
        prior = self.model.sentence_prior(memory)
        noise = self.noise.to(prior.mean).repeat(len(source) // len(self.noise), 1).unsqueeze(1)
        latent = prior.mean + prior.variance.sqrt() * noise
        return self.model.given(memory, latent.squeeze(1))
