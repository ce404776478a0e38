"""``AlignmentPosterior`` as a sequence, as tables, and its calibration."""

import numpy as np
import pandas as pd
import pytest
from posteriors import by_hand, matrix, some

import pyro_align
from pyro_align.data import GoldLinks
from pyro_align.errors import ConfigError, UserError
from pyro_align.posterior import AlignmentPosterior, SentencePosterior


def test_it_is_a_sequence():
    three = some()
    assert len(three) == 3
    assert list(three) == [three[0], three[1], three[2]]
    assert three[-1] is three[2]
    assert three.index(three[1]) == 1
    with pytest.raises(IndexError):
        three[3]
    assert (
        repr(three) == "AlignmentPosterior('categorical with amortized', 3 sentence pairs, pieces)"
    )


def test_slices():
    part = some()[1:]
    assert isinstance(part, AlignmentPosterior)
    assert (len(part), part.title, part.units) == (2, "categorical with amortized", "pieces")
    assert isinstance(part[0], SentencePosterior)
    assert set(part.to_frame()["sentence"]) == {0, 1}
    assert len(some()[5:]) == 0


def test_kinds_are_those_that_all_sentences_have():
    assert some().kinds == ("prior",)
    assert some()[2:].kinds == ("prior", "guide", "posterior")


def test_words():
    words = some()[:2].words()
    assert words.units == "words"
    assert words[0].source == ("ab", "c", "</s>")
    assert words.words() is words
    assert words[:1].units == "words"
    with pytest.raises(UserError, match="cannot be merged"):
        some().words()


def test_the_frame_has_every_cell():
    three = some()
    frame = three.to_frame()
    assert list(frame) == [
        *("sentence", "target_position", "target_token", "source_position", "source_token"),
        *("prior", "guide", "posterior", "gold"),
    ]
    assert len(frame) == 16 + 16 + 12
    for row in frame.itertuples():
        one = three[row.sentence]
        assert row.target_token == one.target[row.target_position]
        assert row.source_token == one.source[row.source_position]
        for kind in ("prior", "guide", "posterior"):
            value = getattr(row, kind)
            if kind in one.kinds:
                assert value == one.matrix(kind)[row.target_position, row.source_position]
            else:
                assert np.isnan(value)
        if one.gold is None:
            assert pd.isna(row.gold)
        else:
            link = (row.source_position, row.target_position)
            kind = "possible" if link in one.gold.possible else "none"
            assert row.gold == ("sure" if link in one.gold.sure else kind)
    assert set(frame["gold"].dropna()) == {"sure", "possible", "none"}
    assert frame["source_token"].dtype == frame["gold"].dtype == "str"
    rows = frame.groupby(["sentence", "target_position"])["prior"].sum()
    assert rows.to_numpy() == pytest.approx(np.ones(11))


def test_the_frame_of_positions():
    three = some()
    frame = three.positions_frame()
    assert list(frame) == [
        *("sentence", "target_position", "target_token", "log_evidence", "elbo", "kl", "gap"),
        *("prior_gap", "information", "prior_entropy", "guide_entropy", "posterior_entropy"),
    ]
    assert len(frame) == 4 + 4 + 3
    first = frame[frame["sentence"] == 0]
    assert first["log_evidence"].tolist() == [-1, -2, -4, -8]
    assert first["target_token"].tolist() == ["▁x", "y", "▁z", "</s>"]
    assert (first["elbo"] + first["gap"]).tolist() == first["log_evidence"].tolist()
    assert (
        frame[frame["sentence"] == 1][["elbo", "kl", "gap", "guide_entropy"]].isna().all(axis=None)
    )
    assert frame["prior_entropy"][3] == pytest.approx(np.log(4))


def test_the_frame_of_sentences_contains_sums():
    three = some()
    frame, positions = three.sentences_frame(), three.positions_frame()
    assert frame["target"].tolist() == ["▁x y ▁z </s>", "▁x y ▁z </s>", "<b> a_b </s>"]
    assert frame["source_tokens"].tolist() == [4, 4, 4]
    assert frame["target_tokens"].tolist() == [4, 4, 3]
    names = list(positions)[3:]
    sums = positions.groupby("sentence")[names].sum(min_count=1)
    pd.testing.assert_frame_equal(
        frame[names], sums.reset_index(drop=True), check_exact=False, check_names=False
    )
    assert frame["log_evidence"][0] == -15
    words = three[:2].words().sentences_frame()
    assert words["log_evidence"].tolist() == [-15, -15]


def test_no_sentences():
    nothing = AlignmentPosterior([])
    for table in (nothing.to_frame, nothing.positions_frame, nothing.sentences_frame):
        with pytest.raises(UserError, match="contains no sentence pairs"):
            table()


def calibrated():
    """Confidences 0.55, 0.6, 0.95, 1.0; the first and third are correct."""
    rows = matrix(
        (0.55, 0.25, 0.2),  # a sure link
        (0.2, 0.6, 0.2),  # not a link
        (0.05, 0.0, 0.95),  # nothing, and there is no link
        (0.0, 0.0, 1.0),  # nothing, but there is a link
        (1.0, 0.0, 0.0),  # the sentence end counts for nothing
    )
    zeros = np.zeros(5)
    return SentencePosterior(
        source=("a", "b", "</s>"),
        target=("v", "w", "x", "y", "</s>"),
        prior=rows,
        log_evidence=zeros,
        prior_entropy=zeros,
        gold=GoldLinks(frozenset({(0, 0), (0, 1)}), frozenset({(1, 3)})),
    )


def test_calibration_by_hand():
    both = AlignmentPosterior([calibrated(), by_hand(gold=None)])
    table = both.calibration("prior", bins=4)
    assert table["lower"].tolist() == [0, 0.25, 0.5, 0.75]
    assert table["upper"].tolist() == [0.25, 0.5, 0.75, 1]
    assert table["tokens"].tolist() == [0, 0, 2, 2]
    assert table["confidence"][:2].isna().all()
    assert table["accuracy"][:2].isna().all()
    assert table["confidence"][2:].tolist() == pytest.approx([0.575, 0.975])
    assert table["accuracy"][2:].tolist() == [0.5, 0.5]
    # (2 · |0.5 − 0.575| + 2 · |0.5 − 0.975|) / 4, the empty bins left out
    assert both.calibration_error("prior", bins=4) == pytest.approx(0.275)
    one = both.calibration("prior", bins=1)
    assert one[["tokens", "accuracy"]].to_numpy().tolist() == [[4, 0.5]]


def test_bins_include_their_upper_edge():
    half = matrix((0.5, 0.25, 0.25))
    zeros = np.zeros(1)
    one = SentencePosterior(
        source=("a", "b", "c"),
        target=("x",),
        prior=half,
        log_evidence=zeros,
        prior_entropy=zeros,
        gold=GoldLinks(frozenset({(0, 0)})),
    )
    table = AlignmentPosterior([one]).calibration("prior", bins=2)
    assert table["tokens"].tolist() == [1, 0]
    assert table["accuracy"][0] == 1


def test_gold_links_sampled_from_the_distribution_are_calibrated():
    generator = np.random.default_rng(0)
    sentences = []
    for _ in range(200):
        prior, other = (generator.dirichlet(np.ones(4) * 0.5, size=20) for _ in range(2))
        drawn = (generator.multinomial(1, row).argmax() for row in prior)
        links = frozenset((int(source), target) for target, source in enumerate(drawn))
        sentences.append(
            SentencePosterior(
                source=tuple("abcd"),
                target=tuple("x" * 20),
                prior=prior,
                guide=other,
                log_evidence=np.zeros(20),
                prior_entropy=np.zeros(20),
                gold=GoldLinks(links),
            )
        )
    whole = AlignmentPosterior(sentences)
    assert whole.calibration("prior")["tokens"].sum() == 4000
    assert whole.calibration_error("prior") < 0.03  # of 10 bins of about 400
    assert whole.calibration_error("guide") > 0.2


def test_invalid_calibration_is_rejected():
    with pytest.raises(UserError, match="needs gold links"):
        some()[1:].calibration("prior")
    with pytest.raises(ConfigError, match="no 'posterior'"):
        AlignmentPosterior([calibrated()]).calibration()
    with pytest.raises(ConfigError, match="at least one bin"):
        some().calibration("prior", bins=0)


def test_html_representation(monkeypatch):
    from pyro_align.posterior import html

    monkeypatch.setattr(html, "render", lambda posterior: f"<p>{posterior.title}</p>")
    assert some()._repr_html_() == "<p>categorical with amortized</p>"


def test_names_at_the_root():
    assert pyro_align.AlignmentPosterior is AlignmentPosterior
    assert pyro_align.compare is pyro_align.posterior.compare
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pyro_align.nothing
