"""Posterior of one sentence pair: links, samples, intervals, words."""

import dataclasses
import math

import numpy as np
import pytest
from posteriors import WORDS, by_hand, dirichlet, matrix, random_sentence, soft

from pyro_align.data import GoldLinks
from pyro_align.errors import ConfigError, UserError
from pyro_align.posterior import Words
from pyro_align.posterior.sentence import SUMS, entropy


def test_kinds():
    one = by_hand()
    assert one.kinds == ("prior", "guide", "posterior")
    assert one.matrix("guide") is one.guide
    assert soft().kinds == ("prior",)
    with pytest.raises(ConfigError, match=r"this sentence has no 'guide': .*known: prior"):
        soft().matrix("guide")
    with pytest.raises(ConfigError, match="did you mean 'posterior'"):
        one.matrix("postreior")
    with pytest.raises(ConfigError, match="no 'source'"):
        one.matrix("source")


def test_entropy():
    found = entropy(matrix((0.5, 0.5, 0), (1, 0, 0), (0.25, 0.25, 0.5)))
    assert found == pytest.approx([np.log(2), 0, 1.5 * np.log(2)])
    assert by_hand().guide_entropy[3] == 0
    assert soft().guide_entropy is None


def test_best_links():
    one = by_hand()
    # ▁x – sentence end, y – ▁a, ▁z – ▁c, and the target's sentence end does not count.
    assert one.best_links("prior") == {(0, 1), (2, 2)}
    assert one.best_links("guide") == {(0, 0), (1, 1), (2, 2)}
    assert one.best_links("posterior", 0.2) == {(0, 0), (1, 0), (0, 1), (1, 1), (2, 2)}
    with pytest.raises(ConfigError, match="threshold"):
        one.best_links("posterior", 1.5)


def test_best_links_without_sentence_ends():
    one = random_sentence(("a", "b"), ("x", "y", "z"), 0)
    expected = {(int(row.argmax()), target) for target, row in enumerate(one.guide)}
    assert one.best_links("guide") == expected


def test_sample_frequencies_match_the_probabilities():
    one = by_hand()
    draws = one.samples("posterior", 4_000, seed=1)
    assert draws.shape == (4_000, 4)
    found = np.stack([(draws == source).mean(0) for source in range(4)], axis=1)
    # Five standard errors of a frequency at most.
    assert found == pytest.approx(one.posterior, abs=5 * 0.5 / 4_000**0.5)
    assert not found[one.posterior == 0].any()
    assert (draws == one.samples("posterior", 4_000, seed=1)).all()
    assert (draws != one.samples("posterior", 4_000, seed=2)).any()


def test_dirichlet_samples_are_on_the_simplex():
    one = dirichlet()
    n = 4_000
    draws = one.samples("prior", n, seed=0)
    assert draws.shape == (n, 4, 4)
    assert draws.sum(-1) == pytest.approx(np.ones((n, 4)))
    assert draws.mean(0) == pytest.approx(one.prior, abs=5 * 0.5 / n**0.5)
    total = one.concentration_prior.sum(-1, keepdims=True)
    variance = one.prior * (1 - one.prior) / (total + 1)
    assert draws.var(0) == pytest.approx(variance, abs=0.02)
    assert one.samples("guide", 3, seed=0).shape == (3, 4)


def test_credible_intervals():
    one = dirichlet()
    low, high = one.credible_interval("prior", 0.9)
    draws = one.samples("prior", 4_000, seed=3)
    assert (draws < low).mean(0) == pytest.approx(np.full((4, 4), 0.05), abs=0.025)
    assert (draws > high).mean(0) == pytest.approx(np.full((4, 4), 0.05), abs=0.025)
    alpha = matrix((1, 1), (1, 2))
    two = random_sentence(("a", "b"), ("x", "y"), 0)
    two = dataclasses.replace(two, concentration_guide=alpha)
    low, high = two.credible_interval("guide", 0.8)
    # Beta(1, 1) and Beta(1, 2), Beta(2, 1): their distribution functions can be inverted by hand.
    assert low == pytest.approx(np.array([[0.1, 0.1], [1 - 0.9**0.5, 0.1**0.5]]))
    assert high == pytest.approx(np.array([[0.9, 0.9], [1 - 0.1**0.5, 0.9**0.5]]))


def test_credible_intervals_of_very_uneven_concentrations():
    """Beta(a, 1) and Beta(1, b), whose distribution functions can be inverted by hand."""
    alpha = np.array([[0.0067, 1.0], [1.0, 29_600.0]])
    one = random_sentence(("a", "b"), ("x", "y"), 0)
    one = dataclasses.replace(one, concentration_prior=alpha)
    _, high = one.credible_interval("prior", 0.95)
    assert high[0, 0] == pytest.approx(0.975 ** (1 / 0.0067), rel=1e-9)
    assert high[1, 0] == pytest.approx(-math.expm1(math.log(0.025) / 29_600), rel=1e-9)
    assert high[1, 1] == pytest.approx(0.975 ** (1 / 29_600), rel=1e-9)


def test_the_interval_of_a_single_source_position():
    one = random_sentence(("a",), ("x",), 0)
    one = dataclasses.replace(one, concentration_prior=matrix((3.0,)))
    assert one.credible_interval("prior") == (1.0, 1.0)


def test_no_credible_interval():
    with pytest.raises(ConfigError, match="guide has no credible interval"):
        dirichlet().credible_interval("guide")
    with pytest.raises(ConfigError, match="no credible interval"):
        dirichlet().to_words().credible_interval("prior")
    with pytest.raises(ConfigError, match=r"between 0 and 1, got 95"):
        dirichlet().credible_interval("prior", 95)
    with pytest.raises(ConfigError, match="no 'posterior'"):
        dirichlet().credible_interval("posterior")


def test_words_by_hand():
    words = by_hand().to_words()
    assert words.source == ("ab", "c", "</s>")
    assert words.target == ("xy", "z", "</s>")
    # Sums over the first two columns, means of the first two rows.
    prior = [[0.45, 0.25, 0.3], [0, 1, 0], [0.5, 0.25, 0.25]]
    guide = [[0.8, 0.1, 0.1], [0.4, 0.6, 0], [0, 0, 1]]
    posterior = [[0.9, 0.05, 0.05], [0.1, 0.9, 0], [0, 0.4, 0.6]]
    assert words.prior == pytest.approx(np.array(prior), abs=1e-6)
    assert words.guide == pytest.approx(np.array(guide), abs=1e-6)
    assert words.posterior == pytest.approx(np.array(posterior), abs=1e-6)
    assert words.log_evidence.tolist() == [-3, -4, -8]
    assert words.elbo.tolist() == [-3.75, -4.125, -8.5]
    assert words.kl == pytest.approx([0.3, 0.4, 0.8])
    assert words.gap.tolist() == [0.75, 0.125, 0.5]
    assert words.prior_entropy[1] == pytest.approx(0, abs=1e-6)
    assert words.posterior_entropy[1] == pytest.approx(-0.1 * np.log(0.1) - 0.9 * np.log(0.9))
    assert words.gold == GoldLinks(frozenset({(0, 0)}), frozenset({(1, 1)}))
    assert words.best_links("posterior") == {(0, 0), (1, 1)}


def test_merging_keeps_the_sums_over_the_sentence():
    one, words = by_hand(), by_hand().to_words()
    for name in SUMS:
        assert getattr(words, name).sum() == pytest.approx(getattr(one, name).sum())
    assert words.elbo + words.gap == pytest.approx(words.log_evidence)


def test_words_of_soft_attention():
    words = soft().to_words()
    assert words.kinds == ("prior",)
    assert words.elbo is words.gap is words.posterior_entropy is words.guide_entropy is None


def test_a_word_without_pieces_keeps_its_place():
    index = Words(("ab", "", "c"), ("xy", "", "z"), (0, 0, 2, -1), (0, 0, 2, -1))
    words = by_hand(words=index).to_words()
    assert words.source == ("ab", "", "c", "</s>")
    assert words.guide[0] == pytest.approx([0.8, 0, 0.1, 0.1])
    assert not words.guide[1].any()
    assert words.log_evidence.tolist() == [-3, 0, -4, -8]
    assert words.best_links("guide") == {(0, 0), (2, 2)}
    assert (words.samples("guide", 5, 0)[:, 1] == 3).all()


def test_merging_needs_known_words():
    with pytest.raises(UserError, match="cannot be merged"):
        by_hand(words=None).to_words()
    with pytest.raises(UserError, match="words already"):
        by_hand().to_words().to_words()


def test_gold_links_of_pieces():
    links = WORDS.links_of_tokens()
    assert links.sure == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert links.possible - links.sure == {(2, 2)}
    assert dataclasses.replace(WORDS, gold=None).links_of_tokens() is None
