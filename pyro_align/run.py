"""`Run`: a folder with all of a fit, to be copied, loaded, resumed, evaluated and asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from pyro_align import training  # Lightning is imported with `fit` and `check_machine`
from pyro_align.components import (
    chosen,
    derived,
    keep_own_code,
    located,
    reject_ineffective_settings,
)
from pyro_align.config import Component, Config
from pyro_align.corpus import GoldLinks, IndexedCorpus, LinkFile, ParallelText, Vocabulary
from pyro_align.corpus.demo import demo_text
from pyro_align.corpus.lines import check_rereadable
from pyro_align.errors import ConfigError, RunError
from pyro_align.evaluation import (
    MAX_LENGTH,
    Evaluation,
    SentencePairs,
    check_text,
    evaluate_positions,
)
from pyro_align.folders import locked, new_folder
from pyro_align.inference import Objective
from pyro_align.metrics import translation_scores
from pyro_align.networks import SequenceToSequence
from pyro_align.posterior import AlignmentPosterior, posterior_of_text
from pyro_align.registry import GUIDES, MODELS, OBJECTIVES
from pyro_align.run_display import RunDisplay
from pyro_align.run_folder import (
    Echo,
    check_identity,
    check_version,
    prepare,
    prepare_from,
    read_facts,
    refuse_other_text,
    texts,
    write_status,
)
from pyro_align.training import (
    buckets,
    index,
    load_weights,
    own_parameters,
)
from pyro_align.training.distributed import is_first_process, processes
from pyro_align.translation import BeamSearch, Translator
from pyro_align.trial import try_programs
from pyro_align.trust import check_code
from pyro_align.warm_start import START, start_from


class Run(RunDisplay):
    """Configuration, vocabularies, model, guide and objective of a run folder.

    Made by :meth:`create` or :meth:`load`.

    Attributes:
        path: the folder.
        config: its configuration, guide and objective chosen.
        source_vocabulary: pieces of the source side.
        target_vocabulary: pieces of the target side.
        model: Pyro program.
        guide: Pyro program built on the model.
        objective: Pyro ELBO that takes both.
    """

    def __init__(self, path: Path, config: Config, vocabularies: tuple[Vocabulary, Vocabulary]):
        self.path = path
        self.config = config
        self.source_vocabulary, self.target_vocabulary = vocabularies
        # The caller's random numbers go on as they were.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            networks = SequenceToSequence(config.network, *map(len, vocabularies))
            self.model: Any = MODELS.build(*self._component(config.model), networks)
            self.guide: Any = GUIDES.build(*self._component(config.guide), self.model)
        # Whatever is asked of a run is asked without dropout; training turns it on for itself.
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
        """Make a run folder that is ready to be fitted: vocabularies, and every line checked.

        It appears at ``path`` when it is complete; a run to be overwritten stays until then.

        Args:
            config: what to fit; from :meth:`derived` where there is a ``start``.
            path: the folder.
            start: a loaded run whose vocabularies, built-in corpus and weights are copied: those
                of the model, and those of the guide if the new one is of the same class and sizes.
            overwrite: replace a run that is there.
            numbered: take ``path-2`` and so on if something is at ``path``.
            echo: told in a line what was found and made.

        Raises:
            RunError: if ``path`` is in the way.
            UserError: for a configuration or text that cannot be used.
        """
        if start is None and config.training.freeze_model:
            raise ConfigError(
                "training.freeze_model keeps the model of a trained run, and there is none: say "
                "which with --from RUN"
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
            # Names options that do not fit, before a run is replaced.
            run = cls._open(folder)
            if start is not None:
                start_from(run, start, config.guide, run._notes(), echo)
            run._check_text()
        return cls.resume(new.path)

    @classmethod
    def load(cls, path: Path | str, *, trust: bool = False) -> Run:
        """Read a run with its best weights, in evaluation mode.

        Args:
            path: the folder.
            trust: execute the run's own code, if it has any, even if this user has not passed it
                to ``fit`` on this machine; see :mod:`pyro_align.trust`.

        Raises:
            RunError: if the folder is not a run, is damaged, of a newer version, or has code that
                is not trusted.
        """
        run = cls._open(Path(path), trust=trust)
        run._load_weights("weights.safetensors")
        return run

    @classmethod
    def resume(cls, path: Path | str, *, trust: bool = False) -> Run:
        """Read a run to go on with :meth:`fit`, whatever its training has reached.

        Raises:
            RunError: as :meth:`load`.
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
        """Of source and target."""
        return self.source_vocabulary, self.target_vocabulary

    @property
    def max_length(self) -> int:
        """Longest side, in pieces, of a pair that is evaluated unless told otherwise."""
        return max(MAX_LENGTH, self.config.data.max_length)

    def fit(self, echo: Echo = print, *, quiet: bool = False) -> Run:
        """Train from the last checkpoint, or from the beginning, to the end.

        Afterwards model and guide have the best weights and are in evaluation mode.

        Args:
            echo: takes notes, a line each.
            quiet: whether to leave out the progress bar and the line per epoch.

        Returns:
            The run itself.

        Raises:
            RunError: if the text is not the one the run began with, a checkpoint is damaged, or
                another process is training this run.
            TrainingError: if a loss is not a number.
        """
        with locked(self.path) if is_first_process() else nullcontext():
            if self._is_finished():
                echo("finished already: raise training.epochs in config.toml to train on")
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
        """Configuration of a run that starts from this one's weights, for :meth:`create`.

        It is this run's; guide and objective give way to what is named of them. The model is
        trained on, unless ``training.freeze_model`` is among the changes.

        Args:
            changes: values by key, such as ``guide.name`` and ``training.epochs``.

        Raises:
            ConfigError: for a key that this run's weights or vocabularies decide, or an unknown
                one.
            RunError: if the text that this run was trained on is not what it was.
        """
        config = derived(self.config, self.path, changes)
        if not {"data.train", "data.valid"} & changes.keys():
            refuse_other_text(
                self.config, self.path, "put the old one back, or name it with --train and --valid"
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
        """A new run with this one's trained model and another guide, ready for :meth:`fit`.

        The model starts from this run's best weights, and so does a guide of the class and sizes
        that this run has; any other is fresh. The new folder does not need this one.

        Args:
            guide: its name, or ``file.py:Class``.
            objective: its name; None for this run's, or for one that fits if that does not.
            freeze_model: train the guide alone; None to do so if it has parameters, for with a
                guide that has none, such as ``prior``, nothing but the model can be trained.
            out: the new folder; None for one beside this run's that is called after the guide.
            echo: told in a line what was found and made.
            **settings: any others of the configuration, ``training__epochs=5`` for
                ``training.epochs``.

        Raises:
            RunError: if this run has no weights yet, or the folder is in the way.
            UserError: for what does not go together, or cannot be changed from this run on.
        """
        start = Run.load(self.path)
        changes = {key.replace("__", "."): value for key, value in settings.items()}
        changes["guide.name"] = guide
        if objective is not None:
            changes["objective.name"] = objective
        # The name first: it clears the options of the one before it.
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
        """The place beside this run for one with the guide of ``config``."""
        path = self.path if self.path.name not in ("", "..") else self.path.resolve()
        return path.with_name(f"{path.name}-{config.guide.name.rpartition(':')[2]}")

    def test_text(self) -> tuple[ParallelText, Path | None]:
        """The text to evaluate a finished fit on, and the file of its gold links, if any."""
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
        """Sentence pairs to look at: sources, targets and gold links.

        Args:
            most: how many, from the first on; None for all.
            text: files of them, see :meth:`ParallelText.open`; None for :meth:`test_text`.
            gold: file of their links; None for those of the text, if there are any.

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
        """Measure likelihood, posterior, translation and, with gold links, alignment.

        Args:
            text: sentence pairs; None for :meth:`test_text` with its gold links.
            gold: links of each pair; None for those that the text itself has, if any.
            translate: also translate the source side and score that against the target.
            beam: width of the beam search.
            max_length: longest side of a pair, in pieces; None for :attr:`max_length`.
            device: where to compute.
            progress: told how many pairs are measured.

        Raises:
            DataError: for text or links that cannot be used.
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
        """What prior, guide and exact posterior say of the alignment of sentence pairs.

        Args:
            sources: source sentences.
            targets: their translations.
            gold: links between the words of each pair, if there are any.
            words: merge the pieces of the vocabulary to words.
            title: what to call it; None for model, guide and folder.
            batch_tokens: padded size of a batch; None for that of training.

        Raises:
            UserError: for sentences or links that cannot be used, naming the sentence.
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
        """A translator by beam search; options are those of :class:`BeamSearch`."""
        search = BeamSearch(self.model, **options)
        return Translator(search, self.source_vocabulary, self.target_vocabulary)

    def translate(self, lines: Iterable[str], **options: Any) -> Iterator[str]:
        """The best translation of every line; an empty line stays empty.

        Options are those of :class:`BeamSearch`, such as ``beam=5``.

        Raises:
            UserError: if ``lines`` is one string.
        """
        return (found.text for found in self.translator(**options).translate(lines))

    def to(self, device: torch.device | str) -> None:
        """Move model and guide."""
        for program in self.programs.values():
            program.to(device)

    def _train(self, echo: Echo, quiet: bool) -> float:
        """Train to the end; returns the seconds of the whole fit."""
        refuse_other_text(self.config, self.path, "put the old one back, or start a new run")
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
        """Notes that tie weights to this run's vocabularies and settings."""
        return check_identity(self.path, self.config, *self.vocabularies)

    def _load_weights(self, name: str) -> None:
        """Read a file of this run's weights."""
        load_weights(self.path / name, self.programs, self._notes())

    def _corpora(self) -> dict[str, IndexedCorpus]:
        """Training and validation text as ids, from the cache or made now."""
        return {
            name: index(text, self.vocabularies, self.config.data)
            for name, text in texts(self.config, self.path).items()
        }

    def _check_text(self) -> None:
        """Refuse now what would otherwise be refused by :meth:`fit`, or only after it."""
        devices, nodes = processes(self.config.training)
        for corpus in self._corpora().values():
            buckets(self.config, corpus, shuffle=False, world_size=devices * nodes)
        text, gold = self.test_text()
        if gold is not None:
            check_rereadable(gold)  # it is read again when the fit is evaluated
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
        """Name and options; a file kept in the folder is named from the folder."""
        return located(component, self.path).name, component.options
