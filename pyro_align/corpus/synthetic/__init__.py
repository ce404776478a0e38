"""A grammar of German and English that generates sentence pairs with gold links from a seed.

A random *meaning* (a tree of nodes) is worded in both languages. Words carry the nodes that made
them, and words that share a node are linked: no link is ever guessed from positions.
"""

from pyro_align.corpus.synthetic.files import HELD_OUT, write
from pyro_align.corpus.synthetic.generate import SyntheticPair, generate, render

__all__ = ["HELD_OUT", "SyntheticPair", "generate", "render", "write"]
