"""``pyro-align align``: links between the words of sentence pairs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from pyro_align.cli.options import LINK_FORMATS, chosen_device, device_option
from pyro_align.cli.output import output

if TYPE_CHECKING:
    from pyro_align.alignment import Aligner, PairText, Writer
    from pyro_align.run import Run

TRAINING = ("one_direction", "epochs", "seed", "config", "settings", "save")
"""Parameters that go with --train alone."""


@click.command()
@click.argument("arguments", nargs=-1, metavar="[RUN] [SRC TGT|FILE|-]")
@click.option("--train", is_flag=True, help="Train on the text itself, in both directions.")
@click.option("--one-direction", is_flag=True, help="With --train: source to target alone.")
@click.option("--epochs", type=int, help="With --train: passes over the text.")
@click.option("--seed", type=int, help="With --train: makes it repeat exactly.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="With --train: instead of recipes/align.toml."
)
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="With --train.")
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="With --train: keep the runs, as DIR/forward and DIR/reverse.",
)
@click.option(
    "--reverse", type=click.Path(path_type=Path), metavar="RUN", help="A run from TGT to SRC."
)
@click.option(
    "--symmetrise",
    type=click.Choice(
        ("intersect", "union", "grow-diag", "grow-diag-final", "grow-diag-final-and", "product")
    ),
    help="Two directions made one; grow-diag-final-and by default.",
)
@click.option(
    "--from",
    "origin",
    type=click.Choice(("posterior", "guide", "prior")),
    help="What links are read from; by default the first of these that the run has.",
)
@click.option(
    "--decode",
    type=click.Choice(("argmax", "threshold", "mbr")),
    default="argmax",
    show_default=True,
    help="mbr: the links of least expected AER.",
)
@click.option("--threshold", type=float, help="Of --decode threshold; 0.5 by default.")
@click.option(
    "--format", "form", type=click.Choice(LINK_FORMATS), default="pharaoh", show_default=True
)
@click.option("--probabilities", is_flag=True, help="Write the probability of each link.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="File, a folder with --shards; else stdout."
)
@click.option(
    "--shards", type=click.Path(path_type=Path), metavar="DIR", help="Align each file of a folder."
)
@click.option("--max-length", type=click.IntRange(min=2), help="Longest side, in pieces.")
@device_option
@click.pass_context
def align(
    ctx: click.Context,
    /,
    arguments: tuple[str, ...],
    train: bool,
    reverse: Path | None,
    symmetrise: str | None,
    origin: str | None,
    decode: str,
    threshold: float | None,
    form: str,
    probabilities: bool,
    out: Path | None,
    shards: Path | None,
    max_length: int | None,
    device: str,
    **training: Any,
) -> None:
    """Links between the words of sentence pairs, by a RUN or, with --train, by the text itself.

    Text is two files with a sentence a line; or one .tsv, .jsonl or other file, or - for standard
    input, with lines `source ||| target` or a tab between. Each may be .gz.

    \b
    Formats, for links of the first source word with the first target word, and
    of the third with the second, in sentence pair 7:
      pharaoh   0-0 2-1                        from 0; with --probabilities 0-0:0.93
      talp      1-1 3-2                        from 1
      naacl     7 1 1 S and 7 3 2 S            from 1, a line a link
      jsonl     {"source": …, "target": …, "links": [[0, 0], [2, 1]], …}   from 0

    Every line of text gives one line of links, one without links where a side is empty; only naacl
    gives a line a link.

    \b
    pyro-align align runs/a in.de in.en > links
    pyro-align align runs/de-en --reverse runs/en-de in.de in.en > links
    pyro-align align --train in.de in.en > links
    pyro-align align runs/a --shards pairs/ --out links/
    """
    _check(ctx, train, arguments, reverse, symmetrise, decode, threshold, shards, out)
    from pyro_align.alignment import PairText, align_shards, writer

    write = writer(form, probabilities=probabilities)
    text = None
    if shards is None:
        names = arguments if train else arguments[1:] or ("-",)
        text = PairText.open([sys.stdin.buffer if name == "-" else Path(name) for name in names])
    with _runs(arguments[0] if arguments else "", reverse, text if train else None, **training) as (
        forward,
        backward,
    ):
        aligner = _aligner(
            forward, backward, origin, decode, threshold, symmetrise, max_length, device
        )
        if shards is None or out is None:
            assert text is not None
            with output(out) as file:
                _write(aligner, text, write, file)
            return
        failed = align_shards(
            lambda shard, file: _write(aligner, PairText.open([shard]), write, file),
            shards,
            out,
            _echo,
        )
    for reason in failed.values():
        _echo(f"error: {reason}")
    if failed:
        _echo(f"{len(failed)} failed; the same command again does these, and these alone")
        ctx.exit(2)


def _check(
    ctx: click.Context,
    train: bool,
    arguments: tuple[str, ...],
    reverse: Path | None,
    symmetrise: str | None,
    decode: str,
    threshold: float | None,
    shards: Path | None,
    out: Path | None,
) -> None:
    """Refuse options that do not go together."""
    if train:
        if reverse is not None or shards is not None:
            raise click.UsageError("--train makes its own runs: leave --reverse and --shards out")
        if "-" in arguments:
            raise click.UsageError("--train reads its text several times: give it as files")
    else:
        given = [name for name in TRAINING if ctx.params[name] not in (None, False, ())]
        if given:
            option = "set" if given[0] == "settings" else given[0].replace("_", "-")
            raise click.UsageError(f"--{option} goes with --train")
        if not arguments:
            raise click.UsageError("say which RUN aligns the text, or --train one on it")
    if shards is not None and (out is None or len(arguments) > 1):
        raise click.UsageError("--shards DIR aligns the files of a folder into that of --out DIR")
    both = reverse is not None or (train and not ctx.params["one_direction"])
    if symmetrise is not None and not both:
        raise click.UsageError("--symmetrise needs two directions: --reverse RUN, or --train")
    if threshold is not None and decode != "threshold":
        raise click.UsageError("--threshold goes with --decode threshold")


@contextmanager
def _runs(
    name: str,
    reverse: Path | None,
    text: PairText | None,
    *,
    one_direction: bool,
    epochs: int | None,
    seed: int | None,
    config: Path | None,
    settings: tuple[str, ...],
    save: Path | None,
) -> Iterator[tuple[Run, Run | None]]:
    """The run that aligns and that of the other direction: loaded, or trained on a text."""
    from pyro_align.config import Config, recipe
    from pyro_align.run import Run

    if text is None:
        yield Run.load(Path(name)), None if reverse is None else Run.load(reverse)
        return
    from pyro_align.transduction import fit_directions

    flags = {"training.epochs": epochs, "seed": seed}
    changes = [f"{key}={value}" for key, value in flags.items() if value is not None]
    chosen = Config.load(config or recipe("align"), [*changes, *settings])
    with tempfile.TemporaryDirectory(prefix="pyro-align-") as scratch:
        forward, *rest = fit_directions(
            text,
            chosen,
            Path(scratch) / "runs" if save is None else save,
            directions=1 if one_direction else 2,
            echo=_echo,
        )
        yield forward, rest[0] if rest else None


def _aligner(
    forward: Run,
    reverse: Run | None,
    origin: str | None,
    decode: str,
    threshold: float | None,
    symmetrise: str | None,
    max_length: int | None,
    device: str,
) -> Aligner:
    from pyro_align.alignment import (
        DECODERS,
        SYMMETRISATIONS,
        SYMMETRISE,
        Aligner,
        Threshold,
        WordTables,
    )

    where = chosen_device(device)

    def tables(run: Run) -> WordTables:
        run.to(where)
        return WordTables(run.model, run.guide, run.vocabularies, origin=origin, device=where)

    return Aligner(
        tables(forward),
        None if reverse is None else tables(reverse),
        decode=DECODERS[decode]() if threshold is None else Threshold(threshold),
        symmetrise=SYMMETRISATIONS[symmetrise or SYMMETRISE],
        batch_tokens=forward.config.training.batch_tokens,
        max_length=forward.max_length if max_length is None else max_length,
    )


def _write(aligner: Aligner, text: PairText, write: Writer, file: TextIO) -> None:
    for aligned in aligner.align(text, text.path):
        file.write(write(aligned))


def _echo(line: str) -> None:
    click.echo(line, err=True)
