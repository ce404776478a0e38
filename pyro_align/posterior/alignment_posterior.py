"""`AlignmentPosterior`: the alignment posteriors of sentence pairs, to be looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final, overload

from pyro_align.errors import ConfigError, UserError, nearest
from pyro_align.files import atomic_write
from pyro_align.posterior.sentence import KINDS, SentencePosterior, Units

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame


@final
class AlignmentPosterior(Sequence[SentencePosterior]):
    """Prior, guide and exact posterior of sentence pairs: a sequence of :class:`SentencePosterior`.

    From ``run.posterior(sources, targets)`` or :func:`posterior_of`. In a notebook it shows itself.
    A slice is an :class:`AlignmentPosterior` too; its tables number the sentences from 0 again.

    Args:
        sentences: of the sentence pairs.
        title: what model and guide are called.
        units: what a token is.
    """

    def __init__(
        self, sentences: Iterable[SentencePosterior], title: str = "", units: Units = "pieces"
    ):
        self.sentences = tuple(sentences)
        self.title = title
        self.units: Units = units

    def __len__(self) -> int:
        return len(self.sentences)

    @overload
    def __getitem__(self, index: int) -> SentencePosterior: ...

    @overload
    def __getitem__(self, index: slice) -> AlignmentPosterior: ...

    def __getitem__(self, index: int | slice) -> SentencePosterior | AlignmentPosterior:
        if isinstance(index, slice):
            return AlignmentPosterior(self.sentences[index], self.title, self.units)
        return self.sentences[index]

    def __iter__(self) -> Iterator[SentencePosterior]:
        return iter(self.sentences)

    def __repr__(self) -> str:
        return f"AlignmentPosterior({self.title!r}, {len(self)} sentence pairs, {self.units})"

    def _repr_html_(self) -> str:
        from pyro_align.posterior.html import render

        return render(self)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Which of ``prior``, ``guide``, ``posterior`` every sentence has."""
        return tuple(kind for kind in KINDS if all(kind in one.kinds for one in self))

    def words(self) -> AlignmentPosterior:
        """The same with pieces merged to words, see :meth:`SentencePosterior.to_words`.

        Raises:
            UserError: if it is not known which words the tokens are pieces of.
        """
        if self.units == "words":
            return self
        return AlignmentPosterior((one.to_words() for one in self), self.title, "words")

    def to_frame(self) -> DataFrame:
        """A table with one row a (sentence, target position, source position).

        Columns: ``sentence`` (from 0), ``target_position``, ``target_token``, ``source_position``,
        ``source_token``, the probabilities ``prior``, ``guide`` and ``posterior`` of aligning that
        target to that source token, and ``gold``: ``sure``, ``possible`` or ``none``. What is not
        there, such as ``guide`` without a guide, is missing (NaN).
        """
        from pyro_align.posterior.frames import cells

        return cells(self._some())

    def positions_frame(self) -> DataFrame:
        """A table with one row a (sentence, target position), quantities in nats.

        Columns: ``sentence``, ``target_position``, ``target_token``, ``log_evidence``, ``elbo``,
        the divergences ``kl`` (KL(guide ‖ prior)), ``gap`` (KL(guide ‖ exact posterior)),
        ``prior_gap`` (KL(prior ‖ exact posterior)) and ``information`` (KL(exact posterior ‖
        prior)), ``prior_entropy``, ``guide_entropy``, ``posterior_entropy``. What is not there is
        missing.
        """
        from pyro_align.posterior.frames import positions

        return positions(self._some())

    def sentences_frame(self) -> DataFrame:
        """A table with one row a sentence: :meth:`positions_frame`, summed over target positions.

        Columns: ``sentence``, ``source`` and ``target`` (tokens between spaces), ``source_tokens``,
        ``target_tokens`` (sentence ends counted), and the sums, in nats.
        """
        from pyro_align.posterior.frames import totals

        return totals(self._some())

    def calibration(self, kind: str = "posterior", bins: int = 10) -> DataFrame:
        """How often the most probable source token is right, by how probable it is.

        Of every target token that is no sentence end, in sentences with gold links: right is a
        sure or possible link, or the source's sentence end for a token without gold links.

        Args:
            kind: ``prior``, ``guide`` or ``posterior``.
            bins: of equal width from 0 to 1; a bin holds its upper edge.

        Returns:
            One row a bin: ``lower``, ``upper``, ``tokens`` in it, their mean ``confidence`` and
            their ``accuracy``, both missing where it is empty.

        Raises:
            UserError: without gold links, or without such a kind.
        """
        from pyro_align.posterior.frames import calibration

        return calibration(self._some(), kind, bins)

    def calibration_error(self, kind: str = "posterior", bins: int = 10) -> float:
        """Expected calibration error: mean distance of accuracy from confidence over tokens.

        Of the bins of :meth:`calibration`, whose arguments and errors it has.
        """
        table = self.calibration(kind, bins)
        distance = (table["accuracy"] - table["confidence"]).abs()
        return float((table["tokens"] * distance).sum() / table["tokens"].sum())

    def to_xarray(self) -> Any:
        """All sentences as one ``xarray.Dataset``, padded with NaN; needs ``xarray``.

        Dimensions ``sentence``, ``target``, ``source``; coordinates ``target_token`` and
        ``source_token``, empty on padding; variables as the fields of :class:`SentencePosterior`.

        Raises:
            UserError: if xarray is not installed.
        """
        from pyro_align.posterior.dataset import dataset

        return dataset(self._some(), self.title)

    def to_arviz(self, kind: str | None = None, draws: int = 500, seed: int = 0) -> Any:
        """Draws of the alignments for ArviZ: prior and posterior, and the tokens they are of.

        Groups ``prior`` and ``posterior`` with the variable ``alignment``, in one chain:
        ``[chain, draw, sentence, target]`` source positions, and ``[…, source]`` weights where
        alignments lie on the simplex (Dirichlet), NaN on padding; ``observed_data`` with the target
        and ``constant_data`` with the source tokens. All draws are independent.

        Args:
            kind: which distribution is drawn from as the posterior: ``posterior`` or ``guide``;
                None for the exact posterior if there is one, else the guide.
            draws: how many.
            seed: of the random numbers; the same one gives the same draws.

        Returns:
            An ``arviz.InferenceData``; an ``xarray.DataTree`` from version 1 of ArviZ on.

        Raises:
            UserError: if ArviZ is not installed, or there is no such distribution.
        """
        from pyro_align.posterior.arviz import inference_data

        among = [each for each in self._some().kinds if each != "prior"]
        if not among:
            raise UserError(
                "ArviZ compares a prior with a posterior, and not every sentence here has a guide "
                "or an exact posterior"
            )
        if kind is not None and kind not in among:
            raise ConfigError(f"there is no {kind!r} to draw from: {nearest(kind, among)}")
        return inference_data(self, self.title, among[-1] if kind is None else kind, draws, seed)

    def plot(
        self,
        sentence: int = 0,
        kind: str | Sequence[str] | None = None,
        path: Path | str | None = None,
        *,
        ends: bool = True,
    ) -> Figure:
        """Plot heatmaps of one sentence pair: a row per target token, a column per source token.

        Sure gold links are framed, possible ones in dashes. Characters that no installed font has
        are shown as □.

        Args:
            sentence: which one.
            kind: ``prior``, ``guide`` or ``posterior``, or several, side by side; None for all
                there are.
            path: also write it there, as PNG, SVG or PDF by its ending.
            ends: draw the sentence ends ``</s>`` too.

        Raises:
            UserError: for a kind or sentence that is not there, or a path that cannot be written.
        """
        from pyro_align.posterior.figure import HEADINGS, Panel, draw, write

        one = self.sentence(sentence)
        kinds = one.kinds if kind is None else (kind,) if isinstance(kind, str) else tuple(kind)
        if not kinds:
            raise ConfigError(f"which distribution to plot? there are: {', '.join(one.kinds)}")
        panels = [Panel(HEADINGS.get(each, each), one, each) for each in kinds]
        figure = draw(panels, self.title, ends=ends)
        if path is not None:
            write(figure, Path(path))
        return figure

    def sentence(self, number: int) -> SentencePosterior:
        """One sentence pair; a negative number counts from the end.

        Raises:
            ConfigError: if there is none of that number.
        """
        if not -len(self) <= number < len(self):
            raise ConfigError(f"no sentence {number}: there are {len(self)}, counted from 0")
        return self.sentences[number]

    def to_html(self, path: Path | str) -> None:
        """Write the interactive view to one HTML file that needs nothing but a browser.

        Raises:
            UserError: if it cannot be written.
        """
        from pyro_align.posterior.html import page

        with atomic_write(Path(path), "t") as file:
            file.write(page(self.title or "alignments", [self._repr_html_()]))

    def to_csv(self, path: Path | str) -> None:
        """Write :meth:`to_frame` as CSV, without the index.

        Raises:
            UserError: if it cannot be written.
        """
        frame = self.to_frame()
        with atomic_write(Path(path), "t") as file:
            frame.to_csv(file, index=False)

    def save(self, path: Path | str) -> None:
        """Write all of it to one file, whole or not at all; ``.npz`` is its natural ending.

        Raises:
            UserError: if it cannot be written.
        """
        from pyro_align.posterior.storage import write

        write(Path(path), self, self.title, self.units)

    @classmethod
    def load(cls, path: Path | str) -> AlignmentPosterior:
        """Read what :meth:`save` wrote.

        Raises:
            UserError: if it is missing, damaged, something else or of a newer version.
        """
        from pyro_align.posterior.storage import read

        return cls(*read(Path(path)))

    def _some(self) -> AlignmentPosterior:
        if not self:
            raise UserError("there is no sentence pair in this posterior")
        return self
