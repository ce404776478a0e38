"""``pyro-align translate``: translate lines with a run."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from pyro_align.cli.options import beam_option, chosen_device, device_option
from pyro_align.cli.output import output


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("text", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), help="File; standard output by default.")
@beam_option
@click.option("--length-penalty", default=1.0, show_default=True, help="α of Wu et al. 2016.")
@click.option("--top-k", type=int, help="Marginalise over the K most probable positions only.")
@click.option("--n-best", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--scores", is_flag=True, help="Put score and log probability before each line.")
@click.option("--max-length", default=1000, show_default=True, help="Longest line, in pieces.")
@device_option
def translate(
    run: Path,
    text: Path | None,
    out: Path | None,
    beam: int,
    length_penalty: float,
    top_k: int | None,
    n_best: int,
    scores: bool,
    max_length: int,
    device: str,
) -> None:
    """Translate TEXT (a file, or standard input), a line each; empty lines stay empty.

    With --n-best N every line gives N lines, best first, or a single empty one; with --scores the
    columns are score, log probability and text, between tabs.
    """
    from pyro_align.corpus import read_lines
    from pyro_align.run import Run
    from pyro_align.translation import Translator

    loaded = Run.load(run)
    loaded.to(chosen_device(device))
    options = {"beam": beam, "length_penalty": length_penalty, "top_k": top_k, "n_best": n_best}
    search = loaded.translator(**options).search
    translator = Translator(
        search, loaded.source_vocabulary, loaded.target_vocabulary, max_source=max_length
    )
    unknown = 0
    with output(out) as file:
        for translation in translator.translate(read_lines(text or sys.stdin.buffer), text):
            unknown += translation.unknown
            if not translation.hypotheses:
                print(file=file)
            for found in translation.hypotheses:
                columns = [f"{found.score:.4f}", f"{found.log_probability:.4f}"] if scores else []
                print(*columns, found.text, sep="\t", file=file)
    if unknown:
        click.echo(
            f"warning: {unknown} lines hold nothing that the vocabulary knows; their translations "
            f"are guesses",
            err=True,
        )
