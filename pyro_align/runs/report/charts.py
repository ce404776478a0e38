"""Line charts as inline SVG, in the colours of the surrounding page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 440, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 122, 26, 44
_APART = 15
"""Minimum distance between two labels."""


@dataclass(frozen=True)
class Series:
    """A line with a label at its end.

    Attributes:
        label: label of the line.
        points: x and y coordinates.
        dots: whether to mark the points.
    """

    label: str
    points: Sequence[tuple[float, float]]
    dots: bool = False


@dataclass(frozen=True)
class Axis:
    """An axis with a range of values.

    Attributes:
        label: label with the unit.
        low: minimum.
        high: maximum.
        logarithmic: whether the scale is logarithmic.
    """

    label: str
    low: float
    high: float
    logarithmic: bool = False

    @classmethod
    def around(cls, label: str, values: Sequence[float], logarithmic: bool = False) -> Axis:
        """Return an axis that covers some values."""
        low, high = min(values), max(values)
        if low == high:
            low, high = (low / 1.1, high * 1.1) if logarithmic else (low - 0.5, high + 0.5)
        return cls(label, low, high, logarithmic)

    def place(self, value: float) -> float:
        """Return the position of a value, from 0 at the minimum to 1 at the maximum."""
        low, high = (math.log(end) if self.logarithmic else end for end in (self.low, self.high))
        return ((math.log(value) if self.logarithmic else value) - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """Return about five round values within the range."""
        if self.logarithmic:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            for steps in ((1, 2, 5), (1, 3), (1,)):
                found = [step * 10.0**decade for decade in decades for step in steps]
                inside = [value for value in found if self.low <= value <= self.high]
                if len(inside) <= 7:
                    break
            if len(inside) >= 2:
                return inside[:: math.ceil(len(inside) / 7)]
        span = self.high - self.low
        unit = 10.0 ** math.floor(math.log10(span / 4))
        step = next(unit * by for by in (1, 2, 5, 10) if span / (unit * by) <= 5)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]


def chart(series: Sequence[Series], x: Axis, y: Axis, *, ideal: bool = False) -> str:
    """Return a line chart as an SVG element.

    Args:
        series: lines, at most three.
        x: horizontal axis.
        y: vertical axis.
        ideal: whether to draw the diagonal.
    """
    parts = [_grid(x, y)]
    if ideal:
        parts.append(
            f'<line class="ideal" x1="{_LEFT}" y1="{_HEIGHT - _BOTTOM}" x2="{_WIDTH - _RIGHT}" '
            f'y2="{_TOP}"/>'
        )
    ends = []
    for number, line in enumerate(series, start=1):
        places = [_place(x.place(a), y.place(b)) for a, b in line.points]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        dots = "".join(f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="4"/>' for a, b in places)
        kept = dots if line.dots or len(places) == 1 else ""
        parts.append(
            f'<g class="series-{number}"><polyline class="line" points="{path}"/>{kept}</g>'
        )
        ends.append((places[-1][1], number, line.label))
    lowest = -math.inf
    for wanted, number, label in sorted(ends):
        lowest = max(wanted, lowest + _APART)
        parts.append(
            f'<text class="label series-{number}" x="{_WIDTH - _RIGHT + 9}" y="{lowest + 4:.1f}">'
            f"{escape(label)}</text>"
        )
    names = ", ".join(line.label for line in series)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" role="img" '
        f'aria-label="{escape(f"{y.label} over {x.label}: {names}")}">{"".join(parts)}</svg>'
    )


def _place(x: float, y: float) -> tuple[float, float]:
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    return _LEFT + x * width, _HEIGHT - _BOTTOM - y * height


def _grid(x: Axis, y: Axis) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [
        f'<text x="0" y="12">{escape(y.label)}</text>'
        f'<text x="{right}" y="{_HEIGHT - 6}" text-anchor="end">{escape(x.label)}</text>'
    ]
    for value in y.ticks:
        height = _place(0, y.place(value))[1]
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{height:.1f}" y2="{height:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end">{_written(value)}</text>'
        )
    for value in x.ticks:
        across = _place(x.place(value), 0)[0]
        parts.append(
            f'<text x="{across:.1f}" y="{bottom + 18}" text-anchor="middle">'
            f"{_written(value)}</text>"
        )
    return "".join(parts)


def _written(value: float) -> str:
    return f"{value:g}".replace("-", "−")
