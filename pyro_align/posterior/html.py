"""Interactive view of alignment posteriors as self-contained HTML.

:func:`render` returns the HTML shown in a notebook, :func:`page` a complete page. Probabilities
``p`` are encoded as ``round(65535 · p^¼)``: 0 and 1 are exact, the absolute error is at most 3e-5,
and three digits are significant from 2e-5 upwards.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from pyro_align.posterior.sentence import SENTENCE_END

if TYPE_CHECKING:
    from pyro_align.posterior.alignment_posterior import AlignmentPosterior
    from pyro_align.posterior.sentence import Floats, SentencePosterior

MEASURES = ("prior_entropy", "guide_entropy", "posterior_entropy", "kl", "gap", "log_evidence")
"""Quantities of a target position that are drawn beside its row, if available."""

_CODES, _POWER = 65535, 4
_SCRIPTS = ("beta.js", "export.js", "view.js")
_COMMON = ("colours.js", "theme.js", "data.js", "frame.js")
_STATIC = 24
"""Maximum tokens per side in the table that replaces the view if scripts do not run."""


def render(posterior: AlignmentPosterior, *, title: str | None = None) -> str:
    """Return the view as an HTML element for a notebook or page.

    The element contains its script, style and data, loads nothing from the network, and changes
    nothing outside itself. If scripts do not run, a table of the first sentence is displayed.

    Args:
        posterior: posteriors to display.
        title: title above the view; None for the title of the posterior.
    """
    heading = posterior.title if title is None else title
    if not len(posterior):
        return f"<p>{escape(heading)}: no sentence pairs</p>"
    return widget("alignments", _SCRIPTS, _static(posterior, heading), _data(posterior, heading))


def widget(kind: str, scripts: Iterable[str], static: str, data: dict[str, Any]) -> str:
    """Return an HTML element that becomes a view when its script is executed.

    Args:
        kind: kind of posterior, which the last script names.
        scripts: names of assets, in addition to those that all views have.
        static: HTML that is displayed if scripts do not run.
        data: what the view displays.
    """
    script = "\n".join(asset(name) for name in (*_COMMON, *scripts))
    return (
        f'<div data-pyro-align="{kind}" class="tex2jax_ignore mathjax_ignore">{static}'
        f'<script type="application/json">{_json(data)}</script>'
        f'<script>(() => {{\n"use strict";\n{script}}})();</script>'
        "</div>"
    )


def render_group(posteriors: Iterable[AlignmentPosterior], titles: Iterable[str]) -> str:
    """Return views side by side; a selection in one applies to all.

    Args:
        posteriors: posteriors of the same sentences.
        titles: titles above the views.
    """
    views = "".join(
        render(each, title=title) for each, title in zip(posteriors, titles, strict=True)
    )
    columns = "repeat(auto-fit, minmax(min(100%, 440px), 1fr))"
    style = f"display: grid; grid-template-columns: {columns}; gap: 24px"
    return f'<div data-pyro-align-group style="{style}">{views}</div>'


def page(title: str, parts: Iterable[str]) -> str:
    """Return an HTML page whose content security policy forbids network access.

    Args:
        title: title and first heading of the page.
        parts: HTML elements. A button with ``data-sentence="3"`` selects the sentence with index 3
            in the first view of the page.
    """
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    )
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>\n{asset('page.css')}</style>\n</head>\n<body>",
            f'<h1><bdi dir="auto">{escape(title)}</bdi></h1>',
            *parts,
            f"<script>\n{asset('page.js')}</script>\n</body>\n</html>\n",
        ]
    )


@cache
def asset(name: str) -> str:
    """Return the text of a stylesheet or script of the view."""
    return files("pyro_align.posterior").joinpath("assets", name).read_text(encoding="utf-8")


def _data(posterior: AlignmentPosterior, title: str) -> dict[str, Any]:
    return {
        "title": title,
        "units": posterior.units,
        "end": SENTENCE_END,
        "style": asset("view.css"),
        **packed(posterior),
    }


def packed(posterior: AlignmentPosterior) -> dict[str, Any]:
    """Return the data of all sentence pairs as a view reads them."""
    kinds = posterior.kinds
    measures = [
        name for name in MEASURES if all(getattr(one, name) is not None for one in posterior)
    ]
    concentrations = [
        kind
        for kind in kinds
        if all(getattr(one, f"concentration_{kind}", None) is not None for one in posterior)
    ]
    return {
        "kinds": kinds,
        "measures": measures,
        "concentrations": concentrations,
        "sentences": [_sentence(one, kinds, measures, concentrations) for one in posterior],
    }


def _sentence(
    sentence: SentencePosterior,
    kinds: Iterable[str],
    measures: Iterable[str],
    concentrations: Iterable[str],
) -> dict[str, Any]:
    result: dict[str, Any] = {"source": sentence.source, "target": sentence.target}
    if sentence.gold is not None:
        sure, possible = sentence.gold.sure, sentence.gold.possible
        result["gold"] = {"sure": sorted(sure), "possible": sorted(possible - sure)}
    data = _packed(
        [sentence.matrix(kind) for kind in kinds],
        [getattr(sentence, name) for name in measures]
        + [getattr(sentence, f"concentration_{kind}") for kind in concentrations],
    )
    return {**result, "data": data}


def _packed(matrices: list[Floats], numbers: list[Floats]) -> str:
    """Compress and encode: high bytes of all codes, then low bytes, then numbers as float32."""
    probabilities = np.stack([np.asarray(one, dtype=np.float64) for one in matrices]).clip(0, 1)
    codes = np.rint(_CODES * probabilities ** (1 / _POWER)).astype(np.uint16)
    high, low = (codes >> 8).astype(np.uint8), (codes & 255).astype(np.uint8)
    floats = b"".join(np.asarray(one).astype("<f4").tobytes() for one in numbers)
    return base64.b64encode(zlib.compress(high.tobytes() + low.tobytes() + floats, 9)).decode()


def _json(data: dict[str, Any]) -> str:
    """Return JSON that cannot close the script element around it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _static(posterior: AlignmentPosterior, title: str) -> str:
    """Return a table of the first sentence, displayed if scripts do not run."""
    sentence, kind = posterior[0], posterior.kinds[-1]
    matrix = np.asarray(sentence.matrix(kind))[:_STATIC, :_STATIC].tolist()
    sources = "".join(
        f'<th style="font-weight:normal">{_token(text)}</th>' for text in sentence.source[:_STATIC]
    )
    rows = "".join(
        f'<tr><th style="font-weight:normal;text-align:right">{_token(text)}</th>'
        f"{''.join(map(_cell, row))}</tr>"
        for text, row in zip(sentence.target, matrix, strict=False)
    )
    size = f"{len(sentence.source)} × {len(sentence.target)} tokens"
    longest = max(len(sentence.source), len(sentence.target))
    cut = "" if longest <= _STATIC else f", the first {_STATIC} tokens of each side"
    return (
        f"<p><b>{escape(title)}</b>: {kind} of pair 1 of {len(posterior)} ({size}{cut}), "
        "in hundredths. The interactive view needs scripts: trust the notebook, or open it in "
        "JupyterLab, VS Code or a browser.</p>"
        f"<table><thead><tr><th></th>{sources}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _token(text: str) -> str:
    return f'<bdi dir="auto">{escape(text)}</bdi>'


def _cell(probability: float) -> str:
    hundredths = round(100 * probability)
    if not hundredths:
        return "<td></td>"
    red, green, blue = (255 - round(hundredths * (255 - full) / 100) for full in (34, 87, 196))
    ink = "#fff" if hundredths > 50 else "#222"
    style = f"background-color:rgb({red},{green},{blue});color:{ink};text-align:center"
    return f'<td style="{style}">{hundredths}</td>'
