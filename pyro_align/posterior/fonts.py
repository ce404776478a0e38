"""Fonts for the scripts that tokens are written in."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache, lru_cache

from matplotlib import font_manager

BASE = "DejaVu Sans"
"""Font of matplotlib itself, for Latin, Greek, Cyrillic, Hebrew, Arabic and other scripts."""

MISSING = "□"
"""Replacement for a character that no installed font has."""


def families(texts: Iterable[str]) -> tuple[list[str], frozenset[str]]:
    """Return font families that cover the characters of texts, and the characters none covers."""
    others = frozenset(sign for text in texts for sign in text) - _signs_of_base()
    chosen, missing = _families(others) if others else ((), others)
    return [BASE, *chosen], missing


def shown(text: str, missing: frozenset[str]) -> str:
    """Replace the missing characters of a text by :data:`MISSING`."""
    return "".join(MISSING if sign in missing else sign for sign in text)


@lru_cache(maxsize=64)
def _families(wanted: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Choose families greedily: each covers most of the characters not yet covered."""
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
    """Return name and file of each upright family, in the weight nearest to regular."""
    faces = [
        (abs(face.weight - 400) if isinstance(face.weight, int) else 0, face.name, face.fname)
        for face in font_manager.fontManager.ttflist
        # The font Last Resort has a box for each character.
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
