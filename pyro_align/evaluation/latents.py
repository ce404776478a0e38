"""What the latent variable of a sentence carries: active units, information, reconstruction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from pyro_align.data.batch import Batch
from pyro_align.evaluation.translation import translation_scores

ACTIVE = 0.01
"""Smallest variance of the posterior mean of an active unit (Burda et al. 2016, section 5.2)."""

_ROWS = 256
"""Samples whose densities under all posteriors are computed at once."""


@dataclass(frozen=True)
class MutualInformation:
    """An estimate of the mutual information of sentence and latent variable under the guide.

    With one sample ``s_i ~ q(s | y_i)`` for each of ``N`` sentences it is the mean of ``log q(s_i |
    y_i) − log 1/N Σ_j q(s_i | y_j)`` (Hoffman & Johnson 2016). It cannot exceed ``log N``, and may
    be negative because the samples are random.

    Attributes:
        terms: the term of each sentence, in nats.
    """

    terms: NDArray[np.float64]

    @property
    def value(self) -> float:
        """The estimate."""
        return float(self.terms.mean())

    @property
    def most(self) -> float:
        """The largest possible value, ``log N``."""
        return math.log(len(self.terms))

    def interval(
        self, level: float = 0.95, *, samples: int = 1000, seed: int = 0
    ) -> tuple[float, float]:
        """Compute a percentile bootstrap confidence interval over sentences.

        It reflects the choice of the sentences ``i`` and their samples; the mixture over ``j`` is
        fixed.

        Args:
            level: confidence level.
            samples: number of resamples.
            seed: seed of the resampling.
        """
        if len(self.terms) < 2:
            return self.value, self.value
        from scipy.stats import bootstrap  # takes half a second to import

        found = bootstrap(
            (self.terms,),
            np.mean,
            n_resamples=samples,
            confidence_level=level,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Reconstruction:
    """Comparison of sentences with those decoded from their latent variables.

    Attributes:
        exact_match: percentage of sentences without an error.
        bleu: corpus BLEU, between 0 and 100.
        signature: signature of sacreBLEU.
    """

    exact_match: float
    bleu: float
    signature: str

    @classmethod
    def of(cls, found: Sequence[str], references: Sequence[str]) -> Reconstruction:
        """Compare reconstructed sentences with the sentences.

        Args:
            found: a reconstruction of each sentence.
            references: the sentences.
        """
        equal = sum(one == other for one, other in zip(found, references, strict=True))
        scores = translation_scores(found, references)
        return cls(100 * equal / len(references), scores.bleu, scores.bleu_signature)


@dataclass
class LatentScores:
    """What the latent variable of a sentence carries.

    Attributes:
        dimensions: size of the latent variable.
        active_units: number of dimensions whose posterior mean has a variance above
            :data:`ACTIVE`.
        information: mutual information of sentence and latent variable.
        reconstruction: sentences decoded from their latent variable; None if not measured.
    """

    dimensions: int
    active_units: int
    information: MutualInformation
    reconstruction: Reconstruction | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        found: dict[str, Any] = {
            "latent_dimensions": self.dimensions,
            "active_units": self.active_units,
            "mutual_information": self.information.value,
            "mutual_information_interval": list(self.information.interval()),
        }
        if self.reconstruction is not None:
            found |= {
                "exact_match": self.reconstruction.exact_match,
                "reconstruction_bleu": self.reconstruction.bleu,
                "reconstruction_bleu_signature": self.reconstruction.signature,
            }
        return found


def active_units(means: Float[Tensor, "sentence latent"]) -> int:
    """Count the dimensions whose posterior mean has a variance above :data:`ACTIVE`.

    Args:
        means: posterior mean of each sentence.
    """
    if len(means) < 2:
        return 0
    return int((means.double().var(0) > ACTIVE).sum())


@torch.no_grad()
def mutual_information(posteriors: Sequence[Any], seed: int = 0) -> MutualInformation:
    """Estimate the mutual information of sentence and latent variable under the guide.

    The global random state is not changed.

    Args:
        posteriors: distributions ``q(s | y)`` of batches of sentences, of batch shape ``(sentences,
            1)`` each.
        seed: seed of the samples.
    """
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        samples = [posterior.sample() for posterior in posteriors]
    own = [
        posterior.log_prob(sample) for posterior, sample in zip(posteriors, samples, strict=True)
    ]
    log_own = torch.cat(own).squeeze(1).double()
    drawn = torch.cat(samples)
    mixtures = []
    for part in drawn.split(_ROWS):
        # One row for each sample, a column for each posterior.
        densities = [each.log_prob(part.unsqueeze(1)).squeeze(-1) for each in posteriors]
        mixtures.append(torch.cat(densities, 1).double().logsumexp(1) - math.log(len(drawn)))
    return MutualInformation((log_own - torch.cat(mixtures)).cpu().numpy())


@torch.no_grad()
def score_latents(
    guide: Any, batches: Iterable[Batch], device: torch.device | str = "cpu"
) -> LatentScores:
    """Compute active units and mutual information of a guide with one latent site.

    Args:
        guide: the guide, in evaluation mode, with the method ``posterior``.
        batches: batches of sentences.
        device: device of the guide.
    """
    posteriors = []
    for batch in batches:
        (posterior,) = guide.posterior(batch.to(device)).values()
        posteriors.append(posterior)
    means = torch.cat([posterior.mean.squeeze(1) for posterior in posteriors])
    return LatentScores(means.shape[1], active_units(means), mutual_information(posteriors))
