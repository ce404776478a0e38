"""`Run`: a folder with all of a fit, to be copied, loaded, resumed, evaluated and asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

import pyro_align
from pyro_align.config import AUTO, Component, Config
from pyro_align.corpus import (
    GoldLinks,
    IndexedCorpus,
    ParallelText,
    Vocabulary,
    read_links,
    synthetic,
)
from pyro_align.errors import ConfigError, RunError
from pyro_align.evaluation import MAX_LENGTH, Evaluation, check_text, evaluate_positions
from pyro_align.inference import Objective
from pyro_align.metrics import translation_scores
from pyro_align.networks import SequenceToSequence
from pyro_align.registry import GUIDES, MODELS, OBJECTIVES, choose
from pyro_align.training import (
    buckets,
    check_machine,
    fit,
    index,
    load_weights,
    make_vocabularies,
    write_atomically,
)
from pyro_align.training.distributed import is_first_process, processes
from pyro_align.translation import BeamSearch, Translator

FORMAT = 1
"""Version of the folder's layout; a folder of a newer one is refused."""

Echo = Callable[[str], None]


class Run:
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
        self.objective: Objective = OBJECTIVES.build(*self._component(config.objective))
        self.objective.check(self.model, self.guide)

    @classmethod
    def create(
        cls, config: Config, path: Path, *, overwrite: bool = False, echo: Echo = print
    ) -> Run:
        """Make a run folder that is ready to be fitted: vocabularies, and every line checked.

        It is made beside ``path`` and renamed when it is whole; a run to be overwritten stays
        until then.

        Args:
            config: what to fit.
            path: the folder.
            overwrite: replace a run that is there.
            echo: told in a line what was found and made.

        Raises:
            RunError: if ``path`` is in the way.
            UserError: for a configuration or text that cannot be used.
        """
        replaced = path.with_name(f".{path.name}.old")
        if replaced.exists() and not path.exists():
            replaced.rename(path)  # a kill came between the two renamings below
        if path.exists() and not overwrite:
            raise RunError(
                f"{path} exists: choose another --out, go on with it with --resume {path}, or "
                f"replace it with --overwrite"
            )
        if path.exists() and not (path / "run.json").is_file():
            raise RunError(f"{path} is no run, so it is not overwritten: choose another --out")
        guide, objective = choose(config.model.name, _given(config.guide), _given(config.objective))
        config = config.model_copy(
            update={
                "guide": config.guide.model_copy(update={"name": guide}),
                "objective": config.objective.model_copy(update={"name": objective}),
            }
        )
        check_machine(config.training)
        beside = path.with_name(f".{path.name}.part")
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir(parents=True)
            config = _keep_own_code(config, beside)
            _prepare(config, beside, echo)
            # Names options that do not fit, before a run is replaced.
            cls._open(beside)._check_text()
            if path.exists():
                shutil.rmtree(replaced, ignore_errors=True)
                path.rename(replaced)
            beside.rename(path)
            shutil.rmtree(replaced, ignore_errors=True)
        except OSError as error:
            raise RunError(f"{path}: the run cannot be made: {error.strerror or error}") from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return cls._open(path)

    @classmethod
    def load(cls, path: Path | str) -> Run:
        """Read a run with its best weights, in evaluation mode.

        Raises:
            RunError: if the folder is none of a run, damaged, or of a newer version.
        """
        run = cls._open(Path(path))
        load_weights(run.path / "weights.safetensors", run.programs)
        for program in run.programs.values():
            program.eval()
        return run

    @classmethod
    def resume(cls, path: Path | str) -> Run:
        """Read a run to go on with :meth:`fit`, whatever its training has reached.

        Raises:
            RunError: as :meth:`load`.
        """
        return cls._open(Path(path))

    @property
    def programs(self) -> dict[str, Any]:
        """Model and guide by name."""
        return {"model": self.model, "guide": self.guide}

    @property
    def max_length(self) -> int:
        """Longest side, in pieces, of a pair that is evaluated unless told otherwise."""
        return max(MAX_LENGTH, self.config.data.max_length)

    def fit(self, echo: Echo = print) -> None:
        """Train from the last checkpoint, or from the beginning, to the end.

        Afterwards model and guide have the best weights and are in evaluation mode.

        Raises:
            RunError: if the text is not the one the run began with, or a checkpoint is damaged.
            TrainingError: if a loss is not a number.
        """
        facts = _facts(self.path / "data.json")
        for name, text in _texts(self.config, self.path).items():
            if text.fingerprint() != facts.get(name, {}).get("sha256"):
                raise RunError(
                    f"{' '.join(map(str, text.paths))}: not the {name} text this run began with; "
                    f"put the old one back, or start a new run"
                )
        corpora = self._corpora()
        for name, corpus in corpora.items():
            skipped = f", {corpus.skipped} skipped as too long" if corpus.skipped else ""
            echo(f"{name}: {len(corpus)} sentence pairs{skipped}")
        fit(self.config, self.model, self.guide, self.objective, folder=self.path, **corpora)
        if is_first_process():
            _write_status(self.path, "finished")
        load_weights(self.path / "weights.safetensors", self.programs)
        for program in self.programs.values():
            program.eval()

    def test_text(self) -> tuple[ParallelText, Path | None]:
        """The text to evaluate a finished fit on, and the file of its gold links, if any."""
        data = self.config.data
        if data.train is None:
            return _synthetic(self.path, "test"), self.path / "data" / "test.links"
        return ParallelText.open(data.test or data.valid or []), data.gold

    def evaluate(
        self,
        text: ParallelText,
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
            text: sentence pairs.
            gold: links of each pair; None for those that the text itself has, if any.
            translate: also translate the source side and score that against the target.
            beam: width of the beam search.
            max_length: longest side of a pair, in pieces; None for :attr:`max_length`.
            device: where to compute.
            progress: told how many pairs are measured.

        Raises:
            DataError: for text or links that cannot be used.
        """
        self.to(device)
        longest = self.max_length if max_length is None else max_length
        result = evaluate_positions(
            self.model,
            self.guide,
            text,
            (self.source_vocabulary, self.target_vocabulary),
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

    def translator(self, **options: Any) -> Translator:
        """A translator by beam search; options are those of :class:`BeamSearch`."""
        search = BeamSearch(self.model, **options)
        return Translator(search, self.source_vocabulary, self.target_vocabulary)

    def translate(self, lines: Iterable[str], **options: Any) -> Iterator[str]:
        """The best translation of every line; an empty line stays empty.

        Options are those of :class:`BeamSearch`, such as ``beam=5``.
        """
        for translation in self.translator(**options).translate(lines):
            yield translation.text

    def to(self, device: torch.device | str) -> None:
        """Move model and guide."""
        for program in self.programs.values():
            program.to(device)

    def _corpora(self) -> dict[str, IndexedCorpus]:
        """Training and validation text as ids, from the cache or made now."""
        vocabularies = (self.source_vocabulary, self.target_vocabulary)
        return {
            name: index(text, vocabularies, self.config.data)
            for name, text in _texts(self.config, self.path).items()
        }

    def _check_text(self) -> None:
        """Refuse now what would otherwise be refused by :meth:`fit`, or only after it."""
        devices, nodes = processes(self.config.training)
        for corpus in self._corpora().values():
            buckets(self.config, corpus, shuffle=False, world_size=devices * nodes)
        text, gold = self.test_text()
        links = None if gold is None else read_links(gold)
        check_text(text, (self.source_vocabulary, self.target_vocabulary), links, self.max_length)

    @classmethod
    def _open(cls, path: Path) -> Run:
        if not (path / "run.json").is_file():
            raise RunError(f"{path}: no run there (it has no run.json)")
        facts = _facts(path / "run.json")
        if not isinstance(version := facts.get("format"), int):
            raise RunError(f"{path / 'run.json'}: damaged (no format); copy the run again")
        if version > FORMAT:
            raise RunError(
                f"{path}: made by pyro-align {facts.get('pyro_align', '?')}, whose runs this "
                f"version ({pyro_align.__version__}) cannot read: pip install -U pyro-align"
            )
        config = Config.load(path / "config.toml")
        vocabularies = (
            Vocabulary.load(path / "source.model"),
            Vocabulary.load(path / "target.model"),
        )
        return cls(path, config, vocabularies)

    def _component(self, component: Component) -> tuple[str, dict[str, Any]]:
        """Name and options; a file kept in the folder is named from the folder."""
        own = component.name.startswith("code/")
        return (str(self.path / component.name) if own else component.name), component.options


def _given(component: Component) -> str | None:
    return None if component.name == AUTO else component.name


def _keep_own_code(config: Config, folder: Path) -> Config:
    """Copy ``file.py`` of every ``file.py:Class`` into the run, which needs it wherever it goes."""
    kept = {}
    for kind in ("model", "guide", "objective"):
        component = getattr(config, kind)
        place, _, class_name = component.name.rpartition(":")
        if place.endswith(".py"):
            file = Path(place).expanduser()
            kept_file = folder / "code" / file.name
            kept_file.parent.mkdir(exist_ok=True)
            if kept_file.exists() and kept_file.read_bytes() != file.read_bytes():
                raise ConfigError(f"{file}: another file is called {file.name} too; rename one")
            shutil.copyfile(file, kept_file)
            name = f"code/{file.name}:{class_name}"
            kept[kind] = component.model_copy(update={"name": name})
    return config.model_copy(update=kept)


def _prepare(config: Config, folder: Path, echo: Echo) -> None:
    if config.data.train is None:
        synthetic.write(config.data.synthetic, config.seed, folder / "data")
    texts = _texts(config, folder)
    facts = {
        name: {"pairs": text.count(), "sha256": text.fingerprint(), "files": _names(text)}
        for name, text in texts.items()
    }
    source, target = make_vocabularies(config.vocabulary, texts["train"])
    echo(f"vocabulary: {len(source)} source and {len(target)} target pieces")
    source.save(folder / "source.model")
    target.save(folder / "target.model")
    config.save(folder / "config.toml")
    write_atomically(folder / "data.json", json.dumps(facts, indent=2).encode())
    _write_status(folder, "training")


def _texts(config: Config, folder: Path) -> dict[str, ParallelText]:
    """Training and validation text; the built-in corpus lies in the run's folder."""
    data = config.data
    if data.train is None or data.valid is None:
        return {"train": _synthetic(folder, "train"), "valid": _synthetic(folder, "val")}
    return {"train": ParallelText.open(data.train), "valid": ParallelText.open(data.valid)}


def _synthetic(folder: Path, part: str) -> ParallelText:
    return ParallelText.open([folder / "data" / f"{part}.{side}" for side in ("de", "en")])


def _names(text: ParallelText) -> list[str]:
    return [path.name for path in text.paths]


def _facts(path: Path) -> Any:
    """What a JSON file of a run says.

    Raises:
        RunError: if it is damaged or missing.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise ValueError("no table")
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged ({error}); copy the run again") from None
    return facts


def _write_status(folder: Path, status: str) -> None:
    facts = {"format": FORMAT, "pyro_align": pyro_align.__version__, "status": status}
    write_atomically(folder / "run.json", json.dumps(facts, indent=2).encode())
