"""What a word is: the one rule for all text."""

from __future__ import annotations

import re

split_words = re.compile(r"\S+", re.ASCII).findall
"""Words of a text: what stands between ASCII white space, as for awk, cut and fast_align.

ASCII white space is space, tab, newline, carriage return, form feed and vertical tab. Any other
character is part of a word, a no-break space (U+00A0) or an ideographic space (U+3000) too, so that
positions of words are those that other tools count. ``str.split`` would part words at them.
"""
