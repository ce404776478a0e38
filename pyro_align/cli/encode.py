"""``pyro-align encode``: the latent variable of each sentence of a text."""

from __future__ import annotations

from pathlib import Path

import click

from pyro_align.cli.options import chosen_device, device_option
from pyro_align.cli.output import output, standard_input
from pyro_align.cli.paths import InputPath, OutputFile
from pyro_align.cli.progress import load_sentences_run, quiet_option, trust_option


@click.command()
@click.argument("run", type=InputPath())
@click.argument("text", type=InputPath(stdin=True), required=False)
@click.option(
    "--out",
    type=OutputFile(stdout=True),
    help="Output file, a NumPy archive if its name ends in .npz; standard output by default.",
)
@device_option
@trust_option
@quiet_option
def encode(run: Path, text: Path | None, out: Path | None, device: str) -> None:
    """Write mean and variance of the latent variable of each line of TEXT (a file or standard
    input) under the guide.

    The output is tab-separated, one row per sentence: the means of all dimensions, then the
    variances, with a header. A NumPy archive has the arrays `means` and `variances`, of shape
    (sentences, dimensions).
    """
    from pyro_align.data import read_lines

    loaded, task = load_sentences_run(run)
    loaded.to(chosen_device(device))
    lines = read_lines(standard_input() if text is None else text)
    found = task.encode(loaded.guide, lines, text)
    means, variances = (each.cpu().numpy() for each in found)
    if out is not None and out.suffix == ".npz":
        import numpy as np

        from pyro_align.files import atomic_write

        with atomic_write(out) as binary:
            np.savez(binary, means=means, variances=variances)
        return
    dimensions = range(means.shape[1])
    header = [f"{kind}_{number}" for kind in ("mean", "variance") for number in dimensions]
    with output(out) as file:
        print(*header, sep="\t", file=file)
        for mean, variance in zip(means, variances, strict=True):
            print(*(f"{value:.6g}" for value in (*mean, *variance)), sep="\t", file=file)
