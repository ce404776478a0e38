"""Splitting text into words."""

from __future__ import annotations

import re

has_words = re.compile(r"\S", re.ASCII).search
"""Return whether a text has a word, as a match or None."""

split_words = re.compile(r"\S+", re.ASCII).findall
"""Split text into words at ASCII white space, like awk, cut and fast_align.

ASCII white space is space, tab, newline, carriage return, form feed and vertical tab. All other
characters, including no-break space (U+00A0) and ideographic space (U+3000), are part of a word, so
that word positions agree with other tools. ``str.split`` would split words at them.
"""
