"""The view as a part of pages and notebooks: keys, themes, neighbours, size."""

import numpy as np
import pytest
from browser import (
    READY,
    VIEW,
    choose,
    move_to,
    opened,
    pixels,
    posterior,
    sentence,
    shown,
    words,
)

from pyro_align.data import GoldLinks
from pyro_align.posterior.html import page, render


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


def test_the_selected_cell_scrolls_into_view(show):
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


def test_views_on_a_page_are_independent(show):
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
"""JupyterLab's processing of the HTML of a trusted output."""

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
"""VS Code's processing of the HTML of an output."""


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


def test_a_table_is_shown_without_scripts(browser, tmp_path):
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


def test_the_last_requested_sentence_is_shown(show):
    sizes = [(200, 200), (2, 2), (3, 2)]
    many = [sentence(words("s", s), words("t", t), i) for i, (s, t) in enumerate(sizes)]
    with show(render(posterior(*many))) as tab:
        tab.locator(VIEW).evaluate(
            """view => {
                const unpacked = Response.prototype.arrayBuffer;
                let wait = 100; // the first takes longest
                Response.prototype.arrayBuffer = async function () {
                    await new Promise(done => setTimeout(done, (wait /= 4)));
                    return unpacked.call(this);
                };
                for (const sentence of [1, 0, 2]) view.dispatchEvent(
                    new CustomEvent('pyro-align-show', { detail: { sentence } }));
            }"""
        )
        tab.wait_for_selector(f"{VIEW}[data-sentence='2']")
        tab.wait_for_timeout(150)
        assert tab.locator(VIEW).get_attribute("data-sentence") == "2"
        assert pixels(tab.locator(VIEW), ".matrix canvas").shape == (2, 3, 3)


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
                    const along = box.width * (i + 0.5) / 200;
                    const place = { clientX: box.left + along, clientY: box.top + along };
                    matrix.dispatchEvent(new PointerEvent('pointermove', place));
                    matrix.getBoundingClientRect();
                }
                return (performance.now() - began) / 100;
            }"""
        )
        assert shown(view)[0] == ["s99", "t99"]
        # About 1 where nothing else runs; a drawing of all cells would take a hundred times that.
        assert milliseconds < 100


def test_a_thousand_sentences_open_quickly(show):
    generator = np.random.default_rng(0)
    sizes = generator.integers(10, 51, size=(1000, 2))
    many = [sentence(words("s", s), words("t", t), i) for i, (s, t) in enumerate(sizes)]
    with show(render(posterior(*many))) as tab:
        tab.wait_for_selector(READY)
        # Below one second where little else runs; the bound is for a busy machine.
        assert tab.evaluate("performance.getEntriesByType('navigation')[0].duration") < 5000
        tab.locator(VIEW).locator("select").select_option("999")
        tab.wait_for_selector(f"{VIEW}[data-sentence='999']")
        assert tab.locator(VIEW).locator(".row").count() == sizes[999][1]
