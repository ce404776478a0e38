"""Aligners of ``pyro-align align``: saved runs, saved aligners, or newly trained ones."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from pyro_align.cli.options import chosen_device
from pyro_align.cli.progress import is_quiet, load_run, load_text_run, tell, text_task
from pyro_align.errors import TrainingError, UserError
from pyro_align.word_alignment import (
    DECODERS,
    SYMMETRISATIONS,
    AlignedPair,
    Aligner,
    Decoder,
    Pair,
    PairText,
    Symmetrisation,
    Threshold,
    WordTables,
    Writer,
    align_text,
    hmm,
    links_of,
    read_lexicon,
)

if TYPE_CHECKING:
    from pyro_align.runs import Run

MAX_WORDS = 1000
"""Default maximum length of a side for a word aligner; its time is cubic in the length."""

WINDOW = 4096
"""Number of words that are read ahead."""

Align = Callable[[PairText], Iterator[AlignedPair]]
"""Function that yields the links of every sentence pair of a text, in order."""


@dataclass(frozen=True)
class Links:
    """Command-line options for reading links.

    Attributes:
        decode: name of the decoder, if given.
        threshold: threshold of the threshold decoder, if given.
        symmetrise: name of the symmetrisation, if given.
        max_length: maximum length of a side, if given.
        origin: distribution to read links from, if given.
        device: device on which runs compute.
        language: language of the words, for a run of words of several languages.
    """

    decode: str | None
    threshold: float | None
    symmetrise: str | None
    max_length: int | None
    origin: str | None
    device: str
    language: str | None = None

    @property
    def decoder(self) -> Decoder | None:
        """Decoder that chooses links from a table of probabilities; None for the default."""
        if self.threshold is not None:
            return Threshold(self.threshold)
        return None if self.decode is None else DECODERS[self.decode]()

    @property
    def most_words(self) -> int:
        """Maximum number of words of a side, for a word aligner."""
        return MAX_WORDS if self.max_length is None else self.max_length

    @property
    def symmetrisation(self) -> Symmetrisation | None:
        """Symmetrisation of two directions; None for the default."""
        return None if self.symmetrise is None else SYMMETRISATIONS[self.symmetrise]

    def of_runs(self, forward: Run, reverse: Run | None) -> Align:
        """Return an aligner that uses trained runs of the task ``translation``."""

        def tables(run: Run) -> WordTables:
            run.to(self.device)
            return WordTables(
                run.model, run.guide, run.vocabularies, origin=self.origin, device=self.device
            )

        task: Any = forward.task

        aligner = Aligner(
            tables(forward),
            None if reverse is None else tables(reverse),
            decode=self.decoder,
            symmetrise=self.symmetrisation,
            batch_tokens=forward.config.training.batch_tokens,
            max_length=task.max_length if self.max_length is None else self.max_length,
        )
        return lambda text: aligner.align(text, text.path)

    def of_words(self, run: Run) -> Align:
        """Return an aligner of the symbols of words, with a run of the task ``transduction``."""
        task: Any = run.task
        run.to(self.device)

        def align(text: PairText) -> Iterator[AlignedPair]:
            if len(text.files) > 1:
                raise UserError(
                    f"{run.path} aligns the symbols of words: give one TSV file with the columns "
                    f"{', '.join(task.layout.columns)}"
                )
            pairs = task.pairs(text.files[0], self.language)
            while window := list(islice(pairs, WINDOW)):
                tables = task.link_tables(run.model, run.guide, window, self.origin)
                for pair, table in zip(window, tables, strict=True):
                    links = links_of([table], self.decoder)
                    yield AlignedPair(Pair(pair.source, pair.target, pair.line), links)

        return align

    def of_aligner(self, folder: Path) -> Align:
        """Return an aligner that uses a saved hidden Markov model."""
        if self.origin not in (None, "posterior"):
            raise UserError(f"{folder} holds an aligner, which has no {self.origin}: remove --from")
        directions = hmm.load_aligner(folder)
        if self.symmetrise is not None and len(directions) == 1:
            raise click.UsageError(f"--symmetrise needs two directions, and {folder} has one")
        aligner = Aligner(
            directions[0],
            directions[1] if len(directions) == 2 else None,
            decode=self.decoder,
            symmetrise=self.symmetrisation,
            max_length=self.most_words,
        )
        return lambda text: aligner.align(text, text.path)


def saved(folder: Path, reverse: Path | None, links: Links) -> Align:
    """Load a saved word aligner, or a run and optionally one of the other direction.

    Raises:
        UserError: if it does not exist, or does not match the other arguments.
    """
    if (folder / hmm.FILE).exists():
        if reverse is not None:
            raise click.UsageError(f"{folder} has both directions already: remove --reverse")
        return links.of_aligner(folder)
    if links.symmetrise is not None and reverse is None:
        raise click.UsageError("--symmetrise needs two directions: --reverse RUN, or --train")
    run = load_run(folder)
    if run.config.task == "transduction":
        if reverse is not None:
            raise click.UsageError(f"{folder} aligns the symbols of words: remove --reverse")
        return links.of_words(run)
    if links.language is not None:
        raise click.UsageError("--language is the language of words, not of sentences: remove it")
    text_task(run, folder)
    backward = None if reverse is None else load_text_run(reverse)[0]
    return links.of_runs(run, backward)


@dataclass(frozen=True)
class SavedAligner:
    """Arguments of :func:`saved`, and how links are written, for use on other machines.

    Attributes:
        folder: folder of a run or an aligner.
        reverse: folder of a run of the other direction, if any.
        links: options for reading links; the device may be ``auto``.
        write: formats the links of a sentence pair.
    """

    folder: Path
    reverse: Path | None
    links: Links
    write: Writer

    @property
    def on_gpu(self) -> bool | None:
        """Whether it computes on a GPU; None for a GPU if available."""
        if self.links.device == "cpu" or (self.folder / hmm.FILE).exists():
            return False
        return None if self.links.device == "auto" else True

    def __call__(self) -> Callable[[Path, TextIO], None]:
        """Load it on this machine's device; the result aligns a file of sentence pairs."""
        links = replace(self.links, device=chosen_device(self.links.device))
        align = saved(self.folder, self.reverse, links)

        def align_shard(shard: Path, file: TextIO) -> None:
            for aligned in align(PairText.open([shard])):
                file.write(self.write(aligned))

        return align_shard


@contextmanager
def trained(
    links: Links,
    *,
    one_direction: bool,
    fast: bool,
    neural: bool,
    epochs: int | None,
    seed: int | None,
    config: Path | None,
    settings: tuple[str, ...],
    save: Path | None,
    prior: Path | None,
    lexicon: Path | None,
) -> Iterator[Align]:
    """Fit models to the text and yield an aligner; the models last as long as the context."""
    directions = 1 if one_direction else 2
    if not neural:
        counts = None if prior is None else read_lexicon(prior)
        yield lambda text: align_text(
            text,
            hmm.Settings.fast() if fast else hmm.Settings(),
            links.decoder,
            links.symmetrisation,
            max_length=links.most_words,
            save=save,
            prior=counts,
            lexicon=lexicon,
            directions=directions,
            echo=tell,
        )
        return
    # Imported here, since the word aligner does not need it and starts faster without.
    from pyro_align.config import Config, config_file, recipe
    from pyro_align.runs.directions import fit_directions

    flags = {"training.epochs": epochs, "seed": seed}
    changes = [f"{key}={value}" for key, value in flags.items() if value is not None]
    chosen = Config.load(config_file(config) if config else recipe("align"), [*changes, *settings])
    with tempfile.TemporaryDirectory(prefix="pyro-align-") as scratch:

        def align(text: PairText) -> Iterator[AlignedPair]:
            text = text.rereadable(Path(scratch))
            try:
                forward, *rest = fit_directions(
                    text,
                    chosen,
                    Path(scratch) / "runs" if save is None else save,
                    directions=directions,
                    echo=tell,
                    quiet=is_quiet(),
                )
            except TrainingError as error:
                if save is not None:
                    raise
                # The temporary folder is about to be deleted, so the fit cannot be resumed.
                lost = TrainingError(error.reason, "nothing is saved without --save")
                lost.exit_code = error.exit_code
                raise lost from None
            return links.of_runs(forward, rest[0] if rest else None)(text)

        yield align
