"""Pairs of forms as ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pyro_align.data.forms import FormPair
from pyro_align.data.index import IndexedCorpus
from pyro_align.data.links import GoldLinks, check_links
from pyro_align.data.symbols import SymbolVocabulary
from pyro_align.errors import DataError

SymbolVocabularies = tuple[SymbolVocabulary, SymbolVocabulary]
"""Source and target vocabulary."""


@dataclass(frozen=True)
class FormEncoder:
    """Encodes the source side of pairs: tags, symbols and ``EOS``.

    Attributes:
        vocabulary: the source vocabulary.
        unknown: how often each symbol or tag occurred that is not in the vocabulary.
    """

    vocabulary: SymbolVocabulary
    unknown: Counter[str] = field(default_factory=Counter)

    def encode_all(self, pairs: Sequence[FormPair]) -> list[list[int]]:
        """Return the ids of each source, and count unknown symbols."""
        for pair in pairs:
            self.unknown.update(self.vocabulary.unknown(pair.source, pair.tags))
        return [self.vocabulary.encode(pair.source, pair.tags) for pair in pairs]

    def symbols(self, pair: FormPair) -> list[str | None]:
        """Return the symbol of each id; None for tags and ``EOS``."""
        return [*(None for _ in pair.tags), *self.vocabulary.split(pair.source), None]

    def is_unknown(self, ids: Iterable[int]) -> bool:
        """Whether all symbols are unknown."""
        return self.vocabulary.is_unknown(ids)


def encode_forms(
    pairs: Sequence[FormPair], vocabularies: SymbolVocabularies, max_length: int | None = None
) -> IndexedCorpus:
    """Encode pairs of forms; tags stand in front of the source symbols.

    Args:
        pairs: the pairs, each with a target.
        vocabularies: of source and target.
        max_length: maximum length of a side in symbols, including ``EOS``; None for
            no limit.

    Raises:
        DataError: if a form is too long; the message names file and line.
    """
    sources = FormEncoder(vocabularies[0]).encode_all(pairs)
    targets = vocabularies[1].encode_all([pair.target or "" for pair in pairs])
    for pair, source, target in zip(pairs, sources, targets, strict=True):
        for side, ids in (("source", source), ("target", target)):
            if max_length is not None and len(ids) > max_length:
                raise DataError(
                    f"the {side} form has {len(ids)} symbols, more than max_length = {max_length}: "
                    "remove the line, or increase max_length",
                    pair.path,
                    pair.line,
                )
    return IndexedCorpus.from_ids(sources, targets)


def links_of_symbols(
    pairs: Sequence[FormPair], vocabularies: SymbolVocabularies
) -> list[GoldLinks] | None:
    """Return the gold links of each pair; None if a pair has none.

    Source positions count the symbols, without tags.

    Raises:
        DataError: if a link is out of range; the message names file and line.
    """
    found = []
    for pair in pairs:
        if pair.links is None or pair.target is None:
            return None
        lengths = (
            len(vocabularies[0].split(pair.source)),
            len(vocabularies[1].split(pair.target)),
        )
        check_links(pair.links.possible, *lengths, pair.path, pair.line)
        found.append(pair.links)
    return found


def unknown_symbols(pairs: Iterable[FormPair], vocabularies: SymbolVocabularies) -> Counter[str]:
    """Count the symbols and tags that are not in the vocabularies."""
    counts: Counter[str] = Counter()
    for pair in pairs:
        counts.update(vocabularies[0].unknown(pair.source, pair.tags))
        if pair.target is not None:
            counts.update(vocabularies[1].unknown(pair.target))
    return counts
