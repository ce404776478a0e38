from collections import Counter

import pytest
import torch
from sacrebleu.metrics.chrf import CHRF
from scipy.stats import chisquare
from support import randomise, tiny_networks

from pyro_align.data.batch import BOS, EOS, PAD, TextBatch
from pyro_align.decoding import BeamSearch, Ensemble, MinimumBayesRisk, Sampler, ScoredText
from pyro_align.errors import ConfigError
from pyro_align.inference import score_positions
from pyro_align.models import CategoricalModel, MarkovModel, SoftModel

SOURCES = [[5, 4, 6, EOS], [6, EOS], [4, 4, 5, 5, 6, EOS], [EOS]]
TRANSFORMER = {
    "encoder": "transformer",
    "decoder": "transformer",
    "heads": 2,
    "encoder_hidden": 4,
    "decoder_hidden": 8,
}
LIMITS = {"max_length_ratio": 0.0, "max_length_offset": 3}


def varied(kind=CategoricalModel, seed=0, **settings):
    made = kind(tiny_networks(vocabulary=7, **settings))
    randomise(made, seed, scale=0.9)
    return made.eval()


@pytest.fixture(scope="module")
def model():
    return varied(emission="product", lexical=True)


def next_token(model, source, prefix):
    """Probabilities of the token after a prefix, by teacher forcing."""
    batch = TextBatch.from_ids([source], [[*prefix, EOS]])
    with torch.no_grad():
        return model.next_token(model.states(batch))[0, -1].exp()


def restricted(probs, temperature, top_p):
    """The distribution that a token is drawn from, token by token."""
    probs = probs.clone()
    probs[[PAD, BOS]] = 0
    probs = probs ** (1 / temperature)
    probs /= probs.sum()
    kept, mass = {}, 0.0
    for token in probs.argsort(descending=True).tolist():
        if mass < top_p and probs[token] > 0:
            kept[token] = probs[token].item()
        mass += probs[token].item()
    return {token: p / sum(kept.values()) for token, p in kept.items()}


def enumerated(model, source, limit, temperature, top_p, prefix=()):
    """Probability of every sentence of at most ``limit`` tokens."""
    if len(prefix) == limit - 1:
        return {(*prefix, EOS): 1.0}
    found = {}
    for token, p in restricted(next_token(model, source, prefix), temperature, top_p).items():
        if token == EOS:
            found[*prefix, EOS] = p
            continue
        rest = enumerated(model, source, limit, temperature, top_p, (*prefix, token))
        found |= {sentence: p * q for sentence, q in rest.items()}
    return found


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 1.0), (1.5, 0.7)])
def test_samples_are_distributed_as_by_enumeration(model, temperature, top_p):
    options = {"temperature": temperature, "top_p": top_p}
    count = 10_000
    sampler = Sampler(model, samples=count, **options, **LIMITS)
    for source, drawn in zip(SOURCES[:2], sampler.search(SOURCES[:2]), strict=True):
        expected = enumerated(model, source, 3, **options)
        assert sum(expected.values()) == pytest.approx(1.0)
        found = Counter(each.tokens for each in drawn)
        assert found.keys() <= expected.keys()
        pooled = {s: s if p * count >= 8 else "rare" for s, p in expected.items()}
        wanted, seen = Counter(), Counter()
        for sentence, p in expected.items():
            wanted[pooled[sentence]] += p * count
            seen[pooled[sentence]] += found[sentence]
        wanted, seen = zip(*((wanted[each], seen[each]) for each in wanted), strict=True)
        assert len(wanted) > 5
        # Fails with a probability of 1e-6 if the samples are correct.
        assert chisquare(seen, wanted).pvalue > 1e-6


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (CategoricalModel, {"input_feeding": True}),
        (MarkovModel, {}),
        (CategoricalModel, TRANSFORMER),
    ],
)
def test_log_probabilities_are_those_of_the_model(kind, options):
    model = varied(kind, **options)
    for source, drawn in zip(
        SOURCES, Sampler(model, samples=3, temperature=0.7).search(SOURCES), strict=True
    ):
        for each in drawn:
            batch = TextBatch.from_ids([source], [each.tokens])
            expected = score_positions(model, None, batch).log_evidence.sum().item()
            assert each.log_probability == pytest.approx(expected)
            assert each.score == each.log_probability


@pytest.mark.parametrize("kind", [CategoricalModel, SoftModel])
def test_samples_depend_on_seed_and_source_only(kind):
    model = varied(kind, input_feeding=True)
    state = torch.random.get_rng_state()
    together = Sampler(model, samples=4, seed=3).search(SOURCES)
    assert torch.equal(state, torch.random.get_rng_state())
    for source, drawn in zip(SOURCES, together, strict=True):
        (alone,) = Sampler(model, samples=4, seed=3).search([source])
        assert [each.tokens for each in alone] == [each.tokens for each in drawn]
    others = Sampler(model, samples=4, seed=4).search(SOURCES)
    assert [[h.tokens for h in each] for each in others] != [
        [h.tokens for h in each] for each in together
    ]
    assert len({h.tokens for each in together for h in each}) > 4


def test_a_small_nucleus_is_greedy_search(model):
    greedy = BeamSearch(Ensemble([model, model]), beam=1).search(SOURCES)
    drawn = Sampler(Ensemble([model, model]), top_p=1e-9).search(SOURCES)
    assert [each[0].tokens for each in drawn] == [each[0].tokens for each in greedy]


@pytest.mark.parametrize("kind", [BeamSearch, Sampler])
def test_lengths_can_be_limited_and_forced(model, kind):
    for low, high in ((1, 2), (4, 4), (5, None), (30, 31)):
        for found in kind(model, min_length=low, max_length=high).search(SOURCES):
            for each in found:
                assert low <= len(each.tokens) <= (high or 99)
                assert each.tokens.index(EOS) == len(each.tokens) - 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"samples": 0}, "samples"),
        ({"temperature": 0.0}, "beam of 1"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"min_length": 4, "max_length": 3}, "minimum length"),
    ],
)
def test_options_out_of_range_are_rejected(model, options, match):
    with pytest.raises(ConfigError, match=match):
        Sampler(model, **options)


def test_minimum_bayes_risk_maximises_the_mean_chrf():
    texts = ["a dog barks", "the dog barks", "a cat", "a dog barks", "dogs bark loudly", ""]
    samples = [ScoredText(text, 0.0, -float(i)) for i, text in enumerate(texts)]
    chosen = MinimumBayesRisk(3)(samples)
    mean = {
        text: sum(CHRF().sentence_score(text, [other]).score for other in texts) / len(texts)
        for text in texts
    }
    assert [each.text for each in chosen] == sorted(mean, key=mean.get, reverse=True)[:3]
    for each in chosen:
        assert each.score == pytest.approx(mean[each.text])
        assert each.log_probability == -texts.index(each.text)
