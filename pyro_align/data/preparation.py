"""Prepare text for training: vocabularies and an index on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain

from pyro_align.data.forms import FormPair
from pyro_align.data.index import IndexedCorpus
from pyro_align.data.settings import DataConfig, SymbolsConfig, VocabularyConfig
from pyro_align.data.symbols import SymbolVocabulary
from pyro_align.data.text import ParallelText
from pyro_align.data.vocabulary import Vocabulary, VocabularySizeError
from pyro_align.files import cache_folder


def make_vocabularies(
    config: VocabularyConfig, text: ParallelText
) -> tuple[Vocabulary, Vocabulary]:
    """Load source and target vocabulary if given, otherwise train them on the training text.

    Raises:
        VocabularySizeError: if ``vocabulary.size`` is too small; the message gives a size that is
            large enough for both sides.
        DataError: if the text or a given vocabulary is not valid.
    """
    if config.source is not None and config.target is not None:
        return Vocabulary.load(config.source), Vocabulary.load(config.target)
    if config.joint:
        both = chain.from_iterable((pair.source, pair.target) for pair in text)
        (vocabulary,) = _trained(config, {"text": both})
        return vocabulary, vocabulary
    source, target = _trained(
        config,
        {
            "source text": (pair.source for pair in text),
            "target text": (pair.target for pair in text),
        },
    )
    return source, target


def make_symbol_vocabularies(
    config: SymbolsConfig, pairs: Sequence[FormPair]
) -> tuple[SymbolVocabulary, SymbolVocabulary]:
    """Load source and target vocabulary if given, otherwise make them of the training forms.

    Raises:
        DataError: if there are no forms, or a given vocabulary is not valid.
    """
    if config.source is not None and config.target is not None:
        return SymbolVocabulary.load(config.source), SymbolVocabulary.load(config.target)
    sources, targets = [pair.source for pair in pairs], [pair.target or "" for pair in pairs]
    tags = list(chain.from_iterable(pair.tags for pair in pairs))
    of_source, of_target = (
        None if value == "auto" else value
        for value in (config.source_separated, config.target_separated)
    )
    if config.joint:
        joint = SymbolVocabulary.build(
            chain(sources, targets), tags, unit=config.unit, separated=of_source
        )
        return joint, joint
    return (
        SymbolVocabulary.build(sources, tags, unit=config.unit, separated=of_source),
        SymbolVocabulary.build(targets, unit=config.unit, separated=of_target),
    )


def _trained(config: VocabularyConfig, texts: Mapping[str, Iterable[str]]) -> list[Vocabulary]:
    """Train a vocabulary on each text; an error gives a size that is large enough for all."""
    vocabularies, errors = [], {}
    for name, sentences in texts.items():
        try:
            vocabularies.append(Vocabulary.train(sentences, config.size, config.kind))
        except VocabularySizeError as error:
            errors[name] = error.least
    if errors:
        name = max(errors, key=errors.__getitem__)
        raise VocabularySizeError(config.size, errors[name], name, "vocabulary.size")
    return vocabularies


def index_text(
    text: ParallelText,
    vocabularies: tuple[Vocabulary, Vocabulary],
    config: DataConfig,
    progress: Callable[[int], None] | None = None,
) -> IndexedCorpus:
    """Return the text as ids on disk, from the cache or newly indexed.

    Raises:
        DataError: for invalid text; the message names file and line.
    """
    return IndexedCorpus.ensure(
        text,
        *vocabularies,
        cache_folder(),
        max_length=config.max_length,
        skip_long=config.skip_long,
        progress=progress,
    )
