"""Transduction of word forms: pronunciation of words, inflection of lemmas."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import torch

from pyro_align.config.transduction import TransductionConfig
from pyro_align.data import (
    FormLayout,
    FormPair,
    FormText,
    GoldLinks,
    IndexedCorpus,
    NormalForms,
    SymbolVocabulary,
    describe_unknown,
    encode_forms,
    make_symbol_vocabularies,
    parse_forms,
    read_forms,
)
from pyro_align.data.demo.words import LAYOUT, demo_words, write_words
from pyro_align.data.encoded_forms import FormEncoder, links_of_symbols, unknown_symbols
from pyro_align.decoding import Linker, Translation, Translator
from pyro_align.errors import UserError
from pyro_align.evaluation import (
    Confusions,
    Evaluation,
    evaluate_forms,
    find_confusions,
    score_predictions,
)
from pyro_align.posterior import (
    AlignmentPosterior,
    WordAlignment,
    check_sides,
    merge_pieces,
    posterior_of_corpus,
)
from pyro_align.tasks.pairs import SequencePairs, ineffective_joint
from pyro_align.tasks.symbol_links import symbol_linker
from pyro_align.tasks.task import Echo

_WORDS = {"train": "train", "valid": "val", "test": "test"}


class FormPairs(NamedTuple):
    """Parallel lists of forms.

    Attributes:
        sources: source forms.
        targets: their target forms.
        gold: gold links between the symbols of each pair; None if there are none.
        tags: language and features of each pair.
    """

    sources: list[str]
    targets: list[str]
    gold: list[GoldLinks] | None
    tags: list[tuple[str, ...]]


class Transduction(SequencePairs):
    """Target forms given source forms, such as phonemes given a word.

    Features and language of a pair are symbols in front of the source form, to which a target
    symbol may be aligned.
    """

    configuration = "pyro_align.config.transduction:TransductionConfig"
    recipe = "words"
    unit = "pairs of forms"
    vocabulary_class = SymbolVocabulary
    vocabulary_suffix = ".symbols.json"

    config: TransductionConfig

    @classmethod
    def ineffective(
        cls, config: TransductionConfig, start: TransductionConfig | None
    ) -> Iterator[str]:
        """Yield a message for every setting of data or vocabulary without effect."""
        yield from ineffective_joint(config.vocabulary, start)
        if config.data.train is None and config.data.test is not None:
            yield (
                "data.test has no effect with the built-in words, which have their own test "
                "words: give --train and --valid too, or use `pyro-align evaluate` after the fit"
            )

    def prepare(self, echo: Echo) -> None:
        """Write the built-in words, if they are used, and the vocabularies."""
        if self.config.data.train is None:
            write_words(self.folder / "data")
        pairs = list(self.text("train"))
        source, target = make_symbol_vocabularies(self.config.vocabulary, pairs)
        self.save_vocabularies(source, target)
        self.find_candidates()
        echo(f"vocabulary: {len(source)} source and {len(target)} target symbols")
        sides = [pair.source for pair in pairs], [pair.target or "" for pair in pairs]
        for name, forms in zip(("source", "target"), sides, strict=True):
            if (mixture := NormalForms.of(forms).describe_mixture()) is not None:
                echo(f"note: {name} side: {mixture}")
        for name, part in (("training", pairs), ("validation", self.text("valid"))):
            if (unknown := self._unknown(part)) is not None:
                echo(f"note: {name} forms: {unknown}")

    def text(self, part: str) -> FormText:
        """Return the ``train``, ``valid`` or ``test`` forms; the latter is by default ``valid``.

        The built-in words are read from the run folder.
        """
        data = self.config.data
        if data.train is None:
            return demo_words(self.folder / "data", _WORDS[part])
        return FormText(getattr(data, part) or data.valid or [], self.layout, data.languages)

    def read(self, paths: Sequence[Path | str], languages: Sequence[str] | None = None) -> FormText:
        """Return the forms of files with the columns of the run.

        Args:
            paths: TSV files.
            languages: language of each file; None for the languages of the run.

        Raises:
            UserError: if the numbers of files and languages differ, or the run has no languages.
        """
        known = self.config.data.languages
        for language in languages or ():
            self._check_language(language)
        return FormText(paths, self.layout, known if languages is None else languages)

    def pairs(self, source: Path | BinaryIO, language: str | None = None) -> Iterator[FormPair]:
        """Stream the pairs of a file or an open stream with the columns of the run.

        Args:
            source: the file or stream.
            language: language of the forms, for a run with several languages.

        Raises:
            UserError: if a language is missing or not known.
            DataError: as for :func:`~pyro_align.data.read_forms`.
        """
        self._check_one_language(language)
        return read_forms(source, self.layout, language=language)

    @property
    def layout(self) -> FormLayout:
        """The columns of the files."""
        data = self.config.data
        return LAYOUT if data.train is None else data.layout

    def _check_language(self, language: str) -> None:
        known = self.config.data.languages or []
        if language not in known:
            listed = ", ".join(known) or "it was fitted without data.languages"
            raise UserError(f"language {language!r} is not one of this run: {listed}")

    def _check_one_language(self, language: str | None) -> None:
        known = self.config.data.languages
        if language is not None:
            self._check_language(language)
        elif known is not None:
            raise UserError(
                f"this run has several languages: choose one of {', '.join(known)} with --language "
                f"(in Python language=...)"
            )

    def _unknown(self, pairs: Iterable[FormPair]) -> str | None:
        return describe_unknown(unknown_symbols(pairs, self.vocabularies))

    def examples(self, part: str) -> IndexedCorpus:
        """Return the forms as ids."""
        return encode_forms(list(self.text(part)), self.vocabularies, self.config.data.max_length)

    def encoded(self, paths: Sequence[Path | str]) -> IndexedCorpus:
        """Return the forms of files as ids."""
        return encode_forms(list(self.read(paths)), self.vocabularies, self.max_length)

    def check_test(self) -> None:
        """Check the test forms."""
        pairs = list(self.text("test"))
        encode_forms(pairs, self.vocabularies, self.max_length)
        links_of_symbols(pairs, self.vocabularies)

    def test_pairs(
        self,
        most: int | None = None,
        *,
        text: Sequence[Path | str] | None = None,
        languages: Sequence[str] | None = None,
    ) -> FormPairs:
        """Return pairs of the test forms: sources, targets, gold links and tags.

        Args:
            most: maximum number of pairs, starting with the first; None for all.
            text: TSV files with the columns of the run; None for the run's test forms.
            languages: language of each file of ``text``; None for those of the run.

        Raises:
            DataError: for forms that cannot be read.
        """
        found = self.text("test") if text is None else self.read(text, languages)
        pairs = list(islice(found, most))
        return FormPairs(
            [pair.source for pair in pairs],
            [pair.target or "" for pair in pairs],
            links_of_symbols(pairs, self.vocabularies),
            [pair.tags for pair in pairs],
        )

    def evaluate(
        self,
        model: Any,
        guide: Any,
        text: FormText | None = None,
        *,
        translate: bool = True,
        beam: int = 5,
        max_length: int | None = None,
        device: torch.device | str = "cpu",
        progress: Callable[[int], None] = lambda done: None,
    ) -> Evaluation:
        """Evaluate likelihood, posterior, error rates and, with gold links, alignment.

        Args:
            model: the model, in evaluation mode, on ``device``.
            guide: the guide, likewise.
            text: pairs of forms; None for the run's test forms.
            translate: also predict the target forms, and compare them with the correct ones.
            beam: width of the beam search.
            max_length: maximum length of either side, in symbols; None for :attr:`max_length`.
            device: device to compute on.
            progress: called with the number of pairs evaluated so far.

        Raises:
            DataError: for invalid forms.
        """
        pairs = list(self.text("test") if text is None else text)
        longest = self.max_length if max_length is None else max_length
        result = evaluate_forms(
            model,
            guide,
            pairs,
            self.vocabularies,
            batch_tokens=self.config.training.batch_tokens,
            max_length=longest,
            device=device,
            progress=progress,
        )
        if (unknown := self._unknown(pairs)) is not None:
            result.notes.append(unknown)
        if translate:
            translator = self.translator(model, max_source=longest, beam=beam)
            result.predictions = [found.text for found in translator.translate(pairs)]
            result.forms = score_predictions(pairs, result.predictions, self.vocabularies[1])
        return result

    def confusions(
        self, model: Any, predictions: Sequence[str], text: FormText | None = None
    ) -> Confusions:
        """Count the edits of predictions, with the posterior of their alignments.

        Args:
            model: the model.
            predictions: a prediction for each pair, such as those of :meth:`evaluate`.
            text: pairs of forms; None for the run's test forms.
        """
        return find_confusions(
            model,
            list(self.text("test") if text is None else text),
            predictions,
            self.vocabularies,
            batch_tokens=self.config.training.batch_tokens,
            device=next(model.parameters()).device,
        )

    def posterior(
        self,
        model: Any,
        guide: Any,
        sources: Sequence[str],
        targets: Sequence[str],
        *,
        gold: Sequence[GoldLinks] | None = None,
        tags: Sequence[Sequence[str]] | None = None,
        title: str | None = None,
        batch_tokens: int | None = None,
    ) -> AlignmentPosterior:
        """Compute prior, guide and exact posterior of the alignment of pairs of forms.

        Args:
            model: the model.
            guide: the guide.
            sources: source forms.
            targets: their target forms.
            gold: links between the symbols of each pair, if any.
            tags: language and features of each pair, if any.
            title: title of the result; None for the names of model, guide and folder.
            batch_tokens: padded size of a batch; None for that of training.

        Raises:
            UserError: for invalid forms or links; the message names the pair.
        """
        if gold is not None and len(gold) != len(sources):
            raise UserError(f"gold links for {len(gold)} pairs, but there are {len(sources)}")
        check_sides(sources, targets)
        tags = [()] * len(sources) if tags is None else tags
        links = [None] * len(sources) if gold is None else gold
        rows = zip(sources, targets, tags, links, strict=True)
        pairs = [
            FormPair(source, target, tuple(own), links=each, line=number)
            for number, (source, target, own, each) in enumerate(rows, start=1)
        ]
        return self.posterior_of_pairs(model, guide, pairs, title=title, batch_tokens=batch_tokens)

    def posterior_of_pairs(
        self,
        model: Any,
        guide: Any,
        pairs: Sequence[FormPair],
        *,
        title: str | None = None,
        batch_tokens: int | None = None,
    ) -> AlignmentPosterior:
        """Compute prior, guide and exact posterior of the alignment of pairs with their links.

        Args:
            model: the model.
            guide: the guide.
            pairs: the pairs, each with a target.
            title: see :meth:`posterior`.
            batch_tokens: likewise.

        Raises:
            UserError: for invalid forms or links; the message names the pair.
        """
        source, target = self.vocabularies
        links = links_of_symbols(pairs, self.vocabularies)
        gold = None
        if links is not None:  # positions of the encoder, where tags stand in front
            gold = [
                GoldLinks(*(_shifted(each, len(pair.tags)) for each in (own.sure, own.possible)))
                for own, pair in zip(links, pairs, strict=True)
            ]
        return posterior_of_corpus(
            model,
            guide,
            encode_forms(pairs, self.vocabularies, self.max_length),
            [source.labels(pair.source, pair.tags) for pair in pairs],
            [target.labels(pair.target or "") for pair in pairs],
            gold=gold,
            batch_tokens=batch_tokens or self.config.training.batch_tokens,
            device=next(model.parameters()).device,
            title=self.title() if title is None else title,
        )

    def link_tables(
        self, model: Any, guide: Any, pairs: Sequence[FormPair], origin: str | None = None
    ) -> Iterator[WordAlignment]:
        """Yield the link probabilities between the symbols of each pair, without tags and ``EOS``.

        Args:
            model: the model.
            guide: the guide.
            pairs: the pairs, each with a target.
            origin: ``posterior``, ``guide`` or ``prior``; None for the first that the run has.

        Raises:
            UserError: for invalid forms, or if the run has no such distribution.
        """
        found = self.posterior_of_pairs(model, guide, pairs)
        for pair, one in zip(pairs, found, strict=True):
            matrix = torch.as_tensor(one.matrix(one.kinds[-1] if origin is None else origin))
            target, source = (side - 1 for side in matrix.shape)
            source -= len(pair.tags)
            # Tags and EOS are no symbols, and a link to them is none.
            index = [*(-1 for _ in pair.tags), *range(source), -1]
            yield merge_pieces(matrix, [*range(target), -1], index, target, source)

    def linker(self, model: Any, guide: Any) -> Linker:
        """Return a function that links the symbols of forms and their predictions."""
        return symbol_linker(self, model, guide)

    def translated(
        self, *args: Any, language: str | None = None, tags: bool = False
    ) -> Iterator[Translation]:
        """Predict the target of each line with a translator.

        Raises:
            UserError: as for :meth:`inputs`, or if ``tags``.
        """
        if tags:
            raise UserError("words have no tags (--tags, tags=True): remove the option")
        return super().translated(*args, language=language)

    def new_encoder(self) -> FormEncoder:
        """Return an encoder of pairs of forms, which counts unknown symbols."""
        return FormEncoder(self.vocabularies[0])

    def inputs(
        self, lines: Iterable[str], path: Path | None = None, language: str | None = None
    ) -> Iterator[FormPair]:
        """Parse lines of source forms, with features if the run has them.

        Args:
            lines: lines with the columns of the run, or those without the target.
            path: their file, for error messages; None for a stream.
            language: language of the forms, for a run with several languages.

        Raises:
            UserError: if a language is missing or not known.
            DataError: if a line is not valid; the message names file and line.
        """
        self._check_one_language(language)
        return parse_forms(lines, self.layout, language=language, needs_target=False, path=path)

    def gold_of(self, path: Path | None, form: str, pairs: int, *, own: bool) -> None:
        """Return None: links are a column of the text.

        Raises:
            UserError: if a file of links is given.
        """
        reject_gold(path)

    def unknown_note(self, translator: Translator[Any]) -> str | None:
        """Return a remark on unknown symbols that a translator has read; None if there are none."""
        source = translator.source_vocabulary
        assert isinstance(source, FormEncoder)
        note = describe_unknown(source.unknown)
        if note is None or not translator.copied:
            return note
        return f"{note}; {translator.copied} copied to the predictions"

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
        """Compute the posteriors of all pairs of forms, whose symbols are not merged.

        Raises:
            UserError: if a file of gold links is given, or for invalid files.
        """
        reject_gold(gold)
        return self.posterior_of_pairs(model, guide, list(self.read(paths, languages)))

    def next_steps(self) -> list[str]:
        """Return commands that predict, inspect and diagnose."""
        name, text = shlex.quote(str(self.folder)), self.text("test")
        paths = shlex.join(map(str, text.paths))
        return [
            f"pyro-align predict {name} {paths}",
            f"pyro-align evaluate {name} --edits 20",
            f"pyro-align inspect {name} {paths} --out {name}.html",
        ]


def reject_gold(gold: Path | None) -> None:
    """Raise an error if a file of gold links is given.

    Raises:
        UserError: if there is one.
    """
    if gold is not None:
        raise UserError(
            f"{gold}: gold links of forms are read from the column links of their file: add the "
            f"links there, without --gold"
        )


def _shifted(links: Iterable[tuple[int, int]], first: int) -> frozenset[tuple[int, int]]:
    return frozenset((source + first, target) for source, target in links)
