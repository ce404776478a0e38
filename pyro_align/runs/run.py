"""`Run`: a fit in a folder, which can be copied, loaded, resumed, evaluated and queried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from pyro_align import training  # Lightning is imported with `fit` and `check_machine`
from pyro_align.config import Component, Config
from pyro_align.config.components import (
    chosen,
    reject_ineffective_settings,
)
from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES
from pyro_align.data import GoldLinks, IndexedCorpus, LinkFile, ParallelText, Vocabulary, index_text
from pyro_align.data.demo import demo_text
from pyro_align.data.lines import check_rereadable
from pyro_align.decoding import BeamSearch, Translator
from pyro_align.errors import ConfigError, RunError
from pyro_align.evaluation import (
    MAX_LENGTH,
    Evaluation,
    SentencePairs,
    check_text,
    evaluate_positions,
    translation_scores,
)
from pyro_align.inference import Objective
from pyro_align.inference.traces import own_parameters
from pyro_align.networks import SequenceToSequence
from pyro_align.posterior import AlignmentPosterior, posterior_of_text
from pyro_align.runs.claims import locked, new_folder
from pyro_align.runs.display import RunDisplay
from pyro_align.runs.folder import (
    Echo,
    check_identity,
    check_text_unchanged,
    check_version,
    prepare,
    prepare_from,
    read_facts,
    texts,
    write_status,
)
from pyro_align.runs.own_code import check_code, keep_own_code, located
from pyro_align.runs.trial import try_programs
from pyro_align.runs.warm_start import START, derived, start_from
from pyro_align.training import (
    buckets,
    load_weights,
)
from pyro_align.training.distributed import is_first_process, processes


class Run(RunDisplay):
    """Configuration, vocabularies, model, guide and objective of a run folder.

    Create it with :meth:`create` or :meth:`load`.

    Attributes:
        path: the run folder.
        config: the configuration, with guide and objective chosen.
        source_vocabulary: vocabulary of the source side.
        target_vocabulary: vocabulary of the target side.
        model: a Pyro program.
        guide: a Pyro program built on the model.
        objective: a Pyro ELBO for model and guide.
    """

    def __init__(self, path: Path, config: Config, vocabularies: tuple[Vocabulary, Vocabulary]):
        self.path = path
        self.config = config
        self.source_vocabulary, self.target_vocabulary = vocabularies
        # Leave the caller's random state unchanged.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            networks = SequenceToSequence.from_config(config.network, *map(len, vocabularies))
            self.model: Any = MODELS.build(*self._component(config.model), networks)
            self.guide: Any = GUIDES.build(*self._component(config.guide), self.model)
        # Evaluation mode is the default; training turns dropout on itself.
        for program in self.programs.values():
            program.eval()
        self.objective: Objective = OBJECTIVES.build(*self._component(config.objective))
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
        training.check_machine(config)
        reject_ineffective_settings(config, None if start is None else start.config)
        try_programs(config)
        with new_folder(path, overwrite=overwrite, numbered=numbered) as new:
            folder = new.partial
            kept = keep_own_code(config, folder)
            if start is None:
                prepare(kept, folder, echo)
            else:
                prepare_from(kept, folder, start.path, start.vocabularies)
            # Fails for invalid options, before an existing run is replaced.
            run = cls._open(folder)
            if start is not None:
                start_from(run, start, config.guide, run._notes(), echo)
            run._check_text()
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
    def vocabularies(self) -> tuple[Vocabulary, Vocabulary]:
        """Source and target vocabulary."""
        return self.source_vocabulary, self.target_vocabulary

    @property
    def max_length(self) -> int:
        """Default maximum length, in tokens, of either side of a pair to evaluate."""
        return max(MAX_LENGTH, self.config.data.max_length)

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
            check_text_unchanged(
                self.config, self.path, "restore it, or give new text with --train and --valid"
            )
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

    def test_text(self) -> tuple[ParallelText, Path | None]:
        """Return the test text of the run, and the file of its gold links, if any."""
        data = self.config.data
        if data.train is None:
            return demo_text(self.path / "data", "test"), self.path / "data" / "test.links"
        return ParallelText.open(data.test or data.valid or []), data.gold

    def test_pairs(
        self,
        most: int | None = None,
        *,
        text: Sequence[Path | str] | None = None,
        gold: Path | str | None = None,
    ) -> SentencePairs:
        """Return sentence pairs of the test text: sources, targets and gold links.

        Args:
            most: maximum number of pairs, starting with the first; None for all.
            text: text files, see :meth:`ParallelText.open`; None for :meth:`test_text`.
            gold: file of gold links; None for those of the text, if any.

        Raises:
            DataError: for text or links that cannot be read.
        """
        found, links = self.test_text() if text is None else (ParallelText.open(text), None)
        return SentencePairs.read(found, links if gold is None else Path(gold), most)

    def evaluate(
        self,
        text: ParallelText | None = None,
        gold: Iterable[GoldLinks] | None = None,
        *,
        translate: bool = True,
        beam: int = 5,
        max_length: int | None = None,
        device: torch.device | str = "cpu",
        progress: Callable[[int], None] = lambda done: None,
    ) -> Evaluation:
        """Evaluate likelihood, posterior, translation and, with gold links, alignment.

        Args:
            text: sentence pairs; None for :meth:`test_text` with its gold links.
            gold: links of each pair; None for those of the text, if any.
            translate: also translate the source side and score it against the target side.
            beam: width of the beam search.
            max_length: maximum length of either side, in tokens; None for :attr:`max_length`.
            device: device to compute on.
            progress: called with the number of pairs evaluated so far.

        Raises:
            DataError: for invalid text or links.
        """
        if text is None:
            text, links = self.test_text()
            if gold is None and links is not None:
                gold = LinkFile(links, sentences=text.count())
        self.to(device)
        longest = self.max_length if max_length is None else max_length
        result = evaluate_positions(
            self.model,
            self.guide,
            text,
            self.vocabularies,
            gold=gold,
            batch_tokens=self.config.training.batch_tokens,
            max_length=longest,
            device=device,
            progress=progress,
        )
        if translate:
            pairs = list(text)
            translator = Translator(
                BeamSearch(self.model, beam=beam),
                self.source_vocabulary,
                self.target_vocabulary,
                max_source=longest,
            )
            found = translator.translate((pair.source for pair in pairs), text.source_path)
            hypotheses = [translation.text for translation in found]
            result.translation = translation_scores(hypotheses, [pair.target for pair in pairs])
        return result

    def posterior(
        self,
        sources: Sequence[str],
        targets: Sequence[str],
        *,
        gold: Sequence[GoldLinks] | None = None,
        words: bool = False,
        title: str | None = None,
        batch_tokens: int | None = None,
    ) -> AlignmentPosterior:
        """Compute prior, guide and exact posterior of the alignment of sentence pairs.

        Args:
            sources: source sentences.
            targets: their translations.
            gold: links between the words of each pair, if any.
            words: merge subword pieces into words.
            title: title of the result; None for the names of model, guide and folder.
            batch_tokens: padded size of a batch; None for that of training.

        Raises:
            UserError: for invalid sentences or links; the message names the sentence.
        """
        found = posterior_of_text(
            self.model,
            self.guide,
            self.vocabularies,
            sources,
            targets,
            gold=gold,
            batch_tokens=batch_tokens or self.config.training.batch_tokens,
            max_length=self.max_length,
            device=next(self.model.parameters()).device,
            title=f"{self.config.model.name} with {self.config.guide.name} ({self.path.name})"
            if title is None
            else title,
        )
        return found.words() if words else found

    def translator(self, **options: Any) -> Translator:
        """Return a beam search translator; options are those of :class:`BeamSearch`."""
        search = BeamSearch(self.model, **options)
        return Translator(search, self.source_vocabulary, self.target_vocabulary)

    def translate(self, lines: Iterable[str], **options: Any) -> Iterator[str]:
        """Translate lines with beam search; an empty line stays empty.

        Options are those of :class:`BeamSearch`, such as ``beam=5``.

        Raises:
            UserError: if ``lines`` is a single string.
        """
        return (found.text for found in self.translator(**options).translate(lines))

    def to(self, device: torch.device | str) -> None:
        """Move model and guide to a device."""
        for program in self.programs.values():
            program.to(device)

    def _train(self, echo: Echo, quiet: bool) -> float:
        """Train to the end; returns the seconds of the whole fit."""
        check_text_unchanged(self.config, self.path, "restore it, or start a new run")
        corpora = self._corpora()
        for name, corpus in corpora.items():
            skipped = f", {corpus.skipped} skipped as too long" if corpus.skipped else ""
            echo(f"{name}: {len(corpus)} sentence pairs{skipped}")
        programs = (self.model, self.guide, self.objective)
        texts = (corpora["train"], corpora["valid"])
        options: dict[str, Any] = {"notes": self._notes(), "quiet": quiet}
        return training.fit(self.config, *programs, *texts, folder=self.path, **options)

    def _is_finished(self) -> bool:
        """Whether the fit ended with the present configuration, and its weights are there."""
        status = read_facts(self.path / "run.json").get("status")
        has_weights = (self.path / "weights.safetensors").is_file()
        return status == "finished" and has_weights and training.is_finished(self.config, self.path)

    def _notes(self) -> dict[str, str]:
        """Metadata that ties weights to this run's vocabularies and settings."""
        return check_identity(self.path, self.config, *self.vocabularies)

    def _load_weights(self, name: str) -> None:
        """Load a weights file of this run."""
        load_weights(self.path / name, self.programs, self._notes())

    def _corpora(self) -> dict[str, IndexedCorpus]:
        """Training and validation text as ids, from the cache or newly indexed."""
        return {
            name: index_text(text, self.vocabularies, self.config.data)
            for name, text in texts(self.config, self.path).items()
        }

    def _check_text(self) -> None:
        """Raise errors now that would otherwise be raised by :meth:`fit`, or only after it."""
        devices, nodes = processes(self.config.training)
        for corpus in self._corpora().values():
            buckets(self.config, corpus, shuffle=False, world_size=devices * nodes)
        text, gold = self.test_text()
        if gold is not None:
            check_rereadable(gold)  # read again when the fit is evaluated
        links = None if gold is None else LinkFile(gold, sentences=text.count())
        check_text(text, self.vocabularies, links, self.max_length)

    @classmethod
    def _open(cls, path: Path, *, trust: bool = False) -> Run:
        check_version(path)
        config = Config.load(path / "config.toml")
        check_code(config, path, trusted=trust)
        vocabularies = (
            Vocabulary.load(path / "source.model"),
            Vocabulary.load(path / "target.model"),
        )
        check_identity(path, config, *vocabularies)
        return cls(path, config, vocabularies)

    def _component(self, component: Component) -> tuple[str, dict[str, Any]]:
        """Name and options; the path of code kept in the run is prefixed with its folder."""
        return located(component, self.path).name, component.options
