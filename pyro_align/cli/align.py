"""``pyro-align align``: align the words of sentence pairs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import nullcontext, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from pyro_align.cli.completion import complete_assignment, complete_recipe
from pyro_align.cli.options import (
    LINK_FORMATS,
    SEED,
    chosen_device,
    device_option,
    language_option,
    one_language,
)
from pyro_align.cli.output import output, standard_input
from pyro_align.cli.paths import InputPath, OutputFile, OutputFolder
from pyro_align.cli.progress import counter, quiet_option, status, tell, trust_option

if TYPE_CHECKING:
    from pyro_align.cli.aligners import SavedAligner
    from pyro_align.word_alignment import AlignedPair, PairText, Writer

TRAINING = (
    "one_direction",
    "fast",
    "neural",
    "epochs",
    "seed",
    "config",
    "settings",
    "save",
    "prior",
    "lexicon",
)
"""Parameters that require --train."""

COUNTS = ("fast", "prior", "lexicon")
"""Parameters of --train that cannot be used with --neural."""

NEURAL = ("epochs", "seed", "config", "settings", "origin")
"""Parameters that require --neural."""


@click.command()
@click.argument("arguments", nargs=-1, metavar="[RUN] [SRC TGT|FILE|-]")
@click.option("--train", is_flag=True, help="Train on the text itself, in both directions.")
@click.option("--one-direction", is_flag=True, help="With --train: source to target only.")
@click.option("--fast", is_flag=True, help="With --train: fewer passes, slightly less accurate.")
@click.option(
    "--neural", is_flag=True, help="With --train: sequence-to-sequence models, for large corpora."
)
@click.option("--epochs", type=int, help="With --neural: passes over the text.")
@click.option("--seed", type=SEED, help="With --neural: random seed.")
@click.option(
    "--config",
    type=InputPath(),
    metavar="FILE|RECIPE",
    shell_complete=complete_recipe,
    help="With --neural: a TOML file or the name of a recipe.  [default: align]",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    shell_complete=complete_assignment,
    help="With --neural: any setting; `pyro-align settings` lists them.",
)
@click.option(
    "--save",
    type=OutputFolder(),
    metavar="DIR",
    help="With --train: save the aligner; with --neural, the runs DIR/forward and DIR/reverse.",
)
@click.option(
    "--prior",
    type=InputPath(),
    metavar="FILE",
    help="With --train: a lexicon of other text, or a dictionary; links to add to those of the "
    "text.",
)
@click.option(
    "--lexicon",
    type=OutputFile(),
    metavar="FILE",
    help="With --train: write the translations of words, with probabilities and numbers of links.",
)
@click.option("--reverse", type=InputPath(), metavar="RUN", help="A run from TGT to SRC.")
@click.option(
    "--symmetrise",
    type=click.Choice(
        (
            "intersect",
            "union",
            "grow-diag",
            "grow-diag-final",
            "grow-diag-final-and",
            "product",
            "grow-mean",
        )
    ),
    help="Symmetrisation of the two directions; by default grow-mean for a word aligner, and "
    "grow-diag-final-and for runs.",
)
@click.option(
    "--from",
    "origin",
    type=click.Choice(("posterior", "guide", "prior")),
    help="Distribution to read links from; by default the first of these that the run has.",
)
@click.option(
    "--decode",
    type=click.Choice(("argmax", "threshold", "mbr")),
    help="How links are chosen: by default with a threshold for --symmetrise grow-mean, else "
    "argmax; mbr minimises the expected AER.",
)
@click.option("--threshold", type=float, help="Threshold for --decode threshold; 0.5 by default.")
@click.option(
    "--format", "form", type=click.Choice(LINK_FORMATS), default="pharaoh", show_default=True
)
@click.option(
    "--scores",
    type=OutputFile(),
    metavar="FILE",
    help="With a word aligner: write a score per sentence pair, to filter text; higher is better.",
)
@click.option("--probabilities", is_flag=True, help="Write the probability of each link.")
@click.option(
    "--out",
    "out_name",
    metavar="PATH",
    help="Output file, or folder with --shards; standard output by default and for -.",
)
@click.option("--shards", type=InputPath(), metavar="DIR", help="Align every file of a folder.")
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="With --shards: use a Ray cluster; auto for a running one, local to start one here.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="With --ray: maximum number of workers; by default one per CPU (or GPU) of the cluster.",
)
@click.option(
    "--max-length",
    type=click.IntRange(min=2),
    help="Maximum length of a side, in subword tokens for a run, in words for an aligner.",
)
@language_option
@device_option
@trust_option
@quiet_option
@click.pass_context
def align(
    ctx: click.Context,
    /,
    arguments: tuple[str, ...],
    train: bool,
    reverse: Path | None,
    symmetrise: str | None,
    origin: str | None,
    decode: str | None,
    threshold: float | None,
    form: str,
    scores: Path | None,
    probabilities: bool,
    out_name: str | None,
    shards: Path | None,
    ray: str | None,
    workers: int | None,
    max_length: int | None,
    languages: tuple[str, ...],
    device: str,
    **training: Any,
) -> None:
    """Align the words of sentence pairs with a RUN or, with --train, an aligner trained on them.

    RUN is a folder created by `fit` or by --train --save. --train fits hidden Markov models of
    both directions to the text; it needs no other data and no GPU.

    Text is two files with one sentence per line; or one .tsv, .jsonl or other file, or - for
    standard input, with lines `source ||| target` or tab-separated sides. Files may be compressed
    with gzip, xz or bzip2.

    A run of words (task transduction) aligns the symbols of the words in one .tsv file or standard
    input, with the columns of the run.

    Words are separated by ASCII white space, as in awk, cut and
    fast_align. Other spaces, such as a no-break space, are part of a word.

    Output formats, shown for links of the first source word with the first target word, and of the
    third with the second, in sentence pair 7:

    \b
        pharaoh  0-0 2-1              from 0; with --probabilities 0-0:0.93
        talp     1-1 3-2              from 1
        naacl    7 1 1 S and 7 3 2 S  from 1, one link per line
        jsonl    {"source": …, "target": …, "links": [[0, 0], [2, 1]], …}

    Every line of text gives one line of links, empty if a side is empty; naacl gives one line per
    link. The score of a pair (--scores) is by how much each sentence makes the words of the other
    more probable, in nats per word; -inf if a side is empty.

    A lexicon (--prior, --lexicon) has a line for each pair of words, with tab-separated columns:
    source word, target word, probability and number of links. --prior also takes lines of two
    words alone (one link each), and of two words and a number.

    \b
        pyro-align align runs/a in.de in.en > links
        pyro-align align runs/de-en --reverse runs/en-de in.de in.en > links
        pyro-align align --train in.de in.en > links
        pyro-align align --train in.de in.en --lexicon lexicon.tsv > links
        pyro-align align --train new.de new.en --prior lexicon.tsv > links
        pyro-align align runs/a --shards pairs/ --out links/
        pyro-align align runs/a --shards pairs/ --out links/ --ray auto
    """
    from pyro_align.runs.folder import check_version

    for name in arguments:
        InputPath(stdin=True).convert(name, None, ctx)
    out = _out(ctx, out_name, is_folder=shards is not None)
    _check(ctx, train, arguments, reverse, symmetrise, decode, threshold, shards, out)
    with status("loading"):
        if not train and not Path(arguments[0]).is_dir():
            check_version(Path(arguments[0]))  # before torch, which takes seconds to import
        from pyro_align.cli.aligners import Links, SavedAligner, saved, trained
        from pyro_align.word_alignment import align_shards, writer

    write = writer(form, probabilities=probabilities)
    if ray is None:
        device = chosen_device(device)
    language = one_language(languages)
    links = Links(decode, threshold, symmetrise, max_length, origin, device, language)
    if shards is not None and out is not None:
        aligner = SavedAligner(Path(arguments[0]), reverse, links, write)
        if ray is None:
            failed = align_shards(aligner(), shards, out, tell)
        else:
            failed = _by_ray(aligner, shards, out, ray, workers)
        for reason in failed.values():
            click.echo(f"error: {reason}", err=True)
        if failed:
            reason = "run the same command again to align only these"
            click.echo(f"{len(failed)} failed; {reason}", err=True)
            ctx.exit(2)
        return
    if train:
        text = _text(arguments)
        with trained(links, **training) as align_text, output(out) as file:
            _write(align_text(text), write, file, scores)
        return
    align_text = saved(Path(arguments[0]), reverse, links)
    text = _text(arguments[1:] or ("-",))
    with output(out) as file:
        _write(align_text(text), write, file, scores)


def _out(ctx: click.Context, name: str | None, *, is_folder: bool) -> Path | None:
    """Return the file or folder of --out; None for standard output."""
    if name is None:
        return None
    kind = OutputFolder() if is_folder else OutputFile(stdout=True)
    option = next(param for param in ctx.command.params if param.name == "out_name")
    path: Path | None = kind.convert(name, option, ctx)
    return path


def _write(
    aligned: Iterable[AlignedPair], write: Writer, file: TextIO, scores: Path | None
) -> None:
    """Write the links (and scores) of each sentence pair, and show how many are done."""
    from pyro_align.word_alignment import score_line

    with (
        counter("aligning pairs") as show_done,
        nullcontext() if scores is None else output(scores) as score_file,
    ):
        for done, pair in enumerate(aligned, start=1):
            if score_file is not None:
                score_file.write(score_line(pair))
            file.write(write(pair))
            show_done(done)


def _text(names: tuple[str, ...]) -> PairText:
    """Open the text files; ``-`` is standard input."""
    from pyro_align.word_alignment import PairText

    return PairText.open([standard_input() if name == "-" else Path(name) for name in names])


def _by_ray(
    aligner: SavedAligner, shards: Path, out: Path, address: str, workers: int | None
) -> dict[Path, str]:
    """Align the files of a folder on a Ray cluster; return the files that failed, with reasons."""
    from pyro_align.word_alignment import align_shards_on_ray

    aligner = replace(
        aligner,
        folder=aligner.folder.absolute(),
        reverse=None if aligner.reverse is None else aligner.reverse.absolute(),
    )
    # Check the aligner here, before workers start; the GPU may be on another machine.
    replace(aligner, links=replace(aligner.links, device="cpu"))()
    # Ray prints to standard output when a worker is killed, although it restarts the task itself.
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        return align_shards_on_ray(
            aligner,
            shards,
            out,
            tell,
            address=address,
            workers=workers,
            on_gpu=aligner.on_gpu,
        )


def _check(
    ctx: click.Context,
    train: bool,
    arguments: tuple[str, ...],
    reverse: Path | None,
    symmetrise: str | None,
    decode: str | None,
    threshold: float | None,
    shards: Path | None,
    out: Path | None,
) -> None:
    """Raise an error for options that cannot be combined."""
    if train:
        if reverse is not None or shards is not None:
            raise click.UsageError("--train trains its own aligner: remove --reverse and --shards")
        neural = [name for name in NEURAL if ctx.params[name] not in (None, ())]
        if neural and not ctx.params["neural"]:
            raise click.UsageError(f"{_option(neural[0])} requires --neural")
        counts = [name for name in COUNTS if ctx.params[name]]
        if counts and ctx.params["neural"]:
            instead = "use fewer --epochs instead" if counts[0] == "fast" else "remove one of them"
            raise click.UsageError(f"{_option(counts[0])} cannot be used with --neural: {instead}")
    else:
        given = [name for name in TRAINING if ctx.params[name] not in (None, False, ())]
        if given:
            raise click.UsageError(f"{_option(given[0])} requires --train")
        if not arguments:
            raise click.UsageError("give a RUN to align the text with, or use --train")
    if shards is not None and (out is None or len(arguments) > 1):
        raise click.UsageError("--shards DIR needs an output folder: give --out DIR")
    if ctx.params["scores"] is not None and (shards is not None or ctx.params["neural"]):
        raise click.UsageError("--scores cannot be used with --shards or --neural")
    if ctx.params["ray"] is not None and shards is None:
        raise click.UsageError("--ray requires --shards")
    if ctx.params["workers"] is not None and ctx.params["ray"] is None:
        raise click.UsageError("--workers requires --ray")
    if ctx.params["ray"] is not None and ctx.params["device"] not in ("auto", "cpu", "cuda"):
        raise click.UsageError("with --ray every worker has one GPU: use --device cuda")
    if symmetrise is not None and ctx.params["one_direction"]:
        raise click.UsageError("--symmetrise needs two directions: remove --one-direction")
    if threshold is not None and decode != "threshold":
        raise click.UsageError("--threshold requires --decode threshold")


def _option(parameter: str) -> str:
    names = {"settings": "set", "origin": "from"}
    return f"--{names.get(parameter, parameter).replace('_', '-')}"
