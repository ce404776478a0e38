"""`RunEnsemble`: several runs that predict together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from pyro_align.decoding import Ensemble, Translation
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.evaluation import Confusions, Evaluation
from pyro_align.guides import NoGuide
from pyro_align.runs.run import Run
from pyro_align.tasks import SequencePairs


class RunEnsemble:
    """Runs whose distributions of the next token are averaged in the beam search.

    Files are read, and predictions compared with them, as by the first run.

    Args:
        runs: runs of the same task with the same vocabularies, such as fits with several seeds.
        average: ``linear``, the mean of the probabilities, or ``log``, their normalised geometric
            mean; see :class:`~pyro_align.decoding.Ensemble`.

    Attributes:
        runs: the runs.
        task: task of the first run.
        model: the average of the models, a Pyro program without an alignment.

    Raises:
        ConfigError: if there are no runs, or ``average`` is not known.
        IncompatibleError: if two runs differ in task or vocabularies, or only one is told the
            language; the message names them.
    """

    def __init__(self, runs: Sequence[Run], average: str = "linear"):
        if not runs:
            raise ConfigError("an ensemble needs at least one run")
        first, *others = runs
        for run in runs:
            if not isinstance(run.task, SequencePairs):
                raise IncompatibleError(
                    f"{run.path}: a run of the task {run.config.task!r}, but only runs that "
                    f"predict sequences (such as 'translation') can be an ensemble"
                )
        for other in others:
            _check_together(first, other)
        self.runs = list(runs)
        self.task: Any = first.task
        self.model = Ensemble([run.model for run in runs], average).eval()
        self.guide = NoGuide(self.model)

    @classmethod
    def load(
        cls, paths: Iterable[Path | str], average: str = "linear", *, trust: bool = False
    ) -> RunEnsemble:
        """Load runs with their best weights.

        Args:
            paths: the run folders.
            average: see :class:`RunEnsemble`.
            trust: see :meth:`Run.load`.

        Raises:
            UserError: as for :meth:`Run.load` and :class:`RunEnsemble`.
        """
        return cls([Run.load(path, trust=trust) for path in paths], average)

    def predict(self, lines: Iterable[str], **options: Any) -> Iterator[str]:
        """Predict the output of each line in order; see :meth:`Run.predict`."""
        return self.task.predict(self.model, lines, **options)

    translate = predict

    def translations(self, lines: Iterable[str], **options: Any) -> Iterator[Translation]:
        """Predict with scores, tokens and word links; see :meth:`Run.translations`."""
        return self.task.translations(self.model, self.guide, lines, **options)

    def evaluate(self, *args: Any, device: Any = "cpu", **options: Any) -> Evaluation:
        """Compute the perplexity of the ensemble, and evaluate its predictions.

        Arguments are those of :meth:`Run.evaluate`. An ensemble has no alignment to evaluate.
        """
        self.to(device)
        return self.task.evaluate(self.model, self.guide, *args, device=device, **options)

    def confusions(self, predictions: Sequence[str], *args: Any) -> Confusions:
        """Count the edits of predicted words, with posteriors of the first run."""
        return self.runs[0].confusions(predictions, *args)

    def to(self, device: torch.device | str) -> None:
        """Move the models to a device."""
        self.model.to(device)


def _check_together(first: Run, other: Run) -> None:
    if first.config.task != other.config.task:
        raise IncompatibleError(
            f"{other.path}: a run of the task {other.config.task!r}, but {first.path} is one of "
            f"{first.config.task!r}: an ensemble needs runs of one task"
        )
    texts = (getattr(run.config, "data", None) for run in (first, other))
    told = [bool(getattr(text, "languages", None)) for text in texts]
    if told[0] != told[1]:
        with_languages = (first if told[0] else other).path
        raise IncompatibleError(
            f"{first.path} and {other.path}: only {with_languages} is told the language of each "
            f"form: fit both with data.languages"
        )
    pairs = zip(first.vocabularies, other.vocabularies, strict=True)
    for side, (one, another) in zip(("source", "target"), pairs, strict=True):
        if one.fingerprint() != another.fingerprint():
            raise IncompatibleError(
                f"{first.path} and {other.path} have different {side} vocabularies, so that their "
                f"distributions cannot be averaged: fit both on the same text with the same "
                f"settings of [vocabulary], or one with the vocabularies of the other "
                f"(vocabulary.source and vocabulary.target)"
            )
