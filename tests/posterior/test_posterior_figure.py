"""Heatmaps: content, labels and files."""

import re
import warnings
import xml.etree.ElementTree as ET

import matplotlib.image
import numpy as np
import pytest
from matplotlib import font_manager
from posteriors import by_hand, random_sentence, soft, some

from pyro_align.errors import ConfigError, UserError
from pyro_align.posterior import AlignmentPosterior
from pyro_align.posterior.fonts import BASE, families, shown


def heatmaps(figure):
    return [ax for ax in figure.axes if ax.images and ax.get_title(loc="left")]


def test_values_labels_and_links():
    figure = some().plot(0)
    axes = heatmaps(figure)
    one = some()[0]
    assert [ax.get_title(loc="left").split(" $")[0] for ax in axes] == [
        *("prior", "guide", "exact posterior")
    ]
    for ax, kind in zip(axes, one.kinds, strict=True):
        (image,) = ax.images
        assert (image.get_array() == one.matrix(kind)).all()
        assert image.get_clim() == (0, 1)
        assert [text.get_text() for text in ax.get_xticklabels()] == list(one.source)
        frames = {
            tuple(round(float(v) + 0.42) for v in patch.get_xy()): patch.get_linestyle() == "-"
            for patch in ax.patches
        }
        assert {link for link, sure in frames.items() if sure} == one.gold.sure
        assert set(frames) == one.gold.possible
    assert [text.get_text() for text in axes[0].get_yticklabels()] == list(one.target)
    assert axes[0].yaxis_inverted()  # the first target token stands on top
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("sure gold link", "possible gold link")
    ]
    assert figure.get_suptitle() == "categorical with amortized"


def test_chosen_kinds():
    assert len(heatmaps(some().plot(0, "guide"))) == 1
    assert len(heatmaps(some().plot(-1, ("posterior", "prior")))) == 2
    assert len(heatmaps(AlignmentPosterior([soft()]).plot())) == 1
    assert not AlignmentPosterior([soft()]).plot().legends


def test_invalid_plots_are_rejected(tmp_path):
    with pytest.raises(ConfigError, match="no 'guide'"):
        some().plot(1, "guide")
    with pytest.raises(ConfigError, match="no sentence 3: there are 3"):
        some().plot(3)
    with pytest.raises(ConfigError, match="no distribution to plot: choose from"):
        some().plot(0, ())
    with pytest.raises(ConfigError, match=r"end in \.png, \.svg, \.pdf"):
        some().plot(0, path=tmp_path / "x.jpg")
    with pytest.raises(ConfigError, match=r"the folder .*missing does not exist"):
        some().plot(0, path=tmp_path / "missing" / "x.png")
    assert not list(tmp_path.iterdir())
    (tmp_path / "x.png").mkdir()
    with pytest.raises(UserError, match="is a folder"):
        some().plot(0, path=tmp_path / "x.png")


@pytest.mark.parametrize("words", [50, 200])
def test_the_width_of_long_sentences_is_limited(words):
    one = random_sentence([f"Wort{i}" for i in range(words)], [f"word{i}" for i in range(words)], 0)
    figure = AlignmentPosterior([one]).plot()
    width, height = figure.get_size_inches()
    assert width < 19
    assert height < 14
    for ax in heatmaps(figure):
        (letter,) = {text.get_fontsize() for text in ax.get_xticklabels()}
        gap = 72 * 15 / 3 / words * (ax.get_xticks()[1] - ax.get_xticks()[0])
        assert letter <= gap  # labels do not overlap


def test_png(tmp_path):
    some().plot(0, "posterior", tmp_path / "x.png")
    pixels = matplotlib.image.imread(tmp_path / "x.png")
    # The darkest blue of the colour map, for a probability of 1, comes from the colour bar.
    dark = np.array(matplotlib.colormaps["Blues"](1.0)[:3])
    assert (np.abs(pixels[..., :3] - dark).max(-1) < 0.02).any()
    assert [file.name for file in tmp_path.iterdir()] == ["x.png"]


def test_svg_contains_the_tokens_as_text(tmp_path):
    some().plot(2, "posterior", str(tmp_path / "x.svg"))
    tree = ET.parse(tmp_path / "x.svg")
    texts = ["".join(node.itertext()).strip() for node in tree.iter() if node.tag.endswith("text")]
    one = some()[2]
    for token in (*one.source[1:], *one.target):  # the first may have no font here
        assert token in texts, token


def test_pdf(tmp_path):
    some().plot(0, "prior", tmp_path / "x.pdf")
    content = (tmp_path / "x.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    # Fonts whole (type 42), not as drawings (type 3).
    assert re.search(rb"/Subtype /(TrueType|CIDFontType2)", content)
    assert b"/Subtype /Type3" not in content


def test_tokens_are_not_read_as_mathematics_or_markup(tmp_path):
    tokens = ("$x$", r"$\foo$", "_a", "#", "%", "^", "a\\b", "&amp;", "<b>", "</s>")
    one = AlignmentPosterior([random_sentence(tokens, tokens, 0)], r"$\nothing$")
    one.plot(0, "prior", tmp_path / "x.svg")
    texts = {
        "".join(node.itertext()).strip()
        for node in ET.parse(tmp_path / "x.svg").iter()
        if node.tag.endswith("text")
    }
    assert {*tokens, r"$\nothing$"} <= texts


def test_scripts_cause_no_warnings(tmp_path, caplog):
    tokens = (
        "日本語",
        "한국어",
        "नमस्ते",
        "ไทย",
        "שלום",
        "مرحبا",
        "🙂",
        "\U000e0001",
        "\x07",
        "</s>",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suffix in ("png", "svg", "pdf"):
            path = tmp_path / f"x.{suffix}"
            AlignmentPosterior([random_sentence(tokens, ("x",), 0)]).plot(path=path)
    assert not caplog.records
    ET.parse(tmp_path / "x.svg")


def test_long_sentences_skip_labels():
    tokens = [f"w{i}" for i in range(200)]
    figure = AlignmentPosterior([random_sentence(tokens, tokens[:60], 0)]).plot(0, "guide")
    (ax,) = heatmaps(figure)
    labels = [text.get_text() for text in ax.get_xticklabels()]
    step = int(labels[1][1:])
    assert step > 1
    assert labels == tokens[::step]
    assert ax.get_xticks().tolist() == list(range(0, 200, step))
    width, height = figure.get_size_inches()
    assert max(width, height) < 20


def test_fonts_cover_the_characters():
    assert families(["straße Ελλάδα привет שלום مرحبا ▁"]) == ([BASE], frozenset())
    # STIX, which comes with matplotlib, has signs in the private area that the base has not.
    sign = "\ue261"
    names, missing = families([f"a{sign}", "\U000e0001"])
    assert names[0] == BASE
    assert missing == {"\U000e0001"}
    path = font_manager.findfont(font_manager.FontProperties(family=[names[1]]))
    assert ord(sign) in font_manager.get_font(path).get_charmap()
    assert shown("a\U000e0001b", missing) == "a□b"


def test_links_of_words():
    (ax,) = heatmaps(AlignmentPosterior([by_hand()]).words().plot(0, "posterior"))
    assert [text.get_text() for text in ax.get_xticklabels()] == ["ab", "c", "</s>"]
    assert len(ax.patches) == 2
