"""`LatentPosterior`: posteriors of latent vectors of sentences, as tables and figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from pyro_align.data import split_words
from pyro_align.errors import ConfigError, UserError, nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

Floats = NDArray[np.float64]


@final
class LatentPosterior:
    """Mean and variance of the latent vector of each sentence under a guide.

    Created by ``run.latents(lines)``, and displayed in notebooks as :meth:`plot` and, if there are
    divergences, :meth:`plot_divergences`.

    Args:
        sentences: the sentences.
        means: posterior mean of each, ``[sentence, dimension]``.
        variances: posterior variance of each, ``[sentence, dimension]``.
        divergences: KL divergence from the prior of each dimension, in nats, ``[sentence,
            dimension]``; None if the dimensions are not independent.
        title: name of model and guide.
    """

    def __init__(
        self,
        sentences: Sequence[str],
        means: Floats,
        variances: Floats,
        divergences: Floats | None = None,
        title: str = "",
    ):
        self.sentences = tuple(sentences)
        self.means = means
        self.variances = variances
        self.divergences = divergences
        self.title = title

    def __len__(self) -> int:
        return len(self.sentences)

    def __repr__(self) -> str:
        size = self.means.shape[1]
        return f"LatentPosterior({self.title!r}, {len(self)} sentences, {size} dimensions)"

    def _repr_png_(self) -> bytes:
        from pyro_align.posterior.latent_figure import as_png

        figures = [self.plot()]
        if self.divergences is not None:
            figures.append(self.plot_divergences())
        return as_png(figures)

    def axes(self) -> tuple[Floats, Floats]:
        """Return coordinates of the means on their two principal axes.

        Returns:
            The coordinates, ``[sentence, 2]``, and the fraction of the variance of the means on
            each axis. An axis that does not exist has zeros.
        """
        centred = self.means - self.means.mean(0)
        _, sizes, rows = np.linalg.svd(centred, full_matrices=False)
        # The sign of an axis is arbitrary: its largest component is positive.
        largest = np.abs(rows).argmax(1)
        rows = rows * np.sign(rows[np.arange(len(rows)), largest])[:, None]
        coordinates = np.zeros((len(self), 2))
        shares = np.zeros(2)
        count = min(2, len(sizes))
        coordinates[:, :count] = centred @ rows[:count].T
        shares[:count] = sizes[:count] ** 2 / max(float((sizes**2).sum()), 1e-300)
        return coordinates, shares

    def to_frame(self) -> DataFrame:
        """Return a table with one row per sentence.

        Columns: ``sentence``, number of ``words``, coordinates ``axis_1`` and ``axis_2`` of
        :meth:`axes`, and ``kl`` in nats, the sum of :attr:`divergences`, missing without these.
        """
        import pandas as pd

        coordinates, _ = self.axes()
        kl = np.full(len(self), np.nan) if self.divergences is None else self.divergences.sum(1)
        return pd.DataFrame(
            {
                "sentence": self.sentences,
                "words": [len(split_words(sentence)) for sentence in self.sentences],
                "axis_1": coordinates[:, 0],
                "axis_2": coordinates[:, 1],
                "kl": kl,
            }
        )

    def plot(
        self, colour: str | Iterable[Any] | None = None, path: Path | str | None = None
    ) -> Figure:
        """Plot the means on their two principal axes.

        Args:
            colour: what points are coloured by: a column of :meth:`to_frame`, or a value for each
                sentence. Numbers have a colour bar, other values a legend.
            path: file to write the figure to, as PNG, SVG or PDF by its suffix.

        Raises:
            UserError: if there is no such column, the number of values is wrong, there are too many
                different ones for a legend, or the path cannot be written.
        """
        from pyro_align.posterior.figure import write
        from pyro_align.posterior.latent_figure import scatter

        figure = scatter(*self.axes(), *self._values(colour), title=self.title)
        if path is not None:
            write(figure, Path(path))
        return figure

    def plot_divergences(self, path: Path | str | None = None) -> Figure:
        """Plot the KL divergence of each dimension, averaged over sentences, largest first.

        Args:
            path: file to write the figure to, as PNG, SVG or PDF by its suffix.

        Raises:
            UserError: if the dimensions are not independent, or the path cannot be written.
        """
        from pyro_align.posterior.figure import write
        from pyro_align.posterior.latent_figure import bars

        if self.divergences is None:
            raise UserError(
                f"{self.title}: the dimensions of this guide are not independent, so that its "
                f"divergence is no sum over dimensions: use a Gaussian without a flow"
            )
        figure = bars(self.divergences.mean(0), title=self.title)
        if path is not None:
            write(figure, Path(path))
        return figure

    def _values(self, colour: str | Iterable[Any] | None) -> tuple[list[Any] | None, str]:
        """Return the values that points are coloured by, and their name."""
        if colour is None:
            return None, ""
        if isinstance(colour, str):
            frame = self.to_frame()
            if colour not in frame:
                raise ConfigError(f"no column {colour!r}: {nearest(colour, list(frame.columns))}")
            return list(frame[colour]), colour
        values = list(colour)
        if len(values) != len(self):
            raise UserError(
                f"there are {len(self)} sentences, but {len(values)} values of colour: give one "
                f"for each sentence"
            )
        return values, str(getattr(colour, "name", None) or "")
