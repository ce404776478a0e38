"""The view in a browser: downloads, sentence ends, views side by side."""

import io
import re
import xml.etree.ElementTree as ET

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from browser import READY, VIEW, choose, move_to, pixels, posterior, sentence, shown, words

from pyro_align.data import GoldLinks
from pyro_align.posterior import side_by_side
from pyro_align.posterior.html import render

SOURCE, TARGET = ["ein", 'a,"b"', "Hund", "</s>"], ["a", "big", "<dog>", "now", "</s>"]


def example(seed=0, title="a model with a guide"):
    gold = GoldLinks(frozenset({(0, 0)}), frozenset({(0, 0), (2, 2)}))
    return posterior(sentence(SOURCE, TARGET, seed, gold=gold), title=title)


def saved(tab, view, file_format):
    """Return name and content of the file that a button downloads."""
    with tab.expect_download() as download:
        view.locator(".tools button", has_text=file_format).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def hide_ends(view):
    view.locator(".tools input").check()


def test_the_downloaded_table_equals_the_frame(show):
    whole = example()
    with show(render(whole)) as tab:
        name, content = saved(tab, tab.locator(VIEW), "CSV")
        hide_ends(tab.locator(VIEW))
        _, inner = saved(tab, tab.locator(VIEW), "CSV")
    assert name == "alignment-1-posterior.csv"
    found, frame = pd.read_csv(io.BytesIO(content), keep_default_na=False), whole.to_frame()
    assert list(found) == list(frame)
    for column in ("sentence", "target_position", "source_position", "gold"):
        assert found[column].tolist() == frame[column].tolist()
    for column in ("target_token", "source_token"):
        assert found[column].tolist() == frame[column].tolist()
    for kind in ("prior", "guide", "posterior"):
        assert found[kind].to_numpy() == pytest.approx(frame[kind].to_numpy(), abs=9e-5)
    assert len(pd.read_csv(io.BytesIO(inner))) == (len(SOURCE) - 1) * (len(TARGET) - 1)


def test_the_downloaded_image_has_the_colours_of_the_matrix(show):
    with show(render(example()), color_scheme="light") as tab:
        view = tab.locator(VIEW)
        choose(view, "guide")
        colours = pixels(view, ".matrix canvas")
        name, svg = saved(tab, view, "SVG")
        png_name, png = saved(tab, view, "PNG")
    assert (name, png_name) == ("alignment-1-guide.svg", "alignment-1-guide.png")
    tree = ET.fromstring(svg)
    texts = ["".join(one.itertext()) for one in tree.iter() if one.tag.endswith("text")]
    assert set(SOURCE) | set(TARGET) | {"a model with a guide: guide"} <= set(texts)
    cells = [one for one in tree.iter() if one.tag.endswith("rect") and one.get("width") == "19"]
    filled = [tuple(map(int, re.findall(r"\d+", one.get("fill")))) for one in cells]
    assert filled == [tuple(pixel) for pixel in colours.reshape(-1, 3)]
    frames = [one for one in tree.iter() if one.get("fill") == "none"]
    assert [bool(one.get("stroke-dasharray")) for one in frames] == [True, False]
    image = matplotlib.image.imread(io.BytesIO(png))
    width, height = (2 * int(tree.get(side)) for side in ("width", "height"))
    assert image.shape[:2] == (height, width)
    for one, colour in zip(cells, filled, strict=True):
        x, y = (round(2 * (float(one.get(side)) + 5)) for side in ("x", "y"))
        assert np.abs(255 * image[y, x, :3] - colour).max() < 3


def test_sentence_ends_are_hidden(show):
    with show(render(example())) as tab:
        view = tab.locator(VIEW)
        whole = pixels(view, ".matrix canvas")
        hide_ends(view)
        assert view.locator(".row").all_text_contents() == TARGET[:-1]
        assert (pixels(view, ".matrix canvas") == whole[:-1, :-1]).all()
        move_to(tab, view, 3, 2)
        tokens, figures = shown(view)
        assert tokens == ["Hund", "now"]
        assert float(figures["guide"]) == pytest.approx(example()[0].guide[3, 2], rel=1e-2)
        view.locator(".matrix").focus()
        tab.keyboard.press("Control+End")
        assert shown(view)[0] == ["Hund", "now"]
        view.locator(".tools input").uncheck()
        assert view.locator(".row").count() == len(TARGET)
    with show(render(posterior(sentence(words("s", 2), words("t", 2))))) as tab:
        assert not tab.locator(VIEW).locator(".tools input").count()


def test_views_side_by_side_share_the_selection(show):
    many = [
        posterior(
            sentence(SOURCE, TARGET, seed),
            sentence(words("s", 3), words("t", 2), seed),
            title=title,
        )
        for seed, title in ((1, "one"), (2, "other"))
    ]
    with show(side_by_side(*many)._repr_html_(), render(many[0])) as tab:
        left, right, apart = (tab.locator(VIEW).nth(i) for i in range(3))
        assert left.bounding_box()["y"] == right.bounding_box()["y"]
        choose(left, "guide")
        hide_ends(right)
        assert [one.locator(".row").count() for one in (left, right, apart)] == [4, 4, 5]
        move_to(tab, right, 1, 2)
        for view, whole in ((left, many[0]), (right, many[1])):
            tokens, figures = shown(view)
            assert tokens == ["Hund", "big"]
            assert float(figures["guide"]) == pytest.approx(
                whole[0].guide[1, 2], rel=1e-2, abs=1e-4
            )
            assert view.locator("input:checked").first.input_value() == "guide"
        assert not shown(apart)[0]
        left.locator("button", has_text="›").click()
        tab.wait_for_selector(f"{VIEW}[data-sentence='1'] >> nth=1")
        shown_sentences = [one.get_attribute("data-sentence") for one in (left, right, apart)]
        assert shown_sentences == ["1", "1", "0"]


def test_fifty_words_fit_a_laptop(show):
    one = sentence([*words("Wort", 50), "</s>"], [*words("word", 50), "</s>"])
    with show(render(posterior(one))) as tab:
        tab.wait_for_selector(READY)
        inner, outer = tab.locator(VIEW).evaluate(
            "view => (one => [one.scrollWidth, one.clientWidth])"
            "(view.shadowRoot.querySelector('.scroller'))"
        )
        assert inner <= outer
