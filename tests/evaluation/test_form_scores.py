import numpy as np
import pytest
from scipy.stats import binom
from torchmetrics.functional.text import word_error_rate

from pyro_align.evaluation import FormRates, FormScores
from pyro_align.evaluation.quantities import QUANTITIES

WORDS = {
    "kor": [("k a n a", "k a n a"), ("t a", "t a t"), ("m u l", "p u")],
    "fre": [("ɑ̃ f ɑ̃", "ɑ̃ f ɑ̃"), ("o", "o")],
}


def scores(words=WORDS) -> FormScores:
    found = FormScores()
    for language, pairs in words.items():
        for reference, prediction in pairs:
            found.update(reference.split(), prediction.split(), language)
    return found


def test_rates_of_a_language():
    expected = {
        "word_error_rate": 200 / 3,
        "symbol_error_rate": 100 * 3 / 9,
        "mean_edit_distance": 1.0,
    }
    assert vars(scores().rates("kor")) == pytest.approx(expected)
    assert scores().rates("kor").word_accuracy == pytest.approx(100 / 3)
    assert scores().rates("fre") == FormRates(0.0, 0.0, 0.0)


def test_symbol_error_rate_equals_torchmetrics():
    references, predictions = zip(*WORDS["kor"], strict=True)
    expected = 100 * float(word_error_rate(list(predictions), list(references)))
    assert scores().rates("kor").symbol_error_rate == pytest.approx(expected, rel=1e-6)


def test_means_are_over_languages_not_words():
    assert tuple(vars(scores().rates()).values()) == pytest.approx((100 / 3, 100 / 6, 0.5))
    assert scores({"": WORDS["kor"]}).rates() == scores().rates("kor")


def test_a_rate_can_exceed_one_hundred():
    assert scores({"": [("a", "b c d")]}).rates().symbol_error_rate == 300


def test_the_interval_of_the_word_error_rate_is_binomial():
    """The number of wrong words of a resampled test set has a binomial distribution."""
    wrong, words = 40, 200
    found = scores({"": [("a", "b")] * wrong + [("a", "a")] * (words - wrong)})
    low, high = found.interval(level=0.9, samples=20_000)
    for limit, probability in ((low, 0.05), (high, 0.95)):
        # The standard error of the quantile is below 0.2 words: one word off is 5 errors.
        expected = binom.ppf(probability, words, wrong / words)
        assert abs(limit.word_error_rate * words / 100 - expected) <= 1
        assert limit.symbol_error_rate == limit.word_error_rate
        assert limit.mean_edit_distance == pytest.approx(limit.word_error_rate / 100)


def test_the_mean_over_languages_varies_less():
    """Languages are resampled independently, so the width of four equal ones is half of one."""
    words = [("a", "b")] * 50 + [("a", "a")] * 50
    low, high = scores({"one": words}).interval(samples=20_000)
    mean_low, mean_high = scores(dict.fromkeys("abcd", words)).interval(samples=20_000)
    ratio = (mean_high.word_error_rate - mean_low.word_error_rate) / (
        high.word_error_rate - low.word_error_rate
    )
    # Limits are multiples of 1 and of 1/4: widths are 20 and 10, each within 1 and 0.5.
    assert 0.42 < ratio < 0.58


def test_the_interval_of_a_ratio():
    """The symbol error rate is resampled as a ratio of sums, not as a mean of ratios."""
    found = scores({"": [("a", "b"), ("a b c", "a b c")]})
    low, high = found.interval(level=0.999, samples=1000)
    assert (low.symbol_error_rate, high.symbol_error_rate) == (0, 100)
    low, high = found.interval(level=0.4, samples=1000)  # one of each in half of the samples
    assert low.symbol_error_rate == high.symbol_error_rate == 25


def test_intervals_depend_only_on_the_seed():
    found = scores()
    assert found.interval() == found.interval()
    assert found.interval("kor", samples=20, seed=1) != found.interval("kor", samples=20, seed=2)
    for language in (None, "kor"):
        rates, (low, high) = found.rates(language), found.interval(language)
        assert low.word_error_rate <= rates.word_error_rate <= high.word_error_rate


def test_many_words_are_resampled_in_chunks(monkeypatch):
    expected = scores().interval("kor", samples=30)
    monkeypatch.setattr("pyro_align.evaluation.forms._CHUNK", 7)
    assert scores().interval("kor", samples=30) == expected


def test_table():
    table = scores().table(samples=50)
    assert [*table.index] == ["kor", "fre", "macro average"]
    assert [*table["words"]] == [3, 2, 5]
    np.testing.assert_allclose(table["word_error_rate"], [200 / 3, 0, 100 / 3])
    np.testing.assert_allclose(table["symbol_error_rate"], [100 / 3, 0, 100 / 6])
    np.testing.assert_allclose(table["word_accuracy"], [100 / 3, 100, 200 / 3])
    np.testing.assert_allclose(table["mean_edit_distance"], [1, 0, 0.5])
    measured = [name.removesuffix("_low").removesuffix("_high") for name in table]
    assert {*measured} - {"words"} <= QUANTITIES.keys()
    low, high = scores().interval("kor", samples=50)
    assert table.loc["kor", "word_error_rate_low"] == low.word_error_rate
    assert table.loc["kor", "symbol_error_rate_high"] == high.symbol_error_rate
    assert [*scores({"": WORDS["kor"]}).table(samples=50).index] == ["all"]
    assert [*scores({"kor": WORDS["kor"]}).table(samples=50).index] == ["kor"]


def test_invalid_input_is_rejected():
    with pytest.raises(ValueError, match="at least one symbol"):
        FormScores().update([], ["a"])
    with pytest.raises(ValueError, match=r"there are no words$"):
        FormScores().rates()
    with pytest.raises(ValueError, match="no words of 'x'"):
        scores().interval("x")
    with pytest.raises(ValueError, match="no words"):
        FormScores().table()
    for level in (0.0, 1.0):
        with pytest.raises(ValueError, match="between 0 and 1"):
            scores().interval(level=level)
