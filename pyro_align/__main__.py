"""``python -m pyro_align``: the command line."""

from pyro_align.cli import main

main(prog_name="pyro-align")
