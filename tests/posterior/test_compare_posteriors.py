"""Comparison of posteriors, with values computed by hand."""

import dataclasses
import math

import numpy as np
import pytest
from posteriors import by_hand, matrix, random_sentence, soft, some

from pyro_align.errors import ConfigError, UserError
from pyro_align.posterior import AlignmentPosterior, compare
from pyro_align.posterior.compare import jensen_shannon


def test_jensen_shannon_by_hand():
    one, two = matrix((1, 0), (0.5, 0.5), (1, 0)), matrix((0, 1), (0.5, 0.5), (0.5, 0.5))
    # (1, 0) and (1/2, 1/2): H(3/4, 1/4) − H(1/2, 1/2)/2.
    mixed = -0.75 * math.log(0.75) - 0.25 * math.log(0.25) - 0.5 * math.log(2)
    assert jensen_shannon([one, two]) == pytest.approx([math.log(2), 0, mixed])
    assert jensen_shannon([two, one]) == pytest.approx([math.log(2), 0, mixed])
    thirds = [matrix((1, 0, 0)), matrix((0, 1, 0)), matrix((0, 0, 1))]
    assert jensen_shannon(thirds) == pytest.approx([math.log(3)])


def test_jensen_shannon_is_the_mean_divergence_from_the_mean():
    p, q = (random_sentence("abcde", "vwxyz", seed).guide.astype(float) for seed in (0, 1))
    middle = (p + q) / 2
    expected = sum((w * np.log(w / middle)).sum(-1) for w in (p, q)) / 2
    assert jensen_shannon([p, q]) == pytest.approx(expected)


def other(**changes):
    """Guide and prior of another model for :func:`by_hand`."""
    guide = matrix((0.7, 0.1, 0.1, 0.1), (0, 0, 0, 1), (0.2, 0.2, 0.6, 0), (0, 0.5, 0, 0.5))
    return by_hand(**{"guide": guide, "gap": np.array([0.0, 9.0, 1.0, 2.0]), **changes})


def test_rows_are_sorted_by_disagreement():
    a = AlignmentPosterior([by_hand(), by_hand()], "a")
    b = AlignmentPosterior([by_hand(), other()], "b")
    table = compare(a, b)
    assert list(table) == [
        *("sentence", "target_position", "target_token"),
        *("prior_divergence", "guide_divergence", "posterior_divergence"),
        *("link: a", "link: b", "gap: a", "gap: b"),
    ]
    assert len(table) == 8
    assert table["guide_divergence"].is_monotonic_decreasing
    first, second = table.iloc[0], table.iloc[1]
    assert (first["sentence"], first["target_position"], first["target_token"]) == (1, 1, "y")
    assert (first["link: a"], first["link: b"]) == ("b", "</s>")
    assert (first["gap: a"], first["gap: b"]) == (0.25, 9.0)
    assert second["target_token"] == "</s>"
    assert (table["guide_divergence"][2:] == 0).all()
    assert (table["prior_divergence"] == 0).all()
    # Where nothing differs, in the order of the text.
    assert table["sentence"][2:].tolist() == [0, 0, 0, 0, 1, 1]


def test_sorted_by_another_kind():
    changed = by_hand(prior=matrix((0.1, 0.2, 0.3, 0.4), (0, 0, 0, 1), (0, 0, 1, 0), (0.25,) * 4))
    a, b = AlignmentPosterior([by_hand()], "a"), AlignmentPosterior([changed], "b")
    assert compare(a, b)["target_token"].tolist() == ["▁x", "y", "▁z", "</s>"]
    table = compare(a, b, by="prior")
    assert table["target_token"].tolist() == ["y", "▁x", "▁z", "</s>"]
    assert (table["link: a"][0], table["link: b"][0]) == ("▁a", "</s>")


def test_only_kinds_that_all_have():
    a, b = AlignmentPosterior([by_hand()], "a"), AlignmentPosterior([soft()], "soft")
    table = compare(a, b)
    assert "guide_divergence" not in table
    assert (table["prior_divergence"] == 0).all()
    assert table["gap: soft"].isna().all()
    with pytest.raises(ConfigError, match=r"not every posterior has a 'guide': .*prior"):
        compare(a, b, by="guide")


def test_equal_titles_are_numbered():
    one = AlignmentPosterior([by_hand()])
    table = compare(one, one, one)
    assert [name for name in table if name.startswith("gap")] == ["gap: 1", "gap: 2", "gap: 3"]


def test_words():
    a, b = (AlignmentPosterior([one], "x").words() for one in (by_hand(), other()))
    table = compare(a, b)
    assert table["target_token"].tolist() == ["</s>", "xy", "z"]
    assert table["gap: 2 x"].tolist() == [2, 9, 1]


def test_different_sentences_are_rejected():
    three = some()
    with pytest.raises(UserError, match="needs two or more posteriors, got 1"):
        compare(three)
    with pytest.raises(UserError, match="posterior 2 has 2 sentence pairs, but the first has 3"):
        compare(three, three[:2])
    with pytest.raises(
        UserError, match=r"sentence 2 differ between posterior 3 .* compare\(a\.words\(\)"
    ):
        compare(three, three, AlignmentPosterior([three[0], three[1], three[0]]))
    mixed = dataclasses.replace(by_hand(), target=("▁x", "y", "▁w", "</s>"))
    a, b = AlignmentPosterior([by_hand()]), AlignmentPosterior([mixed])
    with pytest.raises(
        UserError, match="tokens of sentence 0 differ between posterior 2 and the first"
    ):
        compare(a, b)
    with pytest.raises(UserError, match="no sentence pair"):
        compare(three[:0], three[:0])
