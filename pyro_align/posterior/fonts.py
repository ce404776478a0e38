"""Fonts for the scripts that tokens are written in."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache

from matplotlib import font_manager

BASE = "DejaVu Sans"
"""Comes with matplotlib: Latin, Greek, Cyrillic, Hebrew, Arabic and more."""

MISSING = "□"
"""Stands for a sign that no installed font has."""


def families(texts: Iterable[str]) -> tuple[list[str], frozenset[str]]:
    """Font families that together have the signs of texts, and the signs that none has."""
    others = frozenset(sign for text in texts for sign in text) - _signs_of_base()
    chosen, missing = _families(others) if others else ((), others)
    return [BASE, *chosen], missing


def shown(text: str, missing: frozenset[str]) -> str:
    """The text with :data:`MISSING` for every sign that is missing."""
    return "".join(MISSING if sign in missing else sign for sign in text)


@lru_cache(maxsize=64)
def _families(wanted: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Families for signs, again and again the one with the most that are still missing."""
    covered = {name: wanted & _signs(path) for name, path in _installed()}
    chosen: list[str] = []
    while best := max(covered, key=lambda name: len(covered[name] & wanted), default=None):
        if not covered[best] & wanted:
            break
        chosen.append(best)
        wanted -= covered[best]
    return tuple(chosen), wanted


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    """Name and file of every upright family, those of ordinary weight first."""
    faces = [
        (abs(face.weight - 400) if isinstance(face.weight, int) else 0, face.name, face.fname)
        for face in font_manager.fontManager.ttflist
        # The last resort has a box for every sign.
        if face.style == "normal" and "Last Resort" not in face.name
    ]
    files: dict[str, str] = {}
    for _, name, path in sorted(faces):
        files.setdefault(name, path)
    return tuple(files.items())


@cache
def _signs_of_base() -> frozenset[str]:
    return _signs(font_manager.findfont(BASE))


def _signs(path: str) -> frozenset[str]:
    return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
