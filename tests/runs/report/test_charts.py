"""Charts: positions of lines and labels, and ticks of the axes."""

import itertools
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.runs.report.charts import Axis, Series, chart

numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))


def test_ticks_are_round():
    assert Axis("", 0, 1).ticks == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert Axis("", -5.6, -1.9).ticks == [-5, -4, -3, -2]
    assert Axis("", 3, 700, logarithmic=True).ticks == [5, 10, 20, 50, 100, 200, 500]
    assert Axis("", 1, 1e5, logarithmic=True).ticks == [1, 10, 100, 1e3, 1e4, 1e5]
    # This narrow range contains no two round powers: the ticks are those of a linear axis.
    assert Axis("", 5.1, 5.9, logarithmic=True).ticks == [5.2, 5.4, 5.6, 5.8]


@given(st.lists(numbers, min_size=1, max_size=5))
def test_ticks_lie_within(values):
    axis = Axis.around("", values)
    assert 2 <= len(axis.ticks) <= 7
    assert all(-1e-9 <= axis.place(tick) <= 1 + 1e-9 for tick in axis.ticks)


@given(st.lists(st.floats(1e-3, 1e9), min_size=1, max_size=5))
def test_logarithmic_ticks_lie_within(values):
    axis = Axis.around("", values, logarithmic=True)
    assert 2 <= len(axis.ticks) <= 7
    assert all(-1e-9 <= axis.place(tick) <= 1 + 1e-9 for tick in axis.ticks)


def test_a_logarithmic_axis_has_equal_ratios():
    axis = Axis("", 1, 100, logarithmic=True)
    assert axis.place(10) == pytest.approx(0.5)


def test_lines_run_through_their_points():
    line = Series("<one>", [(0, 0), (1, 10), (2, 5)], dots=True)
    text = chart([line], Axis("x & y", 0, 2), Axis("y", 0, 10))
    root = ElementTree.fromstring(text)
    (polyline,) = root.iter("polyline")
    points = [tuple(map(float, pair.split(","))) for pair in polyline.get("points").split()]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y0 - y1 == pytest.approx(2 * (y0 - y2), abs=0.2)  # y decreases upwards in SVG
    dots = [(float(one.get("cx")), float(one.get("cy"))) for one in root.iter("circle")]
    assert dots == points
    texts = [one.text for one in root.iter("text")]
    assert {"<one>", "x & y", "y", "0", "10"} <= set(texts)


def test_labels_do_not_overlap():
    lines = [Series(name, [(0, 1), (1, 1.001 * i)]) for i, name in enumerate("abc", start=1)]
    root = ElementTree.fromstring(chart(lines, Axis("x", 0, 1), Axis("y", 0, 1000)))
    heights = sorted(float(t.get("y")) for t in root.iter("text") if t.text in "abc")
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 14.9


def test_a_single_point_is_drawn_as_a_dot():
    axes = Axis.around("x", [3]), Axis.around("y", [5], logarithmic=True)
    text = chart([Series("one", [(3, 5)])], *axes)
    assert text.count("<circle") == 1
    assert not re.search("nan|inf", text)
