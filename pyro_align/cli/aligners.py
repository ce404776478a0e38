"""What ``pyro-align align`` aligns with: saved runs, saved aligners, or what it trains."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from pyro_align import hmm
from pyro_align.alignment import (
    DECODERS,
    SYMMETRISATIONS,
    SYMMETRISE,
    AlignedPair,
    Aligner,
    Decoder,
    PairText,
    Symmetrisation,
    Threshold,
    WordTables,
    Writer,
    align_text,
)
from pyro_align.cli.options import chosen_device
from pyro_align.cli.progress import is_quiet, load_run, tell
from pyro_align.errors import TrainingError, UserError

if TYPE_CHECKING:
    from pyro_align.run import Run

MAX_WORDS = 1000
"""Longest side that a word aligner takes by default; its time grows with the third power."""

Align = Callable[[PairText], Iterator[AlignedPair]]
"""Gives the links of every sentence pair of a text, in order."""


@dataclass(frozen=True)
class Links:
    """How links are read off, as the command line says it.

    Attributes:
        decode: name of a decoder.
        threshold: of the threshold decoder, if given.
        symmetrise: name of a symmetrisation, if given.
        max_length: most pieces a side may have, if given.
        origin: what probabilities are read from, if given.
        device: where runs compute.
    """

    decode: str
    threshold: float | None
    symmetrise: str | None
    max_length: int | None
    origin: str | None
    device: str

    @property
    def decoder(self) -> Decoder:
        """What chooses links from a table."""
        if self.threshold is not None:
            return Threshold(self.threshold)
        return DECODERS[self.decode]()

    @property
    def most_words(self) -> int:
        """Most words a side may have for a word aligner."""
        return MAX_WORDS if self.max_length is None else self.max_length

    @property
    def symmetrisation(self) -> Symmetrisation:
        """How two directions are made one."""
        return SYMMETRISATIONS[self.symmetrise or SYMMETRISE]

    def of_runs(self, forward: Run, reverse: Run | None) -> Align:
        """Alignment by trained runs."""

        def tables(run: Run) -> WordTables:
            run.to(self.device)
            return WordTables(
                run.model, run.guide, run.vocabularies, origin=self.origin, device=self.device
            )

        aligner = Aligner(
            tables(forward),
            None if reverse is None else tables(reverse),
            decode=self.decoder,
            symmetrise=self.symmetrisation,
            batch_tokens=forward.config.training.batch_tokens,
            max_length=forward.max_length if self.max_length is None else self.max_length,
        )
        return lambda text: aligner.align(text, text.path)

    def of_aligner(self, folder: Path) -> Align:
        """Alignment by a saved hidden Markov aligner."""
        if self.origin not in (None, "posterior"):
            raise UserError(f"{folder} holds an aligner, which has no {self.origin}: leave --from")
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
    """Alignment by what was kept: a run, with one of the other direction or without, or an aligner.

    Raises:
        UserError: if it is not there, or does not go with the other arguments.
    """
    if (folder / hmm.FILE).exists():
        if reverse is not None:
            raise click.UsageError(f"{folder} knows both directions itself: leave --reverse out")
        return links.of_aligner(folder)
    if links.symmetrise is not None and reverse is None:
        raise click.UsageError("--symmetrise needs two directions: --reverse RUN, or --train")
    return links.of_runs(load_run(folder), None if reverse is None else load_run(reverse))


@dataclass(frozen=True)
class SavedAligner:
    """What :func:`saved` is made from and how links are written, to be sent to other machines.

    Attributes:
        folder: of a run or an aligner.
        reverse: of a run of the other direction, if any.
        links: how links are read off; its device may be ``auto``.
        write: gives the text of the links of a sentence pair.
    """

    folder: Path
    reverse: Path | None
    links: Links
    write: Writer

    @property
    def on_gpu(self) -> bool | None:
        """Whether it computes on a GPU; None for where there is one."""
        if self.links.device == "cpu" or (self.folder / hmm.FILE).exists():
            return False
        return None if self.links.device == "auto" else True

    def __call__(self) -> Callable[[Path, TextIO], None]:
        """Load it, on the device of this machine; the result aligns a file of sentence pairs."""
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
) -> Iterator[Align]:
    """Alignment by models that are fitted to the text first; they last as long as the context."""
    directions = 1 if one_direction else 2
    if not neural:
        yield lambda text: align_text(
            text,
            hmm.Settings.fast() if fast else hmm.Settings(),
            links.decoder,
            links.symmetrisation,
            max_length=links.most_words,
            save=save,
            directions=directions,
            echo=tell,
        )
        return
    # Here, since the word aligner needs none of it and starts sooner without.
    from pyro_align.config import Config, config_file, recipe
    from pyro_align.transduction import fit_directions

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
                # What is in the folder cannot be gone on with: it is about to be deleted.
                raise TrainingError(error.reason, "nothing is kept without --save") from None
            return links.of_runs(forward, rest[0] if rest else None)(text)

        yield align
