"""`Run`: a fit in a folder, which can be copied, loaded, resumed, evaluated and queried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pyro_align import training  # Lightning is imported with `fit` and `check_machine`
from pyro_align.config import Component, Config
from pyro_align.config.components import chosen, reject_ineffective_settings
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, TASKS
from pyro_align.decoding import Translation
from pyro_align.errors import ConfigError, RunError
from pyro_align.evaluation import Confusions, Evaluation
from pyro_align.inference import Objective
from pyro_align.inference.traces import own_parameters
from pyro_align.posterior import AlignmentPosterior, LatentPosterior
from pyro_align.runs.claims import locked, new_folder
from pyro_align.runs.display import RunDisplay
from pyro_align.runs.folder import (
    check_data_unchanged,
    check_identity,
    check_version,
    read_facts,
    write_new,
    write_status,
)
from pyro_align.runs.own_code import keep_own_code, located, read_config
from pyro_align.runs.trial import try_programs
from pyro_align.runs.warm_start import START, derived, start_from
from pyro_align.tasks import Task
from pyro_align.tasks.task import Echo
from pyro_align.training import buckets, load_weights
from pyro_align.training.distributed import is_first_process, processes

if TYPE_CHECKING:
    from pandas import DataFrame


class Run(RunDisplay):
    """Task, model, guide and objective of a run folder.

    Create it with :meth:`create` or :meth:`load`.

    Attributes:
        path: the run folder.
        task: the task, which knows the data and vocabularies.
        config: the configuration, with guide and objective chosen.
        model: a Pyro program.
        guide: a Pyro program built on the model.
        objective: a Pyro ELBO for model and guide.
    """

    def __init__(self, task: Task):
        self.task = task
        self.path = task.folder
        self.config = task.config
        # Leave the caller's random state unchanged.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            network = task.network()
            self.model: Any = MODELS.build(*self._component(self.config.model), network)
            self.guide: Any = GUIDES.build(*self._component(self.config.guide), self.model)
        # Evaluation mode is the default; training turns dropout on itself.
        for program in self.programs.values():
            program.eval()
        self.objective: Objective = OBJECTIVES.build(*self._component(self.config.objective))
        self.objective.check(self.model, self.guide)

    @classmethod
    def create(
        cls,
        config: Config,
        path: Path,
        *,
        start: Run | None = None,
        overwrite: bool = False,
        numbered: bool = False,
        echo: Echo = print,
    ) -> Run:
        """Create a run folder that is ready for :meth:`fit`: train vocabularies, check all text.

        The folder appears at ``path`` once it is complete; an existing run is kept until then.

        Args:
            config: configuration of the fit; from :meth:`derived` if ``start`` is given.
            path: the run folder.
            start: a loaded run whose vocabularies, built-in corpus and model weights are copied;
                guide weights are copied if the new guide has the same class and sizes.
            overwrite: replace an existing run.
            numbered: use ``path-2``, ``path-3``, … if ``path`` exists.
            echo: called with one-line messages.

        Raises:
            RunError: if ``path`` exists.
            UserError: for an invalid configuration or text.
        """
        if start is None and config.training.freeze_model:
            raise ConfigError(
                "training.freeze_model needs a trained run to take the model from: give it with "
                "--from RUN"
            )
        if start is not None and path.resolve() == start.path.resolve():
            raise RunError(f"{path} is the run to start from: choose another --out")
        config = chosen(config)
        training.check_machine(config.training)
        reject_ineffective_settings(config, None if start is None else start.config)
        try_programs(config)
        with new_folder(path, overwrite=overwrite, numbered=numbered) as new:
            folder = new.partial
            kept = keep_own_code(config, folder)
            task = TASKS.get(config.task)(kept, folder)
            if start is None:
                task.prepare(echo)
            else:
                task.prepare_from(start.task)
            write_new(task)
            # Fails for invalid options, before an existing run is replaced.
            run = cls._open(folder)
            if start is not None:
                start_from(run, start, config.guide, run._notes(), echo)
            run._check_data()
        return cls.resume(new.path)

    @classmethod
    def load(cls, path: Path | str, *, trust: bool = False) -> Run:
        """Load a run with its best weights, in evaluation mode.

        Args:
            path: the folder.
            trust: execute the run's own code, if it has any, even if this user has not passed it
                to ``fit`` on this machine; see :mod:`pyro_align.runs.own_code`.

        Raises:
            RunError: if the folder is not a run, is damaged, of another version, or has code that
                is not trusted.
        """
        run = cls._open(Path(path), trust=trust)
        run._load_weights("weights.safetensors")
        return run

    @classmethod
    def resume(cls, path: Path | str, *, trust: bool = False) -> Run:
        """Load a run to continue it with :meth:`fit`.

        Raises:
            RunError: as for :meth:`load`.
        """
        run = cls._open(Path(path), trust=trust)
        if (run.path / START).is_file():
            run._load_weights(START)
        return run

    @property
    def programs(self) -> dict[str, Any]:
        """Model and guide by name."""
        return {"model": self.model, "guide": self.guide}

    @property
    def vocabularies(self) -> tuple[Any, Any]:
        """Source and target vocabulary of the task."""
        return self.task.vocabularies

    @property
    def source_vocabulary(self) -> Any:
        """Vocabulary of the source side."""
        return self.vocabularies[0]

    @property
    def target_vocabulary(self) -> Any:
        """Vocabulary of the target side."""
        return self.vocabularies[1]

    def fit(self, echo: Echo = print, *, quiet: bool = False) -> Run:
        """Train from the last checkpoint, or from the beginning, to the end.

        Afterwards model and guide have the best weights and are in evaluation mode.

        Args:
            echo: called with one-line messages.
            quiet: disable the progress bar and the line per epoch.

        Returns:
            The run itself.

        Raises:
            RunError: if the text has changed since the run was created, a checkpoint is damaged,
                or another process is training this run.
            TrainingError: if the loss is not finite.
        """
        with locked(self.path) if is_first_process() else nullcontext():
            if self._is_finished():
                echo("already finished: increase training.epochs in config.toml to train further")
            else:
                if is_first_process():
                    write_status(self.path, "training")
                seconds = self._train(echo, quiet)
                if is_first_process():
                    write_status(self.path, "finished", fit_seconds=round(seconds, 1))
        self._load_weights("weights.safetensors")
        for program in self.programs.values():
            program.eval()
        return self

    def derived(self, changes: Mapping[str, Any]) -> Config:
        """Return the configuration of a run that starts from this run's weights.

        It is this run's configuration with changes; a guide or objective that is not compatible
        with the changes is chosen anew. The model is trained further, unless the changes include
        ``training.freeze_model``. Pass the result to :meth:`create`.

        Args:
            changes: new values by key, such as ``guide.name`` and ``training.epochs``.

        Raises:
            ConfigError: for an unknown key, or one that is fixed by this run's weights or
                vocabularies.
            RunError: if the text that this run was trained on has changed.
        """
        config = derived(self.config, self.path, changes)
        if not {"data.train", "data.valid"} & changes.keys():
            check_data_unchanged(self.task, "restore it, or give new text with --train and --valid")
        return config

    def swap_guide(
        self,
        guide: str,
        *,
        objective: str | None = None,
        freeze_model: bool | None = None,
        out: Path | str | None = None,
        echo: Echo = print,
        **settings: Any,
    ) -> Run:
        """Create a run with this run's trained model and another guide, ready for :meth:`fit`.

        The model starts from this run's best weights. The guide does too if it has the same class
        and sizes; otherwise it is initialised randomly. The new folder is independent of this one.

        Args:
            guide: name of the guide, or ``file.py:Class``.
            objective: name of the objective; None for this run's objective, or a compatible one.
            freeze_model: train only the guide. None for True if the guide has parameters; with a
                guide without parameters, such as ``prior``, only the model can be trained.
            out: the new folder; None for one next to this run, named after the guide.
            echo: called with one-line messages.
            **settings: other settings of the configuration; write ``training__epochs=5`` for
                ``training.epochs``.

        Raises:
            RunError: if this run has no weights yet, or the folder exists.
            UserError: for components that cannot be combined, or settings that cannot be changed.
        """
        start = Run.load(self.path)
        changes = {key.replace("__", "."): value for key, value in settings.items()}
        changes["guide.name"] = guide
        if objective is not None:
            changes["objective.name"] = objective
        # Names come first, since a new name clears the options of the previous component.
        changes = dict(sorted(changes.items(), key=lambda item: not item[0].endswith(".name")))
        config = start.derived(changes)
        if freeze_model is None:
            with torch.random.fork_rng(devices=[]):
                built = GUIDES.build(config.guide.name, config.guide.options, start.model)
            freeze_model = bool(own_parameters(built, start.model))
        config = config.changed({"training.freeze_model": freeze_model})
        folder = start.beside(config) if out is None else Path(out)
        return Run.create(config, folder, start=start, numbered=out is None, echo=echo)

    def beside(self, config: Config) -> Path:
        """Return the default folder, next to this run, of a run with the guide of ``config``."""
        path = self.path if self.path.name not in ("", "..") else self.path.resolve()
        return path.with_name(f"{path.name}-{config.guide.name.rpartition(':')[2]}")

    def evaluate(self, *args: Any, device: Any = "cpu", **options: Any) -> Evaluation:
        """Evaluate model and guide, by default on the test data of the run.

        Args:
            *args: see ``evaluate`` of the task, such as
                :meth:`~pyro_align.tasks.Translation.evaluate`.
            device: device to compute on.
            **options: likewise.

        Raises:
            DataError: for invalid data.
        """
        self.to(device)
        return self.task.evaluate(self.model, self.guide, *args, device=device, **options)

    def confusions(self, predictions: Sequence[str], *args: Any) -> Confusions:
        """Count the edits of predicted words, with the posterior of their alignments.

        Args:
            predictions: a prediction for each pair, such as ``predictions`` of an evaluation.
            *args: see ``confusions`` of the task, such as
                :meth:`~pyro_align.tasks.Transduction.confusions`.

        Raises:
            UserError: if the run does not predict words.
        """
        return self.task.confusions(self.model, predictions, *args)

    def test_pairs(self, *args: Any, **options: Any) -> Any:
        """Return pairs of the test data, to pass to :meth:`posterior`.

        Arguments are those of ``test_pairs`` of the task, such as
        :meth:`~pyro_align.tasks.Translation.test_pairs`.
        """
        return self.task.test_pairs(*args, **options)

    def posterior(self, *args: Any, **options: Any) -> AlignmentPosterior:
        """Compute prior, guide and exact posterior of alignments.

        Arguments are those of ``posterior`` of the task, such as
        :meth:`~pyro_align.tasks.Translation.posterior`: source sentences,
        target sentences, and options.
        """
        return self.task.posterior(self.model, self.guide, *args, **options)

    def latents(self, *args: Any) -> LatentPosterior:
        """Compute the posterior of the latent variable of each sentence, to tabulate and plot.

        Arguments are those of ``latents`` of the task, such as
        :meth:`~pyro_align.tasks.Sentences.latents`: sentences, by default the test sentences.
        """
        return self.task.latents(self.model, self.guide, *args)

    def interpolation(self, first: str, last: str, steps: int = 8) -> DataFrame:
        """Return sentences between two sentences, by their distance from the first.

        Args:
            first: a sentence.
            last: another sentence.
            steps: number of sentences to return, including both ends.

        Raises:
            UserError: see :meth:`~pyro_align.tasks.Sentences.interpolate`.
        """
        from pandas import DataFrame

        found = self.task.interpolate(self.model, self.guide, first, last, steps)
        weights = [number / (steps - 1) for number in range(steps)]
        return DataFrame({"weight": weights, "sentence": found})

    def predict(self, lines: Iterable[str], **options: Any) -> Iterator[str]:
        """Predict the output of each input in order, such as the translation of a line.

        Options are those of ``predict`` of the task, such as
        :meth:`~pyro_align.tasks.Translation.predict`.
        """
        return self.task.predict(self.model, lines, **options)

    translate = predict

    def translations(self, lines: Iterable[str], **options: Any) -> Iterator[Translation]:
        """Predict as :meth:`predict`, with scores, tokens and, if requested, word links.

        Options are those of ``translations`` of the task, such as
        :meth:`~pyro_align.tasks.Translation.translations`: ``alignments=True`` for word links.

        Raises:
            UserError: if the run does not predict sequences.
        """
        return self.task.translations(self.model, self.guide, lines, **options)

    def to(self, device: torch.device | str) -> None:
        """Move model and guide to a device."""
        for program in self.programs.values():
            program.to(device)

    def _train(self, echo: Echo, quiet: bool) -> float:
        """Train to the end; returns the seconds of the whole fit."""
        check_data_unchanged(self.task, "restore it, or start a new run")
        examples = {part: self.task.examples(part) for part in ("train", "valid")}
        for part, found in examples.items():
            skipped = getattr(found, "skipped", 0)
            note = f", {skipped} skipped as too long" if skipped else ""
            echo(f"{part}: {len(found)} {self.task.unit}{note}")
        return training.fit(
            self.config,
            self.model,
            self.guide,
            self.objective,
            examples["train"],
            examples["valid"],
            folder=self.path,
            notes=self._notes(),
            quiet=quiet,
            target=self.task.target,
            echo=echo,
        )

    def _is_finished(self) -> bool:
        """Whether the fit ended with the present configuration, and its weights are there."""
        status = read_facts(self.path / "run.json").get("status")
        has_weights = (self.path / "weights.safetensors").is_file()
        return status == "finished" and has_weights and training.is_finished(self.config, self.path)

    def _notes(self) -> dict[str, str]:
        """Metadata that ties weights to this run's files and settings."""
        return check_identity(self.path, self.config, self.task.digests())

    def _load_weights(self, name: str) -> None:
        """Load a weights file of this run."""
        load_weights(self.path / name, self.programs, self._notes())

    def _check_data(self) -> None:
        """Raise errors now that would otherwise be raised by :meth:`fit`, or only after it."""
        devices, nodes = processes(self.config.training)
        for part in ("train", "valid"):
            examples = self.task.examples(part)
            buckets(self.config, examples, shuffle=False, world_size=devices * nodes)
        self.task.check_test()

    @classmethod
    def _open(cls, path: Path, *, trust: bool = False) -> Run:
        check_version(path)
        config = read_config(path, trusted=trust)
        task = TASKS.get(config.task)(config, path)
        check_identity(path, config, task.digests())
        return cls(task)

    def _component(self, component: Component) -> tuple[str, dict[str, Any]]:
        """Name and options; the path of code kept in the run is prefixed with its folder."""
        return located(component, self.path).name, component.options
