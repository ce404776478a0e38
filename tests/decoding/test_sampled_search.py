"""Translations given samples of the latent variable of a sentence."""

from __future__ import annotations

import pytest
import torch
from support import tiny_guide, tiny_model
from variational import variational

from pyro_align.data.batch import TextBatch
from pyro_align.decoding import BeamSearch, SampledSearch, length_penalty
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.guides import GaussianGuide
from pyro_align.inference import score_sentences

SOURCES = [[4, 5, 6, 3], [7, 3]]
SHORT = {"max_length_ratio": 1.0, "max_length_offset": 2}


@pytest.fixture(scope="module")
def programs():
    model = variational(latent=2, scale=0.5).eval()
    return model, tiny_guide(model, GaussianGuide).eval()


class Fixed(BeamSearch):
    """Beam search given one value of the latent variable."""

    def __init__(self, model, noise, **options):
        super().__init__(model, **options)

        def encode(source, mask, lengths):
            memory = model.networks.encode(source, mask, lengths)
            prior = model.sentence_prior(memory)
            latent = prior.mean + prior.variance.sqrt() * noise
            return model.given(memory, latent.squeeze(1))

        self.predictor.encode = encode


def test_candidates_and_their_ranks(programs):
    """The best translation given each sample, ranked by the estimated likelihood."""
    model, guide = programs
    search = SampledSearch(model, guide, samples=6, n_best=6, beam=2, **SHORT)
    found = search.search(SOURCES)
    noise = torch.randn(6, 2, generator=torch.Generator().manual_seed(0)).double()
    singles = [Fixed(model, each, beam=2, **SHORT).search(SOURCES) for each in noise]
    assert max(map(len, found)) > 1
    for row, hypotheses in enumerate(found):
        tokens = [one.tokens for one in hypotheses]
        assert len(set(tokens)) == len(tokens)
        assert set(tokens) == {each[row][0].tokens for each in singles}
        order = list(dict.fromkeys(each[row][0].tokens for each in singles))
        batch = TextBatch.from_ids([SOURCES[row]] * len(order), order)
        expected = score_sentences(model, guide, batch, draws=6).log_evidence
        scores = dict(zip(order, expected.tolist(), strict=True))
        for one in hypotheses:
            assert one.log_probability == pytest.approx(scores[one.tokens])
            assert one.score == pytest.approx(
                one.log_probability / length_penalty(len(one.tokens), 1.0)
            )
        assert [one.score for one in hypotheses] == sorted(
            (one.score for one in hypotheses), reverse=True
        )
    best = SampledSearch(model, guide, samples=6, beam=2, **SHORT).search(SOURCES)
    assert best == [each[:1] for each in found]


def test_a_sentence_does_not_depend_on_others(programs):
    model, guide = programs
    search = SampledSearch(model, guide, samples=4, n_best=4, beam=2, **SHORT)
    whole = search.search(SOURCES)
    for source, expected in zip(SOURCES, whole, strict=True):
        (alone,) = search.search([source])
        assert [one.tokens for one in alone] == [one.tokens for one in expected]


def test_errors(programs):
    model, guide = programs
    with pytest.raises(ConfigError, match="n_best must be between 1 and the number of samples, 2"):
        SampledSearch(model, guide, samples=2, n_best=3)
    with pytest.raises(ConfigError, match="must be at least 1, got 0"):
        SampledSearch(model, guide, samples=0)
    with pytest.raises(IncompatibleError, match="'variational', but the model is Categ"):
        SampledSearch(tiny_model().eval())
