"""Several posteriors side by side, and HTML and CSV files of a posterior."""

import re

import pandas as pd
import pytest
from posteriors import by_hand, random_sentence, some

import pyro_align
from pyro_align.errors import ConfigError, UserError
from pyro_align.posterior import AlignmentPosterior, side_by_side


def two():
    return [AlignmentPosterior([by_hand()], "a model") for _ in range(2)]


def test_each_posterior_has_a_view_with_a_distinct_title():
    both = pyro_align.side_by_side(*two())
    html = both._repr_html_()
    assert html.count('<div data-pyro-align="alignments" ') == 2
    assert re.findall(r'"title":"(.*?)"', html) == ["1 a model", "2 a model"]
    assert repr(both) == "SideBySide('1 a model', '2 a model')"


def test_the_plot_has_one_heatmap_per_posterior(tmp_path):
    one, other = two()
    figure = side_by_side(one, other).plot(0, path=tmp_path / "both.svg")
    axes = [ax for ax in figure.axes if ax.images and ax.get_title(loc="left")]
    assert [ax.get_title(loc="left") for ax in axes] == ["1 a model", "2 a model"]
    for ax in axes:
        assert (ax.images[0].get_array() == by_hand().guide).all()
    assert (tmp_path / "both.svg").is_file()
    with pytest.raises(ConfigError, match="not every posterior has a 'guides'"):
        side_by_side(one, other).plot(0, "guides")


def test_mismatched_posteriors_are_rejected():
    with pytest.raises(UserError, match="two or more"):
        side_by_side(some())
    other = AlignmentPosterior([random_sentence("abc", "xyz", 0)])
    with pytest.raises(UserError, match="sentence 0 differ between posterior 2"):
        side_by_side(AlignmentPosterior([by_hand()]), other)


def test_without_sentence_ends():
    figure = some().plot(0, "guide", ends=False)
    (ax,) = (ax for ax in figure.axes if ax.images and ax.get_title(loc="left"))
    assert (ax.images[0].get_array() == by_hand().guide[:-1, :-1]).all()
    assert "</s>" not in [
        text.get_text() for text in (*ax.get_xticklabels(), *ax.get_yticklabels())
    ]


def test_to_html_writes_a_page_with_the_view(tmp_path):
    some("a <title>").to_html(tmp_path / "view.html")
    text = (tmp_path / "view.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert some("a <title>")._repr_html_() in text
    side_by_side(*two()).to_html(tmp_path / "both.html")
    assert "<title>1 a model | 2 a model</title>" in (tmp_path / "both.html").read_text()
    with pytest.raises(UserError):
        some().to_html(tmp_path / "missing" / "view.html")


def test_to_csv_writes_the_frame(tmp_path):
    some().to_csv(tmp_path / "view.csv")
    found = pd.read_csv(tmp_path / "view.csv", keep_default_na=False, na_values=[""])
    frame = some().to_frame()
    assert found["source_token"].tolist() == frame["source_token"].tolist()
    assert found["prior"].to_numpy() == pytest.approx(frame["prior"].to_numpy())
    assert found["guide"].isna().tolist() == frame["guide"].isna().tolist()
