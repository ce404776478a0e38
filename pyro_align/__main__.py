"""``python -m pyro_align``: the command line, for ``torchrun -m pyro_align fit …``."""

from pyro_align.cli import main

if __name__ == "__main__":
    main(prog_name="pyro-align")
