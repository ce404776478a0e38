"""Translation: parallel text, subword vocabularies, an encoder-decoder network."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from pyro_align.config.translation import TranslationConfig
from pyro_align.data import (
    Examples,
    GoldLinks,
    IndexedCorpus,
    Link,
    LinkedCorpus,
    LinkFile,
    ParallelText,
    ResegmentedCorpus,
    Vocabulary,
    index_text,
    links_of_pieces,
    make_vocabularies,
    read_lines,
    split_words,
)
from pyro_align.data.batch import TextBatch
from pyro_align.data.demo import demo_text, write_demo
from pyro_align.data.lines import check_rereadable
from pyro_align.decoding import Linker, WordLinks, members_of
from pyro_align.errors import UserError
from pyro_align.evaluation import (
    Evaluation,
    SentencePairs,
    check_text,
    evaluate_positions,
    links_of_text,
    translation_scores,
)
from pyro_align.posterior import AlignmentPosterior, posterior_of_text
from pyro_align.tasks.pairs import SequencePairs, ineffective_joint
from pyro_align.tasks.task import Echo
from pyro_align.word_alignment import Aligner, MeanTables, Pair, WordTables

DRAWS = 100
"""Default number of importance samples per pair, if the model has a latent variable of the
sentence."""

_DEMO_PARTS = {"train": "train", "valid": "val", "test": "test"}


class Translation(SequencePairs):
    """Target sentences given source sentences."""

    configuration = "pyro_align.config.translation:TranslationConfig"
    recipe = "demo"
    unit = "sentence pairs"
    vocabulary_class = Vocabulary
    vocabulary_suffix = ".model"

    config: TranslationConfig

    @classmethod
    def ineffective(
        cls, config: TranslationConfig, start: TranslationConfig | None
    ) -> Iterator[str]:
        """Yield a message for every setting of data, vocabulary or network without effect."""
        yield from ineffective_joint(config.vocabulary, start)
        data = config.data
        if data.train is None:
            if data.links is not None:
                yield (
                    "data.links has no effect with the built-in corpus: give the text that the "
                    "links belong to with --train and --valid"
                )
            for name in ("test", "gold"):
                if getattr(data, name) is not None:
                    yield (
                        f"data.{name} has no effect with the built-in corpus, which has its own "
                        f"test text and links: give --train and --valid too, or remove the setting "
                        f"and use `pyro-align evaluate` after the fit"
                    )
        if config.training.freeze_model and start is not None:
            rate = config.network.word_dropout
            if rate not in (0, start.network.word_dropout):
                yield (
                    "network.word_dropout has no effect on a frozen model, whose decoder reads "
                    "every word: remove the setting, or train the model too"
                )

    @classmethod
    def derived(
        cls, config: TranslationConfig, old: TranslationConfig, changes: Mapping[str, Any]
    ) -> TranslationConfig:
        """Remove links that belong to the text of the previous run."""
        data = config.data
        same_text = {
            "gold": (data.test or data.valid) == (old.data.test or old.data.valid),
            "links": data.train == old.data.train,
        }
        removed = {
            name: None
            for name, same in same_text.items()
            if not same and f"data.{name}" not in changes
        }
        return config.model_copy(update={"data": data.model_copy(update=removed)})

    def prepare(self, echo: Echo) -> None:
        """Write the built-in corpus, if it is used, and the vocabularies."""
        if self.config.data.train is None:
            write_demo(self.folder / "data")
        source, target = make_vocabularies(self.config.vocabulary, self.text("train"))
        echo(f"vocabulary: {len(source)} source and {len(target)} target pieces")
        self.save_vocabularies(source, target)
        self.find_candidates()

    def text(self, part: str) -> ParallelText:
        """Return the ``train``, ``valid`` or ``test`` text; the latter is by default ``valid``.

        The built-in corpus is read from the run folder.
        """
        data = self.config.data
        if data.train is None:
            return demo_text(self.folder / "data", _DEMO_PARTS[part])
        return ParallelText.open(getattr(data, part) or data.valid or [])

    def read(
        self, paths: Sequence[Path | str], languages: Sequence[str] | None = None
    ) -> ParallelText:
        """Return a parallel text, see :meth:`ParallelText.open`."""
        if languages is not None:
            raise UserError("a run of the task 'translation' has no setting for languages")
        return ParallelText.open(paths)

    @property
    def gold(self) -> Path | None:
        """File of the gold links of the test text, if any."""
        data = self.config.data
        return self.folder / "data" / "test.links" if data.train is None else data.gold

    @classmethod
    def trial_batch(cls, config: TranslationConfig) -> TextBatch:
        """Return two pairs, with a link of each target position if there is a file of links."""
        batch = super().trial_batch(config)
        if config.data.links is None:
            return batch
        links = torch.zeros(*batch.target.shape, batch.source.shape[1], dtype=torch.bool)
        links[..., 0] = True
        return replace(batch, links=links)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return facts about the texts; the digest of the training text is also of its links."""
        found, links = super().facts(), self.config.data.links
        if links is not None:
            check_rereadable(links)
            digest = hashlib.sha256(found["train"]["sha256"].encode())
            for line in read_lines(links):
                digest.update(f"{line}\n".encode())
            found["train"] |= {"sha256": digest.hexdigest(), "links": links.name}
        return found

    def files(self, part: str) -> list[Path]:
        """Return the files of a text and of its links."""
        links = self.config.data.links
        return [*super().files(part), *([links] if links and part == "train" else [])]

    def examples(self, part: str) -> Examples:
        """Return the text as ids, from the cache or newly indexed.

        For training, it has its links, or other pieces each time it is read.
        """
        text, links = self.text(part), self.config.data.links
        corpus = index_text(text, self.vocabularies, self.config.data)
        if part != "train":
            return corpus
        if (rate := self.config.vocabulary.dropout) > 0:
            return ResegmentedCorpus(corpus, self.vocabularies, rate)
        if links is None:
            return corpus
        return LinkedCorpus(corpus, self._token_links(text, links, set(corpus.lines.tolist())))

    def _token_links(
        self, text: ParallelText, path: Path, lines: set[int]
    ) -> Iterator[frozenset[Link]]:
        """Yield the links between the tokens of each pair of ``text`` in one of ``lines``."""
        source, target = self.vocabularies
        pairs = list(text)
        found = links_of_text(pairs, text, LinkFile(path, sentences=len(pairs)))
        assert found is not None
        for pair, links in zip(pairs, found, strict=True):
            if pair.line in lines:
                index = source.words(pair.source)[1], target.words(pair.target)[1]
                yield links_of_pieces(links.possible, *index)

    def encoded(self, paths: Sequence[Path | str]) -> IndexedCorpus:
        """Return the text of files as ids."""
        return check_text(self.read(paths), self.vocabularies, None, self.max_length)[2]

    def check_test(self) -> None:
        """Check the test text and its gold links."""
        text = self.text("test")
        if self.gold is not None:
            check_rereadable(self.gold)  # read again when the fit is evaluated
        check_text(text, self.vocabularies, self._links(text), self.max_length)

    def _links(self, text: ParallelText) -> LinkFile | None:
        return None if self.gold is None else LinkFile(self.gold, sentences=text.count())

    def gold_of(self, path: Path | None, form: str, pairs: int, *, own: bool) -> LinkFile | None:
        """Return the links of a file; None for those of the text itself, if any."""
        path = self.gold if path is None and own else path
        return None if path is None else LinkFile(path, form, pairs, option="--gold-format")

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
            text: text files, see :meth:`ParallelText.open`; None for the run's test text.
            gold: file of gold links; None for those of the text, if any.

        Raises:
            DataError: for text or links that cannot be read.
        """
        if text is not None:
            found, links = ParallelText.open(text), None
        else:
            found, links = self.text("test"), self.gold
        return SentencePairs.read(found, links if gold is None else Path(gold), most)

    def evaluate(
        self,
        model: Any,
        guide: Any,
        text: ParallelText | None = None,
        gold: Iterable[GoldLinks] | None = None,
        *,
        translate: bool = True,
        beam: int = 5,
        max_length: int | None = None,
        draws: int = DRAWS,
        device: torch.device | str = "cpu",
        progress: Callable[[int], None] = lambda done: None,
    ) -> Evaluation:
        """Evaluate likelihood, posterior, translation and, with gold links, alignment.

        Args:
            model: the model, in evaluation mode, on ``device``.
            guide: the guide, likewise.
            text: sentence pairs; None for the run's test text with its gold links.
            gold: links of each pair; None for those of the text, if any.
            translate: also translate the source side and score it against the target side.
            beam: width of the beam search.
            max_length: maximum length of either side, in tokens; None for :attr:`max_length`.
            draws: importance samples per pair, if the model has a latent variable of the sentence.
            device: device to compute on.
            progress: called with the number of pairs evaluated so far.

        Raises:
            DataError: for invalid text or links.
        """
        if text is None:
            text = self.text("test")
            gold = self._links(text) if gold is None else gold
        longest = self.max_length if max_length is None else max_length
        result = evaluate_positions(
            model,
            guide,
            text,
            self.vocabularies,
            gold=gold,
            batch_tokens=self.config.training.batch_tokens,
            max_length=longest,
            device=device,
            progress=progress,
            draws=draws,
        )
        if translate:
            pairs = list(text)
            translator = self.translator(model, max_source=longest, beam=beam)
            found = translator.translate((pair.source for pair in pairs), text.source_path)
            hypotheses = [translation.text for translation in found]
            result.translation = translation_scores(hypotheses, [pair.target for pair in pairs])
        return result

    def linker(self, model: Any, guide: Any) -> Linker:
        """Return a function that links the words of sentences and their translations.

        Words are those of :func:`~pyro_align.data.split_words`.
        """
        device = next(model.parameters()).device
        members = members_of(model, guide)
        tables = [WordTables(*each, self.vocabularies, device=device) for each in members]
        aligner = Aligner(
            MeanTables(tables), batch_tokens=self.config.training.batch_tokens, max_length=None
        )

        def link(pairs: Sequence[tuple[str, str]]) -> list[WordLinks]:
            numbered = (Pair(*pair, line) for line, pair in enumerate(pairs, start=1))
            return [
                WordLinks(
                    tuple(split_words(found.pair.source)),
                    tuple(split_words(found.pair.target)),
                    found.links,
                )
                for found in aligner.align(numbered)
            ]

        return link

    def posterior(
        self,
        model: Any,
        guide: Any,
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
            model: the model.
            guide: the guide.
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
            model,
            guide,
            self.vocabularies,
            sources,
            targets,
            gold=gold,
            batch_tokens=batch_tokens or self.config.training.batch_tokens,
            max_length=self.max_length,
            device=next(model.parameters()).device,
            title=self.title() if title is None else title,
        )
        return found.words() if words else found

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
        """Compute the posteriors of all pairs of a text, by words unless ``pieces``."""
        text = self.read(paths, languages)
        links = None if gold is None else LinkFile(gold, sentences=text.count())
        pairs, checked, _ = check_text(text, self.vocabularies, links, self.max_length)
        return self.posterior(
            model,
            guide,
            [pair.source for pair in pairs],
            [pair.target for pair in pairs],
            gold=checked,
            words=not pieces,
        )

    def next_steps(self) -> list[str]:
        """Return commands that predict, inspect and diagnose."""
        name, text = shlex.quote(str(self.folder)), self.text("test")
        links = f" --gold {shlex.quote(str(self.gold))}" if self.gold else ""
        return [
            f"pyro-align predict {name} {shlex.quote(str(text.source_path))}",
            f"pyro-align inspect {name} {shlex.join(map(str, text.paths))}{links} "
            f"--out {name}.html",
            f"pyro-align diagnose {name}",
        ]
