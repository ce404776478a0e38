"""The view in a real browser: what it shows is what the posterior holds."""

import json
import random

import numpy as np
import pytest
from browser import HOSTILE, READY, VIEW, chromium, opened, posterior, sentence, words

from pyro_align.corpus import GoldLinks
from pyro_align.posterior.html import page, render

DIFFERENCES = {
    "guide-prior": ("guide", "prior"),
    "posterior-prior": ("posterior", "prior"),
    "guide-posterior": ("guide", "posterior"),
}
ARABIC = ["يجلس", "رجل", "عجوز", "على", "مقعد", "</s>"]
CHINESE = ["一位", "年老", "的", "男人", "</s>"]


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def show(browser, tmp_path):
    """Opens pieces of HTML as a page."""

    def opens(*parts, **options):
        file = tmp_path / "page.html"
        file.write_text(page("a page", parts), encoding="utf-8")
        return opened(browser, file, **options)

    return opens


def choose(view, kind):
    view.locator(f"input[value='{kind}']").check(force=True)


def move_to(tab, view, row, place):
    """Move the pointer to a cell, as it lies on the screen."""
    box = view.locator(".matrix canvas").bounding_box()
    size = view.locator(".matrix canvas").evaluate("canvas => [canvas.width, canvas.height]")
    tab.mouse.move(
        box["x"] + box["width"] * (place + 0.5) / size[0],
        box["y"] + box["height"] * (row + 0.5) / size[1],
    )


def shown(view):
    """Tokens and figures of the current cell."""
    tokens = view.locator(".readout bdi").all_text_contents()
    figures = view.locator(".readout .figure").evaluate_all(
        "all => all.map(one => [one.dataset.name, one.querySelector('b').textContent])"
    )
    return tokens, dict(figures)


def number(text):
    return float(text.replace("−", "-").replace("+", ""))


def assert_three_digits(text, true):
    if text == "< 0.00001":
        assert true < 1.001e-5
        return
    rounding = 0.5 * 10.0 ** -len(text.partition(".")[2])
    assert number(text) == pytest.approx(true, abs=rounding + 3.2e-5, rel=1e-3)
    if true >= 0.001:
        assert abs(number(text) - true) <= 1.2 * rounding + 5e-4 * true


def pixels(view, selector):
    """Red, green and blue of a canvas, row by row."""
    data, width = view.locator(selector).evaluate(
        "one => [Array.from(one.getContext('2d').getImageData(0, 0, one.width, one.height).data),"
        " one.width]"
    )
    return np.array(data).reshape(-1, width, 4)[..., :3]


def test_values_under_the_pointer_are_those_of_the_table(show):
    whole = posterior(
        sentence(words("s", 9), words("t", 7), 1), sentence(words("a", 4), words("b", 12), 2)
    )
    frame = whole.to_frame().set_index(["sentence", "target_position", "source_position"])
    generator = random.Random(0)
    with show(render(whole)) as tab:
        view = tab.locator(VIEW)
        for index, one in enumerate(whole):
            if index:
                view.locator("select").select_option(str(index))
            tab.wait_for_selector(f"{VIEW}[data-sentence='{index}']")
            for kind in ("prior", "guide", "posterior", *DIFFERENCES):
                choose(view, kind)
                for _ in range(3):
                    row = generator.randrange(len(one.target))
                    column = generator.randrange(len(one.source))
                    move_to(tab, view, row, column)
                    true = frame.loc[(index, row, column)]
                    tokens, figures = shown(view)
                    assert tokens == [true["source_token"], true["target_token"]]
                    for name in ("prior", "guide", "posterior"):
                        assert_three_digits(figures[name], true[name])
                    if kind in DIFFERENCES:
                        more, less = (true[name] for name in DIFFERENCES[kind])
                        assert number(figures[kind]) == pytest.approx(more - less, abs=6e-4)
                    assert number(figures["kl"]) == pytest.approx(one.kl[row], abs=5.1e-4)
                    assert number(figures["gap"]) == pytest.approx(one.gap[row], abs=5.1e-4)
                    surprisal = -one.log_evidence[row]
                    assert number(figures["log_evidence"]) == pytest.approx(surprisal, abs=5.1e-4)


def test_small_probabilities_keep_three_digits(show):
    one = sentence(words("s", 3), ["t"], soft=True)
    one.prior[:] = [[0.00123456, 1.5e-6, 0.99876394]]
    with show(render(posterior(one))) as tab:
        texts = []
        for place in range(3):
            move_to(tab, tab.locator(VIEW), 0, place)
            texts.append(shown(tab.locator(VIEW))[1]["prior"])
    assert texts[0] in ("0.00123", "0.00124")
    assert texts[1:] == ["< 0.00001", "0.999"]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("source", [words("s", 6), ARABIC])
def test_colours_are_those_of_the_scale(show, theme, source):
    one = sentence(source, words("t", 5), 3)
    with show(render(posterior(one)), color_scheme=theme) as tab:
        view = tab.locator(VIEW)
        for kind in ("prior", "posterior", *DIFFERENCES):
            choose(view, kind)
            if kind in DIFFERENCES:
                more, less = (one.matrix(name).astype(float) for name in DIFFERENCES[kind])
                most = np.abs(more - less).max()
                values = ((more - less) / most + 1) / 2
                ends = view.locator(".legend > span").all_text_contents()[:2]
                assert [number(end) for end in ends] == pytest.approx([-most, most], abs=6e-4)
            else:
                values = one.matrix(kind).astype(float)
            if source is ARABIC:
                values = values[:, ::-1]  # a sentence read from the right begins there
            scale = pixels(view, ".legend canvas")[0]
            levels = 255 * values
            found = pixels(view, ".matrix canvas")
            for level, pixel in zip(levels.ravel(), found.reshape(-1, 3), strict=True):
                near = scale[max(0, round(level) - 1) : round(level) + 2]
                assert (near == pixel).all(-1).any()


def oklab(colours):
    """Ottosson 2020, from sRGB."""
    coded = np.asarray(colours) / 255
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    cones = linear @ np.array(
        [
            [0.4122214708, 0.2119034982, 0.0883024619],
            [0.5363325363, 0.6806995451, 0.2817188376],
            [0.0514459929, 0.1073969566, 0.6299787005],
        ]
    )
    return np.cbrt(cones) @ np.array(
        [
            [0.2104542553, 1.9779984951, 0.0259040371],
            [0.7936177850, -2.4285922050, 0.7827717662],
            [-0.0040720468, 0.4505937099, -0.8086757660],
        ]
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["prior", "guide-prior"])
def test_the_scale_is_even_to_the_eye(show, theme, kind):
    one = sentence(words("s", 3), words("t", 3))
    with show(render(posterior(one)), color_scheme=theme) as tab:
        choose(tab.locator(VIEW), kind)
        scale = oklab(pixels(tab.locator(VIEW), ".legend canvas")[0])
    for half in [scale] if kind == "prior" else [scale[:128], scale[128:]]:
        # Steps so long that rounding to 8 bits does not show.
        steps = np.linalg.norm(np.diff(half[::16], axis=0), axis=1)
        assert steps.max() < 1.12 * steps.min()
        assert abs(np.sign(np.diff(half[::16, 0])).sum()) == len(steps)


def test_keys(show):
    one = sentence(words("s", 4), words("t", 30), 4, gold=GoldLinks(frozenset({(1, 1)})))
    with show(render(posterior(one))) as tab:
        view = tab.locator(VIEW)
        reached = []
        for _ in range(8):
            tab.keyboard.press("Tab")
            inner = "document.activeElement.shadowRoot?.activeElement"
            reached.append(tab.evaluate(f"{inner}?.className || {inner}?.tagName"))
            if reached[-1] == "matrix":
                break
        assert {"BUTTON", "SELECT", "INPUT", "matrix"} <= set(reached)
        assert shown(view)[0] == ["s0", "t0"]
        expected = [
            ("ArrowRight", "s1", "t0"),
            ("ArrowDown", "s1", "t1"),
            ("End", "s3", "t1"),
            ("ArrowRight", "s3", "t1"),
            ("PageDown", "s3", "t11"),
            ("ArrowLeft", "s2", "t11"),
            ("Control+End", "s3", "t29"),
            ("ArrowDown", "s3", "t29"),
            ("Control+Home", "s0", "t0"),
            ("ArrowUp", "s0", "t0"),
            ("ArrowDown", "s0", "t1"),
            ("ArrowRight", "s1", "t1"),
        ]
        for key, *tokens in expected:
            tab.keyboard.press(key)
            assert shown(view)[0] == tokens
            spoken = view.locator("[aria-live=polite]").text_content()
            value = shown(view)[1]["posterior"]
            assert spoken.startswith(f"source {tokens[0]}, target {tokens[1]}: exact posterior")
            assert value in spoken
        assert spoken.endswith("gold sure")


def test_the_cell_reached_by_keys_is_in_sight(show):
    with show(render(posterior(sentence(words("s", 200), words("t", 200))))) as tab:
        view = tab.locator(VIEW)
        view.locator(".matrix").focus()
        for key in ("Control+End", "Control+Home", "End"):
            tab.keyboard.press(key)
            cursor = view.locator(".cursor").bounding_box()
            frame = view.locator(".scroller").bounding_box()
            corner = view.locator(".corner").bounding_box()
            assert corner["x"] + corner["width"] <= cursor["x"] + 2
            assert corner["y"] + corner["height"] <= cursor["y"] + 2
            assert cursor["x"] + cursor["width"] <= frame["x"] + frame["width"] + 2
            assert cursor["y"] + cursor["height"] <= frame["y"] + frame["height"] + 2


def test_from_right_to_left(show):
    with show(render(posterior(sentence(ARABIC, words("t", 3), 5)))) as tab:
        view = tab.locator(VIEW)
        move_to(tab, view, 0, len(ARABIC) - 1)
        assert shown(view)[0] == [ARABIC[0], "t0"]
        view.locator(".matrix").focus()
        tab.keyboard.press("ArrowLeft")
        assert shown(view)[0] == [ARABIC[1], "t0"]
        labels = view.locator(".column:not(.heading)")
        places = [labels.nth(i).bounding_box()["x"] for i in range(len(ARABIC))]
        assert places == sorted(places, reverse=True)
        assert labels.first.evaluate("one => getComputedStyle(one).direction") == "rtl"
        assert labels.last.evaluate("one => getComputedStyle(one).direction") == "ltr"


def test_wide_scripts_stand_upright(show):
    with show(render(posterior(sentence(CHINESE, words("t", 3), 5)))) as tab:
        labels = tab.locator(VIEW).locator(".column:not(.heading)")
        boxes = [labels.nth(i).bounding_box() for i in range(len(CHINESE))]
        matrix = tab.locator(VIEW).locator(".matrix").bounding_box()
        cell = matrix["width"] / len(CHINESE)
        for place, (text, box) in enumerate(zip(CHINESE[:-1], boxes, strict=False)):
            assert box["width"] < cell
            assert box["height"] > 12 * len(text)
            middle = box["x"] + box["width"] / 2
            assert middle == pytest.approx(matrix["x"] + cell * (place + 0.5), abs=1.5)


def test_gold_links_are_marked(show):
    links = GoldLinks(frozenset({(0, 0), (2, 1)}), frozenset({(3, 2)}))
    with show(render(posterior(sentence(words("s", 4), words("t", 3), gold=links)))) as tab:
        view = tab.locator(VIEW)
        matrix = view.locator(".matrix").bounding_box()
        cell = matrix["width"] / 4
        found = {}
        for kind in ("sure", "possible"):
            marks = view.locator(f".marks .{kind}")
            boxes = [marks.nth(i).bounding_box() for i in range(marks.count())]
            found[kind] = {
                (int((b["x"] - matrix["x"]) // cell), int((b["y"] - matrix["y"]) // cell))
                for b in boxes
            }
        assert found == {"sure": {(0, 0), (2, 1)}, "possible": {(3, 2)}}
        for row, place, gold in ((1, 2, "sure"), (2, 3, "possible"), (0, 1, "none")):
            move_to(tab, view, row, place)
            assert shown(view)[1]["gold"] == gold


def test_tokens_stay_text(show):
    with show(render(posterior(sentence(HOSTILE, HOSTILE), title="<img src=x>"))) as tab:
        view = tab.locator(VIEW)
        move_to(tab, view, 1, 0)
        assert shown(view)[0] == [HOSTILE[0], HOSTILE[1]]
        assert view.locator(".title").text_content() == "<img src=x>"
        assert view.locator("img").count() == 0
        assert HOSTILE[0] in view.locator("option").first.text_content()


def test_two_views_on_a_page_are_apart(show):
    one = render(posterior(sentence(words("s", 4), words("t", 3), 6), title="one"))
    other = render(posterior(sentence(words("a", 3), words("b", 5), 7), title="other"))
    with show(one, other, one) as tab:
        views = [tab.locator(VIEW).nth(i) for i in range(3)]
        titles = [view.locator(".title").text_content() for view in views]
        assert titles == ["one", "other", "one"]
        before = [pixels(view, ".matrix canvas").tolist() for view in views]
        choose(views[0], "prior")
        after = [pixels(view, ".matrix canvas").tolist() for view in views]
        assert [x == y for x, y in zip(before, after, strict=True)] == [False, True, True]
        choose(views[1], "guide")
        checked = [view.locator("input:checked").input_value() for view in views]
        assert checked == ["prior", "guide", "posterior"]
        move_to(tab, views[1], 4, 2)
        assert shown(views[1])[0] == ["a2", "b4"]
        assert not shown(views[0])[0]
        assert tab.evaluate("Object.keys(window).filter(name => /view|data|pyro/i.test(name))") == (
            tab.evaluate(
                """() => {
                    const frame = document.body.appendChild(document.createElement('iframe'));
                    const names = Object.keys(frame.contentWindow);
                    frame.remove();
                    return names.filter(name => /view|data|pyro/i.test(name));
                }"""
            )
        )


def theme(view):
    return view.locator(".frame").get_attribute("data-theme")


def test_themes(show):
    html = render(posterior(sentence(words("s", 3), words("t", 3))))
    with show(html, color_scheme="dark") as tab:
        view = tab.locator(VIEW)
        assert theme(view) == "dark"
        paper, ink = view.locator(".frame").evaluate(
            "one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).color]"
        )
        assert sum(map(int, paper[4:-1].split(","))) < 120
        assert sum(map(int, ink[4:-1].split(","))) > 600
        empty = pixels(view, ".legend canvas")[0, 0]
        tab.emulate_media(color_scheme="light")
        tab.wait_for_timeout(50)
        assert theme(view) == "light"
        assert (pixels(view, ".legend canvas")[0, 0] > empty + 100).all()
        for change, expected in (
            ("document.body.dataset.jpThemeLight = 'false'", "dark"),
            ("document.body.dataset.jpThemeLight = 'true'", "light"),
            ("document.body.className = 'vscode-dark'", "dark"),
            ("document.body.className = 'vscode-high-contrast-light'", "light"),
            ("document.body.className = 'vscode-high-contrast'", "dark"),
            (
                "document.body.className = ''; delete document.body.dataset.jpThemeLight;"
                "document.body.style.background = '#000'",
                "dark",
            ),
        ):
            tab.evaluate(change)
            tab.wait_for_timeout(50)
            assert theme(view) == expected, change


JUPYTERLAB = """html => {
    const output = document.body.appendChild(document.createElement('div'));
    output.innerHTML = html;
    for (const script of Array.from(output.getElementsByTagName('script'))) {
        const made = document.createElement('script');
        for (const { name, value } of script.attributes) made.setAttribute(name, value);
        made.textContent = script.textContent;
        script.parentNode.replaceChild(made, script);
    }
}"""
"""What JupyterLab does to the HTML of a trusted output."""

VSCODE = """html => {
    const output = document.body.appendChild(document.createElement('div'));
    output.innerHTML = html;
    for (const script of Array.from(output.getElementsByTagName('script'))) {
        const made = document.createElement('script');
        made.text = script.innerText;
        if (script.type) made.setAttribute('type', script.type);
        output.appendChild(made).parentNode.removeChild(made);
    }
}"""
"""What VS Code does to it."""


@pytest.mark.parametrize("notebook", [JUPYTERLAB, VSCODE])
def test_in_a_notebook(show, notebook):
    html = render(posterior(sentence(words("s", 4), words("t", 3), 8)))
    with show() as tab:
        for _ in range(2):
            tab.evaluate(notebook, html)
        tab.wait_for_selector(READY)
        tab.wait_for_timeout(50)
        assert tab.locator(READY).count() == 2
        view = tab.locator(VIEW).last
        move_to(tab, view, 2, 3)
        assert shown(view)[0] == ["s3", "t2"]
        assert not tab.locator(f"{VIEW} > table").first.is_visible()
        assert tab.locator(VIEW).first.get_attribute("data-lm-suppress-shortcuts") == "true"


def test_keys_do_not_reach_the_notebook(show):
    with show(render(posterior(sentence(words("s", 4), words("t", 3))))) as tab:
        tab.evaluate("document.addEventListener('keydown', ({key}) => (window.last = key))")
        tab.locator(VIEW).locator(".matrix").focus()
        tab.keyboard.press("ArrowDown")
        assert tab.evaluate("window.last") is None
        tab.keyboard.press("x")
        assert tab.evaluate("window.last") == "x"


def test_where_no_script_runs_there_is_a_table(browser, tmp_path):
    html = render(posterior(sentence(words("s", 4), words("t", 3))))
    file = tmp_path / "page.html"
    file.write_text(page("a page", [html]), encoding="utf-8")
    with opened(browser, file, java_script_enabled=False) as tab:
        assert tab.locator(f"{VIEW} > table").is_visible()
        assert tab.locator(f"{VIEW} td").count() == 12


def test_sentences_are_found(show):
    many = [sentence([f"word{i}", "</s>"], ["t"], i) for i in range(30)]
    with show(render(posterior(*many))) as tab:
        view = tab.locator(VIEW)
        search = view.locator("input[type=search]")
        search.fill("WORD2")
        assert view.locator("option").count() == 11  # 2 and 20 to 29
        tab.wait_for_selector(f"{VIEW}[data-sentence='2']")
        view.locator("button", has_text="›").click()
        tab.wait_for_selector(f"{VIEW}[data-sentence='20']")
        search.fill("nothing such")
        assert view.locator("option").count() == 0
        search.fill("")
        assert view.locator("option").count() == 30
        assert view.locator("select").input_value() == "20"
        assert view.locator("option").nth(20).text_content() == "21. word20"


def test_of_two_sentences_asked_for_the_last_is_shown(show):
    sizes = [(200, 200), (2, 2), (3, 2)]
    many = [sentence(words("s", s), words("t", t), i) for i, (s, t) in enumerate(sizes)]
    with show(render(posterior(*many))) as tab:
        tab.locator(VIEW).evaluate(
            """view => [1, 0, 2].forEach(sentence => view.dispatchEvent(
                new CustomEvent('pyro-align-show', { detail: { sentence } })))"""
        )
        tab.wait_for_selector(f"{VIEW}[data-sentence='2']")
        tab.wait_for_timeout(150)
        assert tab.locator(VIEW).get_attribute("data-sentence") == "2"
        assert pixels(tab.locator(VIEW), ".matrix canvas").shape == (2, 3, 3)


def test_attention_alone(show):
    with show(render(posterior(sentence(words("s", 4), words("t", 3), soft=True)))) as tab:
        view = tab.locator(VIEW)
        move_to(tab, view, 0, 0)
        assert set(shown(view)[1]) == {"prior", "prior_entropy", "log_evidence"}
        assert view.locator("input[type=radio]").count() == 1


def test_two_hundred_tokens_stay_smooth(show):
    with show(render(posterior(sentence(words("s", 200), words("t", 200))))) as tab:
        view = tab.locator(VIEW)
        assert view.evaluate("view => view.shadowRoot.querySelectorAll('*').length") < 1000
        # Each move is followed by the layout that a frame would do.
        milliseconds = view.evaluate(
            """view => {
                const matrix = view.shadowRoot.querySelector('.matrix');
                const box = matrix.getBoundingClientRect();
                const began = performance.now();
                for (let i = 0; i < 100; i += 1) {
                    const place = { clientX: box.left + 16 * i + 8, clientY: box.top + 16 * i + 8 };
                    matrix.dispatchEvent(new PointerEvent('pointermove', place));
                    matrix.getBoundingClientRect();
                }
                return (performance.now() - began) / 100;
            }"""
        )
        assert shown(view)[0] == ["s99", "t99"]
        assert milliseconds < 16  # a frame; about 1 where nothing else runs


def test_a_thousand_sentences_open_in_two_seconds(show):
    generator = np.random.default_rng(0)
    sizes = generator.integers(10, 51, size=(1000, 2))
    many = [sentence(words("s", s), words("t", t), i) for i, (s, t) in enumerate(sizes)]
    with show(render(posterior(*many))) as tab:
        tab.wait_for_selector(READY)
        assert tab.evaluate("performance.getEntriesByType('navigation')[0].duration") < 2000
        tab.locator(VIEW).locator("select").select_option("999")
        tab.wait_for_selector(f"{VIEW}[data-sentence='999']")
        assert json.loads(tab.locator(VIEW).get_attribute("data-sentence")) == 999
