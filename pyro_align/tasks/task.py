"""Base class of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from pyro_align.config import Config
from pyro_align.data.batch import Batch
from pyro_align.data.batching import Examples
from pyro_align.errors import UserError
from pyro_align.models import AlignmentModel

TRIAL_VOCABULARY = 20
"""Number of target values of :meth:`Task.trial_network`."""

Echo = Callable[[str], None]
"""Prints a one-line message."""


class Task(ABC):
    """One kind of problem, in the folder of one run.

    A task knows which data are read, which network reads them, what is measured, and what a
    prediction is. Models, guides, objectives and the training loop are the same for all tasks.

    A new task derives from this class and implements the abstract methods. It is used by name,
    ``task = "my_task.py:MyTask"``, like a model or guide; see the how-to page "Write a task".

    Args:
        config: configuration of the run, an instance of :attr:`configuration`.
        folder: the run folder. The task reads its files there, and writes them with
            :meth:`prepare`.
    """

    configuration: ClassVar[str | type[Config]]
    """Class of the configuration, or its place as ``module:Class``, which is imported only when
    it is needed."""

    recipe: ClassVar[str | None] = None
    """Recipe of a fit without data; None if there is no built-in data, or no recipe for it."""

    models: ClassVar[type[Any]] = AlignmentModel
    """Base class of the built-in models that the network of the task fits."""

    unit: ClassVar[str] = "examples"
    """Plural of what an example is called, for messages."""

    target: ClassVar[str] = "target token"
    """What a target position is called, for units such as nats per target token."""

    def __init__(self, config: Any, folder: Path):
        self.config = config
        self.folder = folder

    @classmethod
    def ineffective(cls, config: Any, start: Any | None) -> Iterator[str]:
        """Yield a message for every setting of the task that would have no effect.

        Args:
            config: the configuration of a new run.
            start: configuration of the run that it starts from, if any.
        """
        return iter(())

    @classmethod
    def derived(cls, config: Any, old: Any, changes: Mapping[str, Any]) -> Any:
        """Adapt the configuration of a run that starts from another run.

        Args:
            config: the configuration with all changes applied.
            old: configuration of the run to start from.
            changes: the new values by key.
        """
        return config

    @classmethod
    @abstractmethod
    def trial_network(cls, config: Any) -> nn.Module:
        """Build the network for :data:`TRIAL_VOCABULARY` target values, before there are data.

        Model, guide and objective are run with it once, before a run folder is created.
        """

    @classmethod
    @abstractmethod
    def trial_batch(cls, config: Any) -> Batch:
        """Return a small batch for :meth:`trial_network`, with padding on both sides."""

    @abstractmethod
    def prepare(self, echo: Echo) -> None:
        """Write the files of a new run that do not depend on training, such as vocabularies.

        Args:
            echo: called with one-line messages.

        Raises:
            UserError: for invalid data.
        """

    @abstractmethod
    def prepare_from(self, other: Any) -> None:
        """Write the same files as :meth:`prepare`, copied from the task of another run."""

    @abstractmethod
    def facts(self) -> dict[str, dict[str, Any]]:
        """Return facts about the training data, by name of the part (``train``, ``valid``).

        ``sha256`` is a digest that changes with the data, ``files`` a list of file names. Other
        entries are for display.
        """

    def files(self, part: str) -> list[Path]:
        """Return the files of a part of the data, for messages."""
        return []

    @abstractmethod
    def digests(self) -> dict[str, str]:
        """Return a digest of every file in the folder that the weights depend on, by file name.

        Raises:
            RunError: if a file is missing or damaged.
        """

    @property
    def vocabularies(self) -> Any:
        """Source and target vocabulary."""
        raise UserError(f"the task {self.config.task!r} has no vocabularies")

    @abstractmethod
    def network(self) -> nn.Module:
        """Build the network, with initial weights from torch's random generator."""

    @abstractmethod
    def examples(self, part: str) -> Examples:
        """Return the training or validation examples, ``part`` being ``train`` or ``valid``.

        Raises:
            DataError: for invalid data; the message names file and line.
        """

    @abstractmethod
    def check_test(self) -> None:
        """Check the data that the run is evaluated on after training.

        Raises:
            DataError: for invalid data.
        """

    @abstractmethod
    def test_size(self) -> int:
        """Return the number of test examples."""

    @abstractmethod
    def evaluate(
        self,
        model: Any,
        guide: Any,
        *,
        device: Any = "cpu",
        progress: Callable[[int], None] = lambda done: None,
    ) -> Any:
        """Evaluate model and guide on the test data.

        Args:
            model: the model, in evaluation mode, on ``device``.
            guide: the guide, likewise.
            device: device to compute on.
            progress: called with the number of examples evaluated so far.

        Returns:
            An :class:`~pyro_align.evaluation.Evaluation`, or an object with the same methods
            ``measures``, ``to_frame`` and ``to_dict``.
        """

    @abstractmethod
    def predict(self, model: Any, inputs: Iterable[Any], **options: Any) -> Iterator[Any]:
        """Predict the output of each input, in order."""

    def translations(self, *args: Any, **options: Any) -> Any:
        """Predict sequences, with scores, tokens and word links.

        Raises:
            UserError: if the task does not predict sequences.
        """
        raise UserError(
            f"translations are predicted sequences, but this is a run of the task "
            f"{self.config.task!r}: use predict"
        )

    def confusions(self, model: Any, predictions: Any, *args: Any) -> Any:
        """Count the edits of predicted words, with the posterior of their alignments.

        Raises:
            UserError: if the task does not predict words.
        """
        raise UserError(
            f"edits are those of predicted words, but this is a run of the task "
            f"{self.config.task!r}"
        )

    def test_pairs(self, *args: Any, **options: Any) -> Any:
        """Return pairs of the test data, to pass to :meth:`posterior`.

        Raises:
            UserError: if the task does not implement it.
        """
        raise UserError(f"the task {self.config.task!r} has no pairs to display")

    def posterior(self, model: Any, guide: Any, *args: Any, **options: Any) -> Any:
        """Compute prior, guide and exact posterior of alignments, as containers for display.

        Raises:
            UserError: if the task does not implement it.
        """
        raise UserError(f"the task {self.config.task!r} has no display of posteriors")

    def latents(self, model: Any, guide: Any, *args: Any) -> Any:
        """Compute posteriors of latent vectors of sentences.

        Raises:
            UserError: if the task has no such latent variables.
        """
        raise self._no_latents()

    def interpolate(self, model: Any, guide: Any, *args: Any) -> Any:
        """Decode points between two latent vectors of sentences.

        Raises:
            UserError: if the task has no such latent variables.
        """
        raise self._no_latents()

    def _no_latents(self) -> UserError:
        return UserError(f"the task {self.config.task!r} has no latent vectors of sentences")

    def described(self) -> list[tuple[str, str]]:
        """Return names and values of sizes of network and data, for the display of a run."""
        return []

    def shown(self, model: Any) -> list[str]:
        """Return lines that a user sees after the results of a fit, such as samples.

        Args:
            model: the model, in evaluation mode.
        """
        return []

    def next_steps(self) -> list[str]:
        """Return commands that a user may want to run after the fit."""
        return []
