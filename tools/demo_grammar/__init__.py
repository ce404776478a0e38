"""A grammar of German and English that generates sentence pairs with gold links from a seed.

A random *meaning* (a tree of nodes) is worded in both languages. Words carry the nodes that made
them, and words that share a node are linked: no link is ever guessed from positions.
"""

from demo_grammar.corpus import make, to_tsv, write
from demo_grammar.generate import SyntheticPair, meanings, render

__all__ = ["SyntheticPair", "make", "meanings", "render", "to_tsv", "write"]
