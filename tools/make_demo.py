"""Make the built-in corpus anew: ``python tools/make_demo.py``.

Writes ``pyro_align/data/demo/*.tsv.gz``. The figures in the README are measured on this text, so
a change of the grammar means measuring them again.
"""

from pathlib import Path

from demo_grammar import write

if __name__ == "__main__":
    write(Path(__file__).parents[1] / "pyro_align" / "corpus" / "demo")
