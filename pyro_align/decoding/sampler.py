"""Ancestral samples of translations, with alignments summed out."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pyro_align.data.batch import BOS, EOS
from pyro_align.decoding.ensemble import Ensemble
from pyro_align.decoding.hypotheses import Hypothesis
from pyro_align.decoding.predictor import Rows
from pyro_align.decoding.search import Search, fast_steps, not_finite
from pyro_align.errors import ConfigError
from pyro_align.models import AlignmentModel


class Sampler(Search):
    """Samples of translations ``y`` from ``p(y | x)``, with alignments summed out.

    Each token is drawn in proportion to ``p(y_t | x, y_<t) ** (1 / temperature)`` among the most
    probable tokens that together have the probability ``top_p`` (nucleus sampling, Holtzman et
    al. 2020). The samples of a source depend on the seed and on the source, not on other sources
    or on batches; torch's random state is neither used nor changed.

    Args:
        model: see :class:`Search`.
        samples: number of samples per sentence, drawn independently.
        temperature: 1 for samples of the model, smaller for more probable translations.
        top_p: probability of the tokens that are drawn from; 1 for all tokens.
        seed: random seed.
        **limits: other options of :class:`Search`.

    Raises:
        ConfigError: if a number is out of its range.
        IncompatibleError: if the networks of a model cannot decode step by step.
    """

    def __init__(
        self,
        model: AlignmentModel | Ensemble,
        *,
        samples: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 0,
        **limits: Any,
    ):
        super().__init__(model, **limits)
        if samples < 1:
            raise ConfigError(f"the number of samples must be at least 1, got {samples}")
        if not 0 < temperature < math.inf:
            raise ConfigError(
                f"the temperature must be above 0, got {temperature}; for the most probable tokens "
                f"use beam search with a beam of 1"
            )
        if not 0 < top_p <= 1:
            raise ConfigError(f"top_p must be above 0 and at most 1, got {top_p}")
        self.samples = samples
        self.temperature = temperature
        self.top_p = top_p
        self.seed = seed

    @torch.no_grad()
    def search(self, sources: Sequence[Sequence[int]]) -> list[list[Hypothesis]]:
        """Sample translations; see :meth:`Search.search`.

        Returns:
            For each sentence its samples, in the order in which they were drawn; the score of each
            is its log probability under the model.
        """
        if not sources:
            return []
        state, limits = self._start(sources)
        device = limits.device
        count, longest = len(sources) * self.samples, int(limits.max())
        uniform = torch.stack([self._uniform(source, longest) for source in sources])
        uniform = uniform.flatten(0, 1).to(device)
        sentence = torch.arange(len(sources), device=device).repeat_interleave(self.samples)
        tokens = torch.full((count, longest), EOS, device=device)
        total = torch.zeros(count, dtype=torch.float64, device=device)
        # All samples of a sentence begin with one row.
        rows = _rows(torch.arange(len(sources), device=device))
        live = torch.arange(count, device=device)
        row, last = sentence, torch.full((len(sources), 1), BOS, device=device)
        with fast_steps():
            for place in range(longest):
                found, state = self.predictor.step(state, rows, last, self.top_k)
                self._restrict(found, place + 1, limits[rows.sentence])
                log_probs = found.double()[row]
                if not bool(log_probs.amax(1).isfinite().all()):
                    raise not_finite()
                chosen = self._draw(log_probs, uniform[live, place])
                tokens[live, place] = chosen
                total[live] += log_probs.gather(1, chosen.unsqueeze(1)).squeeze(1)
                goes_on = chosen != EOS
                live, parent, last = live[goes_on], row[goes_on], chosen[goes_on].unsqueeze(1)
                if not len(live):
                    break
                after = _rows(sentence[live])
                state = self.predictor.extend(state, rows, after, parent, last)
                rows, row = after, torch.arange(len(live), device=device)
        drawn = [
            Hypothesis(tuple(_until_end(ids)), log_prob, log_prob)
            for ids, log_prob in zip(tokens.tolist(), total.tolist(), strict=True)
        ]
        return [drawn[i : i + self.samples] for i in range(0, count, self.samples)]

    def _uniform(self, source: Sequence[int], longest: int) -> Float[Tensor, "sample length"]:
        """Return the random numbers of a sentence, the first ones for any ``longest``."""
        digest = hashlib.blake2b(repr((self.seed, *map(int, source))).encode(), digest_size=8)
        generator = torch.Generator().manual_seed(int.from_bytes(digest.digest(), "little") >> 1)
        shape = (longest, self.samples)
        return torch.rand(shape, dtype=torch.float64, generator=generator).T

    def _draw(
        self, log_probs: Float[Tensor, "row vocabulary"], uniform: Float[Tensor, " row"]
    ) -> Int[Tensor, " row"]:
        """Draw a token for each row by inversion of the distribution function."""
        probs = (log_probs / self.temperature).softmax(1)
        probs, order = probs.sort(dim=1, descending=True)
        cumulative = probs.cumsum(1)
        kept = (cumulative - probs < self.top_p).sum(1, keepdim=True)
        mass = cumulative.gather(1, kept - 1)
        place = torch.searchsorted(cumulative, uniform.unsqueeze(1) * mass, right=True)
        return order.gather(1, place.minimum(kept - 1)).squeeze(1)


def _rows(sentence: Int[Tensor, " row"]) -> Rows:
    """Number the rows of each sentence, given in order."""
    present, counts = sentence.unique_consecutive(return_counts=True)
    first = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return Rows(sentence, torch.arange(len(sentence), device=sentence.device) - first, present)


def _until_end(ids: list[int]) -> list[int]:
    return ids[: ids.index(EOS) + 1]
