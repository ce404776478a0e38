"""`AlignmentPosterior`: alignment posteriors of sentence pairs, as tables and figures."""

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

    Created by ``run.posterior(sources, targets)`` or :func:`posterior_of`, and displayed in
    notebooks. A slice is an :class:`AlignmentPosterior` too, with sentences numbered from 0.

    Args:
        sentences: posteriors of the sentence pairs.
        title: name of model and guide.
        units: unit of a token.
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
        """Those of ``prior``, ``guide`` and ``posterior`` that all sentences have."""
        return tuple(kind for kind in KINDS if all(kind in one.kinds for one in self))

    def words(self) -> AlignmentPosterior:
        """Merge subwords to words, see :meth:`SentencePosterior.to_words`.

        Raises:
            UserError: if the words of the tokens are not known.
        """
        if self.units == "words":
            return self
        return AlignmentPosterior((one.to_words() for one in self), self.title, "words")

    def to_frame(self) -> DataFrame:
        """Return a table with one row per (sentence, target position, source position).

        Columns: ``sentence`` (from 0), ``target_position``, ``target_token``, ``source_position``,
        ``source_token``, the probabilities ``prior``, ``guide`` and ``posterior`` of aligning that
        target to that source token, and ``gold``: ``sure``, ``possible`` or ``none``. Undefined
        values, such as ``guide`` without a guide, are missing (NaN).
        """
        from pyro_align.posterior.frames import cells

        return cells(self._some())

    def positions_frame(self) -> DataFrame:
        """Return a table with one row per (sentence, target position), quantities in nats.

        Columns: ``sentence``, ``target_position``, ``target_token``, ``log_evidence``, ``elbo``,
        the divergences ``kl`` (KL(guide ‖ prior)), ``gap`` (KL(guide ‖ exact posterior)),
        ``prior_gap`` (KL(prior ‖ exact posterior)) and ``information`` (KL(exact posterior ‖
        prior)), ``prior_entropy``, ``guide_entropy``, ``posterior_entropy``. Undefined values are
        missing.
        """
        from pyro_align.posterior.frames import positions

        return positions(self._some())

    def sentences_frame(self) -> DataFrame:
        """Return a table with one row per sentence: sums of :meth:`positions_frame`, in nats.

        Columns: ``sentence``, ``source`` and ``target`` (tokens joined by spaces),
        ``source_tokens``, ``target_tokens`` (including sentence ends), and the sums.
        """
        from pyro_align.posterior.frames import totals

        return totals(self._some())

    def calibration(self, kind: str = "posterior", bins: int = 10) -> DataFrame:
        """Return accuracy by confidence of the most probable source token (calibration).

        Includes all target tokens except sentence ends, in sentences with gold links. An alignment
        is correct if it is a sure or possible link, or if it is the source's sentence end and the
        token has no gold links.

        Args:
            kind: ``prior``, ``guide`` or ``posterior``.
            bins: number of bins of equal width from 0 to 1; a bin includes its upper edge.

        Returns:
            One row per bin: ``lower``, ``upper``, number of ``tokens``, their mean ``confidence``
            and ``accuracy``, both missing if the bin is empty.

        Raises:
            UserError: if there are no gold links or no such kind.
        """
        from pyro_align.posterior.frames import calibration

        return calibration(self._some(), kind, bins)

    def calibration_error(self, kind: str = "posterior", bins: int = 10) -> float:
        """Return the expected calibration error: mean |accuracy − confidence| over tokens.

        Computed from the bins of :meth:`calibration`; same arguments and errors.
        """
        from pyro_align.posterior.frames import calibration_error

        return calibration_error(self.calibration(kind, bins), "tokens")

    def to_xarray(self) -> Any:
        """Convert all sentences to one ``xarray.Dataset``, padded with NaN; needs ``xarray``.

        Dimensions ``sentence``, ``target``, ``source``; coordinates ``target_token`` and
        ``source_token``, empty on padding; variables as the fields of :class:`SentencePosterior`.

        Raises:
            UserError: if xarray is not installed.
        """
        from pyro_align.posterior.dataset import dataset

        return dataset(self._some(), self.title)

    def to_arviz(self, kind: str | None = None, draws: int = 500, seed: int = 0) -> Any:
        """Sample alignments from prior and posterior and return them as ArviZ data.

        Groups ``prior`` and ``posterior`` with the variable ``alignment``, in one chain:
        ``[chain, draw, sentence, target]`` source positions, or ``[…, source]`` weights for
        alignments on the simplex (Dirichlet), NaN on padding; ``observed_data`` with the target
        and ``constant_data`` with the source tokens. All samples are independent.

        Args:
            kind: distribution to sample as the posterior: ``posterior`` or ``guide``; None for the
                exact posterior if available, else the guide.
            draws: number of samples.
            seed: random seed.

        Returns:
            An ``arviz.InferenceData``; an ``xarray.DataTree`` for ArviZ 1 and later.

        Raises:
            UserError: if ArviZ is not installed, or there is no such distribution.
        """
        from pyro_align.posterior.arviz import inference_data

        among = [each for each in self._some().kinds if each != "prior"]
        if not among:
            raise UserError(
                "ArviZ compares a prior with a posterior, but not all sentences have a guide "
                "or an exact posterior"
            )
        if kind is not None and kind not in among:
            raise ConfigError(f"cannot sample from {kind!r}: {nearest(kind, among)}")
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

        Sure gold links have solid frames, possible links dashed frames. Characters that no
        installed font has are shown as □.

        Args:
            sentence: number of the sentence pair, from 0.
            kind: ``prior``, ``guide`` or ``posterior``, or several, side by side; None for all that
                are available.
            path: file to write the figure to, as PNG, SVG or PDF by its suffix.
            ends: whether to draw the sentence ends ``</s>``.

        Raises:
            UserError: if kind or sentence do not exist, or the path cannot be written.
        """
        from pyro_align.posterior.figure import HEADINGS, Panel, draw, write

        one = self.sentence(sentence)
        kinds = one.kinds if kind is None else (kind,) if isinstance(kind, str) else tuple(kind)
        if not kinds:
            raise ConfigError(f"no distribution to plot: choose from {', '.join(one.kinds)}")
        panels = [Panel(HEADINGS.get(each, each), one, each) for each in kinds]
        figure = draw(panels, self.title, ends=ends)
        if path is not None:
            write(figure, Path(path))
        return figure

    def sentence(self, number: int) -> SentencePosterior:
        """Return one sentence pair; negative numbers count from the end.

        Raises:
            ConfigError: if the number is out of range.
        """
        if not -len(self) <= number < len(self):
            raise ConfigError(f"no sentence {number}: there are {len(self)}, counted from 0")
        return self.sentences[number]

    def to_html(self, path: Path | str) -> None:
        """Write the interactive view to a self-contained HTML file.

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
        """Save to one ``.npz`` file, atomically.

        Raises:
            UserError: if it cannot be written.
        """
        from pyro_align.posterior.storage import write

        write(Path(path), self, self.title, self.units)

    @classmethod
    def load(cls, path: Path | str) -> AlignmentPosterior:
        """Load a file written by :meth:`save`.

        Raises:
            UserError: if the file is missing, damaged, of another format or of a newer version.
        """
        from pyro_align.posterior.storage import read

        return cls(*read(Path(path)))

    def _some(self) -> AlignmentPosterior:
        if not self:
            raise UserError("the posterior contains no sentence pairs")
        return self
