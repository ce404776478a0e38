"""Convert formulas to MathML when the site is built, so pages need no scripts or fonts."""

from __future__ import annotations

import html
import re
import unicodedata
from typing import Any

from latex2mathml.converter import convert

INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
DISPLAY = re.compile(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', re.DOTALL)
TAG = re.compile(r"\\tag\{(\d+)\}")
STYLED = re.compile(r'<mi mathvariant="(script|double-struck)">(\w)</mi>')
FUNCTION = re.compile(r"(<mi>(?:log|exp|tanh)</mi>)(?!<mo[^>]*>(?:\(|&#x00028;)|</)")


def on_page_content(content: str, **_: Any) -> str:
    """Replace the TeX of every page."""
    content = DISPLAY.sub(lambda found: display(html.unescape(found[1])), content)
    return INLINE.sub(lambda found: mathml(html.unescape(found[1])), content)


def display(formula: str) -> str:
    """Format a displayed formula with its number on the right."""
    number = TAG.search(formula)
    maths = mathml(TAG.sub("", formula).strip(), "block")
    label = f'<span class="number">({number[1]})</span>' if number else ""
    return f'<div class="equation"><div>{maths}</div>{label}</div>'


def mathml(formula: str, kind: str = "inline") -> str:
    """Convert TeX to MathML that browsers support, without letter styles and named functions."""
    found = convert(formula, display=kind)
    found = STYLED.sub(lambda one: f"<mi>{letter(one[1], one[2])}</mi>", found)
    return FUNCTION.sub(r'\1<mspace width="0.17em"/>', found)


def letter(style: str, plain: str) -> str:
    """Return a capital letter in a style."""
    for name in (f"MATHEMATICAL {style} CAPITAL {plain}", f"{style} CAPITAL {plain}"):
        try:
            return unicodedata.lookup(name.upper())
        except KeyError:
            continue
    raise ValueError(f"there is no {style} {plain}")
