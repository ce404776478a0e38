"""The view of questions in a browser: shading, figures, answers, orders, keys, themes."""

import numpy as np
import pytest
from browser import HOSTILE, READY, VIEW, choose, number, opened, pixels, shown
from questions import BOXES, NAMES, one, scene, some

from pyro_align.posterior import AnswerPosterior, RegionImage
from pyro_align.posterior.html import page

KINDS = ("prior", "guide", "posterior", "guide-prior", "posterior-prior", "guide-posterior")


def values(each, kind):
    first, _, second = kind.partition("-")
    difference = each.regions(second).astype(float) if second else 0.0
    return each.regions(first).astype(float) - difference


def rows(view):
    """The table: cells of each region by its number."""
    found = view.locator(".scrolled tbody tr").evaluate_all(
        "all => all.map(one => [Number(one.dataset.region),"
        " [...one.children].map(cell => cell.textContent)])"
    )
    return dict(found)


def shade(view):
    """Red, green, blue and opacity of the shading, row by row."""
    data, width = view.locator(".stage canvas").evaluate(
        "one => [Array.from(one.getContext('2d').getImageData(0, 0, one.width, one.height).data),"
        " one.width]"
    )
    return np.array(data).reshape(-1, width, 4)


def inside(array, box):
    """The middle of a box, slightly above and left, as an array of pixels has it."""
    height, width = array.shape[:2]
    return array[int(box[[1, 3]].mean() * height), int(box[[0, 2]].mean() * width)]


def colours(view, name):
    """Colours of the frames of regions, by number."""
    return dict(
        view.locator(f".regions .{name}").evaluate_all(
            "all => all.map(one => [Number(one.dataset.region),"
            " getComputedStyle(one).stroke.match(/[\\d.]+/g).map(Number)])"
        )
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("picture", [True, False])
def test_regions_are_shaded_by_their_probability(show, theme, picture):
    each = one(image=scene(picture))
    with show(AnswerPosterior([each])._repr_html_(), color_scheme=theme) as tab:
        tab.wait_for_selector(READY)
        view = tab.locator(VIEW)
        for kind in KINDS:
            choose(view, kind)
            true = values(each, kind)
            limit = max(0.05, np.abs(true).max()) if "-" in kind else 1.0
            part = np.abs(true) / limit
            level = 255 * ((true / limit + 1) / 2 if "-" in kind else true)
            scale = pixels(view, ".legend canvas")[0]
            framed = colours(view, "region")
            found = shade(view)
            for region, box in enumerate(BOXES):
                near = scale[max(0, round(level[region]) - 1) : round(level[region]) + 2]
                assert (near == framed[region]).all(-1).any()
                # The third region encloses the second: whichever is larger is on top.
                top = region
                if region == 1 and part[2] > part[1]:
                    top = 2
                if region == 2:
                    continue
                pixel = inside(found, box)
                if picture:
                    assert pixel[3] == pytest.approx(255 * 0.62 * (1 - part[top]), abs=1.1)
                else:
                    assert pixel[3] == 255
                    assert (pixel[:3] == framed[top]).all()
            outside = found[-1, -1]
            assert outside[3] == (pytest.approx(255 * 0.62, abs=1) if picture else 0)


def test_every_shading_has_its_number(show):
    posterior = some()
    with show(posterior._repr_html_()) as tab:
        tab.wait_for_selector(READY)
        view = tab.locator(VIEW)
        for index, each in enumerate(posterior):
            view.locator(".picker select").last.select_option(str(index))
            tab.wait_for_selector(f"{VIEW}[data-sentence='{index}']")
            table = rows(view)
            order = np.argsort(-each.regions("posterior"), kind="stable").tolist()
            assert list(table) == order
            gold = each.question.regions
            for region, (name, *cells, is_gold) in table.items():
                assert name == NAMES[region]
                assert is_gold == ("gold" if region in gold else "")
                for kind, text in zip(each.kinds, cells, strict=True):
                    assert number(text) == pytest.approx(each.regions(kind)[region], rel=5e-3)
            box = view.locator(".stage canvas").bounding_box()
            for region in (0, 1, 3):
                x, y = BOXES[region].reshape(2, 2).mean(0)
                tab.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
                (name,), figures = shown(view)
                assert name == NAMES[region]
                for kind in each.kinds:
                    text = figures[kind]
                    assert number(text) == pytest.approx(each.regions(kind)[region], rel=5e-3)
                assert number(figures["kl"]) == pytest.approx(each.quantity("kl"), abs=6e-4)
                assert figures.get("gold") == (
                    ("yes" if region in gold else "no") if gold else None
                )


def test_answers_and_gold(show):
    with show(some()._repr_html_()) as tab:
        tab.wait_for_selector(READY)
        view = tab.locator(VIEW)

        def bars():
            return view.locator(".answers li").evaluate_all(
                "all => all.map(one => [one.querySelector('bdi').textContent,"
                " one.querySelector('b').textContent, one.classList.contains('gold'),"
                " one.querySelector('.part').getBoundingClientRect().width"
                " / one.querySelector('.bar').getBoundingClientRect().width])"
            )

        assert [bar[:3] for bar in bars()] == [
            ["red", "0.700", True],
            ["blue", "0.200", False],
            ["green", "0.0500", False],
        ]
        assert [bar[3] for bar in bars()] == pytest.approx([0.7, 0.2, 0.05], abs=0.01)
        assert view.locator(".question bdi").first.text_content() == "what colour is the ball?"
        assert "right" in view.locator(".verdict").text_content()
        assert "0.0500" in view.locator(".verdict").text_content()  # all others
        gold = view.locator(".regions .gold")
        assert gold.count() == 1
        frame, stage = gold.bounding_box(), view.locator(".stage canvas").bounding_box()
        middle = frame["x"] + frame["width"] / 2 - stage["x"]
        assert middle / stage["width"] == pytest.approx(BOXES[0, [0, 2]].mean(), abs=0.01)
        view.locator("button", has_text="›").click()
        tab.wait_for_selector(f"{VIEW}[data-sentence='1']")
        assert "✗ wrong, the correct answer is yes" in view.locator(".verdict").text_content()
        assert [bar[2] for bar in bars()] == [False, True]
        view.locator("button", has_text="›").click()
        tab.wait_for_selector(f"{VIEW}[data-sentence='2']")
        assert not [bar for bar in bars() if bar[2]]
        assert view.locator(".regions .gold").count() == 0
        assert "given the answer 2" in view.locator(".beside").text_content()


def test_orders_and_search(show):
    texts = [f"what about item {n}?" for n in range(12)]
    posterior = AnswerPosterior(
        [
            one(text, probabilities=(0.3 + 0.05 * n, 0.1, 0.1), gold=("red", "blue")[n % 2], seed=n)
            for n, text in enumerate(texts)
        ]
    )
    with show(posterior._repr_html_()) as tab:
        tab.wait_for_selector(READY)
        view = tab.locator(VIEW)
        order = view.locator(".order")
        for name in posterior.orders:
            order.select_option(name)
            expected = posterior.order(name)
            tab.wait_for_selector(f"{VIEW}[data-sentence='{expected[0]}']")
            options = view.locator(".picker select").last.locator("option")
            listed = options.evaluate_all("all => all.map(one => Number(one.value))")
            assert listed == expected
        assert len(posterior.order("wrong")) == 6
        view.locator("button", has_text="›").click()
        tab.wait_for_selector(f"{VIEW}[data-sentence='{posterior.order('wrong')[1]}']")
        view.locator("input[type=search]").fill("ITEM 1")
        tab.wait_for_selector(f"{VIEW}[data-sentence='11']")  # of 1 and 11, the more certain


def test_keys(show):
    posterior = some()
    ranked = np.argsort(-posterior[0].regions("posterior"), kind="stable").tolist()
    with show(posterior._repr_html_()) as tab:
        tab.wait_for_selector(READY)
        tab.evaluate("document.addEventListener('keydown', ({key}) => (window.last = key))")
        view = tab.locator(VIEW)
        reached = []
        for _ in range(10):
            tab.keyboard.press("Tab")
            inner = "document.activeElement.shadowRoot?.activeElement"
            reached.append(tab.evaluate(f"{inner}?.className || {inner}?.tagName"))
        assert {"order", "BUTTON", "SELECT", "INPUT", "stage", "scrolled"} <= set(reached)
        view.locator(".stage").focus()
        assert shown(view)[0] == [NAMES[ranked[0]]]

        def press(key):
            tab.keyboard.press(key)
            (name,), figures = shown(view)
            spoken = view.locator("[aria-live=polite]").text_content()
            assert spoken.startswith(f"{name}: exact posterior {figures['posterior']}")
            assert spoken.endswith("gold region") == (name == NAMES[0])
            assert view.locator("tr.chosen th").text_content() == name
            return NAMES.index(name)

        assert press("End") == ranked[-1]
        assert press("Home") == ranked[0]
        assert [press("PageDown") for _ in range(4)] == [*ranked[1:], ranked[-1]]
        assert press("PageUp") == ranked[-2]
        press("Home")
        while press("ArrowLeft") != 0:
            pass
        assert press("ArrowLeft") == 0  # nothing is further left
        assert press("ArrowRight") == 3  # further away than 1 and 2, but not so far up
        assert press("ArrowUp") == 2
        assert press("ArrowUp") == 1
        assert press("ArrowDown") == 2
        assert press("ArrowRight") == 3
        assert tab.evaluate("window.last") in (None, "Tab")
        choose(view, "prior")
        assert shown(view)[0] == [NAMES[3]]  # stays
        assert "prior" in view.locator("[aria-live=polite]").text_content()


def test_every_cell_of_a_grid_is_reached(show):
    names = [f"row {n // 3 + 1}, column {n % 3 + 1}" for n in range(9)]
    each = one(image=RegionImage.without_boxes(names), regions=frozenset())
    with show(AnswerPosterior([each])._repr_html_()) as tab:
        tab.wait_for_selector(READY)
        view = tab.locator(VIEW)
        view.locator(".stage").focus()
        for _ in range(2):
            tab.keyboard.press("ArrowLeft")
            tab.keyboard.press("ArrowUp")
        found = []
        for keys in (["ArrowRight"] * 2, ["ArrowDown"], ["ArrowLeft"] * 2, ["ArrowDown"]):
            for key in keys:
                tab.keyboard.press(key)
                found.append(names.index(shown(view)[0][0]))
        assert found == [1, 2, 5, 4, 3, 6]


def test_themes(show):
    with show(some()._repr_html_(), color_scheme="dark") as tab:
        tab.wait_for_selector(READY)
        view = tab.locator(VIEW)
        assert view.locator(".frame").get_attribute("data-theme") == "dark"
        dark = shade(view)[-1, -1]
        assert dark[:3].max() < 40
        tab.emulate_media(color_scheme="light")
        tab.wait_for_timeout(50)
        assert view.locator(".frame").get_attribute("data-theme") == "light"
        assert shade(view)[-1, -1][:3].min() > 250
        assert shade(view)[-1, -1][3] == dark[3]


def test_texts_are_escaped(show):
    image = RegionImage(BOXES, HOSTILE)
    each = one(
        HOSTILE[0], HOSTILE[:3], gold=HOSTILE[1], kind=HOSTILE[0], id=HOSTILE[1], image=image
    )
    with show(AnswerPosterior([each], HOSTILE[1])._repr_html_()) as tab:
        tab.wait_for_selector(READY)
        view = tab.locator(VIEW)
        assert view.locator(".question bdi").first.text_content() == HOSTILE[0]
        answers = view.locator(".answers bdi").all_text_contents()
        assert answers == list(HOSTILE[:3])
        view.locator(".stage").focus()
        assert shown(view)[0][0] in HOSTILE
        assert view.locator("img").count() == 1  # that of the view, without a source
        assert view.locator("img").get_attribute("src") is None


def test_the_page_fits_small_screens(show):
    with show(some()._repr_html_(), viewport={"width": 400, "height": 800}) as tab:
        tab.wait_for_selector(READY)
        width = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        assert tab.evaluate(width)
        stage = tab.locator(VIEW).locator(".stage").bounding_box()
        assert stage["width"] == pytest.approx(2 * stage["height"], rel=0.02)


def test_without_scripts_there_is_a_table(browser, tmp_path):
    file = tmp_path / "page.html"
    file.write_text(page("a page", [some()._repr_html_()]), encoding="utf-8")
    with opened(browser, file, java_script_enabled=False) as tab:
        assert tab.locator(f"{VIEW} > table tbody tr").count() == 4


def test_beside_a_view_of_alignments(show):
    """Both kinds of views on one page, each with its own script."""
    with show(some().alignments._repr_html_(), some()._repr_html_()) as tab:
        tab.wait_for_selector(f"{VIEW}[data-sentence] >> nth=1")
        assert tab.locator(VIEW).nth(0).locator(".matrix").count() == 1
        assert tab.locator(VIEW).nth(1).locator(".stage").count() == 1
