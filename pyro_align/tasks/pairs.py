"""Base class of tasks that predict a target sequence from a source sequence."""

from __future__ import annotations

import hashlib
import shutil
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import torch

from pyro_align.data import Examples, IndexedCorpus, LinkFile
from pyro_align.data.batch import EOS, TextBatch
from pyro_align.data.candidates import (
    load_candidates,
    save_candidates,
    translation_candidates,
)
from pyro_align.data.copies import Pieces, counterparts
from pyro_align.data.noise import Noise
from pyro_align.data.settings import PairVocabularies
from pyro_align.decoding import (
    BeamSearch,
    Linker,
    MinimumBayesRisk,
    SampledSearch,
    Sampler,
    Search,
    Translation,
    Translator,
    translate_tagged,
)
from pyro_align.errors import UserError
from pyro_align.evaluation import MAX_LENGTH
from pyro_align.networks import NetworkConfig, SequenceToSequence
from pyro_align.posterior import AlignmentPosterior
from pyro_align.tasks.task import TRIAL_VOCABULARY
from pyro_align.tasks.text_task import TextTask


@runtime_checkable
class SavedVocabulary(Pieces, Protocol):
    """A vocabulary in a file."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file."""

    def save(self, path: Path) -> None:
        """Write a file."""

    def fingerprint(self) -> str:
        """Return a digest of the content."""


class SequencePairs(TextTask):
    """Target sequences given source sequences, with an encoder-decoder network.

    The configuration has the table ``network``, a :class:`~pyro_align.networks.NetworkConfig`, and
    ``data`` with ``train``, ``valid``, ``test`` and ``max_length``.
    """

    vocabulary_class: ClassVar[type[SavedVocabulary]]
    """Class of both vocabularies."""

    vocabulary_suffix: ClassVar[str]
    """Ending of the files of the vocabularies."""

    @abstractmethod
    def read(self, paths: Sequence[Path | str], languages: Sequence[str] | None = None) -> Any:
        """Return the text of files, in the format of the task.

        Args:
            paths: the files.
            languages: language of each file; None if there is one language.

        Raises:
            UserError: for a wrong number of files or languages.
        """

    def new_encoder(self) -> Any:
        """Return what encodes the inputs of a translator, by default the source vocabulary."""
        return self.vocabularies[0]

    def translator(
        self,
        model: Any,
        *,
        guide: Any = None,
        samples: int | None = None,
        max_source: int = MAX_LENGTH,
        window: int = 4096,
        ready: Callable[[], bool] | None = None,
        link: Linker | None = None,
        n_best: int = 1,
        sample: bool = False,
        mbr: int | None = None,
        **options: Any,
    ) -> Translator[Any]:
        """Return a translator which reads :meth:`inputs`, by default with beam search.

        Args:
            model: the model.
            guide: the guide, see ``samples``.
            samples: translate given this many samples of the latent variable of the sentence, and
                rank what is found, see :class:`SampledSearch`; None for the mean of its prior.
            max_source: maximum number of tokens per input.
            window: number of inputs that are read ahead, see :class:`Translator`.
            ready: whether another input can be read without waiting for it, likewise.
            link: links inputs and predictions, see :meth:`linker`; None for no links.
            n_best: number of predictions per input.
            sample: draw ``n_best`` samples, see :class:`~pyro_align.decoding.Sampler`.
            mbr: draw this number of samples and choose the ``n_best`` with
                :class:`~pyro_align.decoding.MinimumBayesRisk`.
            **options: options of :class:`BeamSearch`, such as ``beam=5``, or of the sampler.
        """
        if mbr is not None and mbr < n_best:
            raise UserError(f"{n_best} predictions cannot be chosen among {mbr} samples")
        search: Search
        if samples is not None:
            if sample or mbr:
                raise UserError(
                    "samples of the latent variable of the sentence (--samples) cannot be combined "
                    "with samples of the words (--sample, --mbr): give one of them"
                )
            search = SampledSearch(model, guide, samples=samples, n_best=n_best, **options)
        elif sample or mbr:
            search = Sampler(model, samples=mbr or n_best, **options)
        else:
            search = BeamSearch(model, n_best=n_best, **options)
        return Translator(
            search,
            self.new_encoder(),
            self.vocabularies[1],
            max_source=max_source,
            window=window,
            ready=ready,
            choose=MinimumBayesRisk(n_best) if mbr else None,
            link=link,
        )

    @abstractmethod
    def linker(self, model: Any, guide: Any) -> Linker:
        """Return a function that links the words of inputs and their predictions.

        Links are those of ``pyro-align align`` for the same pair: of each target word the source
        word that is most probable given the whole pair, if it is more probable than no link. The
        probabilities are those of the exact posterior, or where a model has none, of the guide or
        the attention weights; of an ensemble the mean over its models.

        Args:
            model: the model or :class:`~pyro_align.decoding.Ensemble`, in evaluation mode.
            guide: the guide.
        """

    @classmethod
    def trial_network(cls, config: Any) -> SequenceToSequence:
        """Build the network with a small vocabulary on both sides."""
        size = TRIAL_VOCABULARY
        candidates = torch.arange(size * config.network.candidates) % size
        return SequenceToSequence.from_config(
            config.network,
            size,
            size,
            copies=range(size),
            candidates=candidates.reshape(size, -1),
        )

    @classmethod
    def trial_batch(cls, config: Any) -> TextBatch:
        """Return two pairs; the longer target is longer than the longer source."""
        sources, targets = (
            [[*range(EOS + 1, EOS + length), EOS] for length in lengths]
            for lengths in ((4, 2), (3, 5))
        )
        return TextBatch.from_ids(sources, targets, noise=Noise(0))

    def prepare_from(self, other: SequencePairs) -> None:
        """Copy the built-in text, if it is used, the vocabularies and candidates."""
        if self.config.data.train is None:
            shutil.copytree(other.folder / "data", self.folder / "data")
        self.save_vocabularies(*other.vocabularies)
        if self._has_candidates:
            shutil.copyfile(other._candidates_file, self._candidates_file)

    def save_vocabularies(self, source: SavedVocabulary, target: SavedVocabulary) -> None:
        """Write the vocabularies to the run folder."""
        for path, vocabulary in zip(self._vocabulary_files, (source, target), strict=True):
            vocabulary.save(path)

    def find_candidates(self) -> None:
        """Write the candidates for the translation of each source token, if they are needed."""
        if self._has_candidates:
            source, target = self.vocabularies
            found = translation_candidates(
                self.examples("train"),
                len(source),
                len(target),
                self.config.network.candidates,
            )
            save_candidates(self._candidates_file, found)

    @property
    def _has_candidates(self) -> bool:
        return bool(self.config.network.emission == "sparse-product")

    @property
    def _candidates_file(self) -> Path:
        return self.folder / "candidates.npy"

    @property
    def _vocabulary_files(self) -> list[Path]:
        return [self.folder / f"{side}{self.vocabulary_suffix}" for side in ("source", "target")]

    @cached_property
    def vocabularies(self) -> tuple[Any, Any]:
        """Source and target vocabulary."""
        source, target = map(self.vocabulary_class.load, self._vocabulary_files)
        return source, target

    def digests(self) -> dict[str, str]:
        """Return digests of the vocabularies and candidates."""
        files = zip(self._vocabulary_files, self.vocabularies, strict=True)
        found = {path.name: vocabulary.fingerprint() for path, vocabulary in files}
        if self._has_candidates:
            numbers = load_candidates(self._candidates_file).numpy().tobytes()
            found[self._candidates_file.name] = hashlib.sha256(numbers).hexdigest()
        return found

    def network(self) -> SequenceToSequence:
        """Build the encoder-decoder network."""
        source, target = self.vocabularies
        network = self.config.network
        copies = counterparts(source, target) if network.copying else None
        candidates = load_candidates(self._candidates_file) if self._has_candidates else None
        return SequenceToSequence.from_config(network, len(source), len(target), copies, candidates)

    @abstractmethod
    def examples(self, part: str) -> Examples:
        """Return the text as ids."""

    @abstractmethod
    def encoded(self, paths: Sequence[Path | str]) -> IndexedCorpus:
        """Return the text of files as ids, see :meth:`read`.

        Raises:
            DataError: for text that cannot be read, or a pair that is too long.
        """

    def predict(
        self, model: Any, inputs: Iterable[str], *, language: str | None = None, **options: Any
    ) -> Iterator[str]:
        """Predict the target of each line with beam search.

        Args:
            model: the model.
            inputs: lines, see :meth:`inputs`.
            language: likewise.
            **options: options of :meth:`translator`, such as ``beam=5``.

        Raises:
            UserError: as for :meth:`inputs`.
        """
        found = self.translations(model, None, inputs, language=language, **options)
        return (translation.text for translation in found)

    def translations(
        self,
        model: Any,
        guide: Any,
        inputs: Iterable[str],
        *,
        language: str | None = None,
        alignments: bool = False,
        tags: bool = False,
        **options: Any,
    ) -> Iterator[Translation]:
        """Predict the target of each line, with scores, tokens and word links.

        Args:
            model: the model.
            guide: the guide; used only for links, see :meth:`linker`.
            inputs: lines, see :meth:`inputs`.
            language: likewise.
            alignments: link the words of lines and predictions.
            tags: translate lines without their tags, and put the tags around the aligned words,
                see :func:`~pyro_align.decoding.translate_tagged`.
            **options: options of :meth:`translator`, such as ``beam=5``.

        Raises:
            UserError: as for :meth:`inputs`.
        """
        link = self.linker(model, guide) if alignments or tags else None
        translator = self.translator(model, link=link, **options)
        return self.translated(translator, inputs, language=language, tags=tags)

    def translated(
        self,
        translator: Translator[Any],
        lines: Iterable[str],
        path: Path | None = None,
        *,
        language: str | None = None,
        tags: bool = False,
    ) -> Iterator[Translation]:
        """Predict the target of each line with a translator.

        Args:
            translator: from :meth:`translator`; with links if ``tags``.
            lines: lines, see :meth:`inputs`.
            path: likewise.
            language: likewise.
            tags: see :meth:`translations`.

        Raises:
            UserError: as for :meth:`inputs`, or if the task has no tags.
        """

        def translate(texts: Iterable[str]) -> Iterator[Translation]:
            return translator.translate(self.inputs(texts, path, language), path)

        return translate_tagged(translate, lines, path) if tags else translate(lines)

    def inputs(
        self, lines: Iterable[str], path: Path | None = None, language: str | None = None
    ) -> Iterable[Any]:
        """Return what the translator reads for each line.

        Args:
            lines: lines without line ends.
            path: their file, for error messages; None for a stream.
            language: language of the lines; None if there is one language.

        Raises:
            UserError: if ``lines`` is one string, a line is not valid, or the language is not one
                of the run.
        """
        if language is not None:
            raise UserError(f"a run of the task {self.config.task!r} has no setting for languages")
        return lines

    @abstractmethod
    def gold_of(self, path: Path | None, form: str, pairs: int, *, own: bool) -> LinkFile | None:
        """Return the gold links of a text; None for those of the text itself, if any.

        Args:
            path: file of gold links, if any.
            form: format of the file, see :class:`~pyro_align.data.LinkFile`.
            pairs: number of pairs of the text.
            own: whether the text is the test text of the run.

        Raises:
            UserError: if the task reads no files of links.
        """

    def unknown_note(self, translator: Translator[Any]) -> str | None:
        """Return a remark on unknown symbols that a translator has read; None if there are none."""
        return None

    @abstractmethod
    def posterior_of_files(
        self,
        model: Any,
        guide: Any,
        paths: Sequence[Path],
        *,
        gold: Path | None = None,
        pieces: bool = False,
        languages: Sequence[str] | None = None,
    ) -> AlignmentPosterior:
        """Compute the posteriors of all pairs of a text, for a report.

        Args:
            model: the model.
            guide: the guide.
            paths: files, see :meth:`read`.
            gold: file of gold links; None for those of the text, if any.
            pieces: do not merge subword pieces into words.
            languages: see :meth:`read`.

        Raises:
            UserError: for invalid files or links.
        """

    def title(self) -> str:
        """Return the names of model, guide and folder."""
        config = self.config
        return f"{config.model.name} with {config.guide.name} ({self.folder.name})"

    def described(self) -> list[tuple[str, str]]:
        """Return sizes of the network and vocabularies."""
        network = self.config.network
        source, target = self.vocabularies
        return [
            (
                "encoder",
                _layers(network, network.encoder_kind, network.encoder_layers)
                + f", {network.encoder_hidden}"
                + (" per direction" if network.encoder_kind == "recurrent" else ""),
            ),
            (
                "decoder",
                _layers(network, network.decoder_kind, network.decoder_layers)
                + f", {network.decoder_hidden}",
            ),
            ("embeddings", str(network.embedding)),
            ("attention", network.scorer),
            ("vocabularies", f"{len(source)} and {len(target)} pieces"),
        ]


def ineffective_joint(vocabulary: PairVocabularies, start: Any) -> Iterator[str]:
    """Yield a message if one vocabulary is wanted for both sides, but two are given.

    Args:
        vocabulary: settings of the vocabularies.
        start: configuration of the run that a fit starts from; None for a fit from scratch.
    """
    if start is None and vocabulary.joint and vocabulary.source != vocabulary.target:
        yield (
            "vocabulary.joint has no effect if two vocabularies are given: give the same file as "
            "both vocabulary.source and vocabulary.target, or set vocabulary.joint = false"
        )


def _layers(network: NetworkConfig, kind: str, number: int) -> str:
    """Describe layers, such as ``2 layers of LSTM``."""
    name = network.cell.upper() if kind == "recurrent" else "Transformer"
    return f"{number} {'layer' if number == 1 else 'layers'} of {name}"
