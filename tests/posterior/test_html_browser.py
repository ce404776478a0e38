"""The view in a browser shows the values of the posterior."""

import dataclasses
import random

import numpy as np
import pytest
from browser import (
    HOSTILE,
    VIEW,
    choose,
    move_to,
    number,
    pixels,
    posterior,
    sentence,
    shown,
    words,
)

from pyro_align.data import GoldLinks
from pyro_align.posterior.html import render

DIFFERENCES = {
    "guide-prior": ("guide", "prior"),
    "posterior-prior": ("posterior", "prior"),
    "guide-posterior": ("guide", "posterior"),
}
ARABIC = ["يجلس", "رجل", "عجوز", "على", "مقعد", "</s>"]
CHINESE = ["一位", "年老", "的", "男人", "</s>"]


def assert_three_digits(text, true):
    if text == "< 0.00001":
        assert true < 1.001e-5
        return
    rounding = 0.5 * 10.0 ** -len(text.partition(".")[2])
    assert number(text) == pytest.approx(true, abs=rounding + 3.2e-5, rel=1e-3)
    if true >= 0.001:
        assert abs(number(text) - true) <= 1.2 * rounding + 5e-4 * true


def test_tooltips_show_the_values_of_the_table(show):
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
def test_cells_have_the_colours_of_the_scale(show, theme, source):
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
    """Convert sRGB to OKLab (Ottosson 2020)."""
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
def test_the_scale_is_perceptually_uniform(show, theme, kind):
    one = sentence(words("s", 3), words("t", 3))
    with show(render(posterior(one)), color_scheme=theme) as tab:
        choose(tab.locator(VIEW), kind)
        scale = oklab(pixels(tab.locator(VIEW), ".legend canvas")[0])
    for half in [scale] if kind == "prior" else [scale[:128], scale[128:]]:
        # Steps so long that rounding to 8 bits does not show.
        steps = np.linalg.norm(np.diff(half[::16], axis=0), axis=1)
        assert steps.max() < 1.12 * steps.min()
        assert abs(np.sign(np.diff(half[::16, 0])).sum()) == len(steps)


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


def test_tokens_in_wide_scripts_are_upright(show):
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


def test_tokens_are_escaped(show):
    with show(render(posterior(sentence(HOSTILE, HOSTILE), title="<img src=x>"))) as tab:
        view = tab.locator(VIEW)
        move_to(tab, view, 1, 0)
        assert shown(view)[0] == [HOSTILE[0], HOSTILE[1]]
        assert view.locator(".title").text_content() == "<img src=x>"
        assert view.locator("img").count() == 0
        assert HOSTILE[0] in view.locator("option").first.text_content()


def test_soft_attention(show):
    with show(render(posterior(sentence(words("s", 4), words("t", 3), soft=True)))) as tab:
        view = tab.locator(VIEW)
        move_to(tab, view, 0, 0)
        assert set(shown(view)[1]) == {"prior", "prior_entropy", "log_evidence"}
        assert view.locator("input[type=radio]").count() == 1


def simplex():
    """A Dirichlet prior and guide, from sharp to flat."""
    generator = np.random.default_rng(5)
    alphas = [np.exp(generator.uniform(-5, 5, (3, 6))).astype(np.float32) for _ in range(2)]
    alphas[0][0] = 1.0
    prior, guide = (alpha / alpha.sum(-1, keepdims=True) for alpha in alphas)
    one = sentence(words("s", 6), words("t", 3), soft=True)
    return dataclasses.replace(
        one, prior=prior, guide=guide, concentration_prior=alphas[0], concentration_guide=alphas[1]
    )


def test_a_dirichlet_has_concentrations_and_intervals(show):
    one = simplex()
    intervals = {kind: one.credible_interval(kind) for kind in ("prior", "guide")}
    with show(render(posterior(one))) as tab:
        view = tab.locator(VIEW)
        for row in range(3):
            for column in range(6):
                move_to(tab, view, row, column)
                _, figures = shown(view)
                for kind in ("prior", "guide"):
                    assert_three_digits(figures[kind], one.matrix(kind)[row, column])
                    alpha = getattr(one, f"concentration_{kind}")[row, column]
                    assert number(figures[f"{kind}-concentration"]) == pytest.approx(
                        alpha, rel=5e-3
                    )
                    texts = figures[f"{kind}-interval"].split(" and ")
                    for text, bound in zip(texts, intervals[kind], strict=True):
                        assert_three_digits(text, bound[row, column])
        # Six weights of a flat Dirichlet: Beta(1, 5), whose distribution function is 1 − (1 − x)⁵.
        move_to(tab, view, 0, 0)
        low, high = map(number, shown(view)[1]["prior-interval"].split(" and "))
        assert low == pytest.approx(1 - 0.975**0.2, rel=5e-3)
        assert high == pytest.approx(1 - 0.025**0.2, rel=5e-3)
        choose(view, "prior")
        spoken = view.locator("[aria-live=polite]").text_content()
        assert shown(view)[1]["prior-interval"] in spoken


def test_a_single_source_position_has_weight_one(show):
    alpha = np.full((2, 1), 3.0, dtype=np.float32)
    one = dataclasses.replace(
        sentence(["s"], ["t", "u"], soft=True), prior=alpha / alpha, concentration_prior=alpha
    )
    with show(render(posterior(one))) as tab:
        move_to(tab, tab.locator(VIEW), 1, 0)
        assert shown(tab.locator(VIEW))[1]["prior-interval"] == "1.000 and 1.000"


def test_intervals_are_shown_only_for_dirichlets(show):
    with show(render(posterior(sentence(words("s", 3), words("t", 2))))) as tab:
        move_to(tab, tab.locator(VIEW), 1, 1)
        assert not [name for name in shown(tab.locator(VIEW))[1] if "interval" in name]
