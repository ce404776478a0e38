"""Reading and validating text for evaluation."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from pyro_align.data import (
    GoldLinks,
    IndexedCorpus,
    LinkFile,
    ParallelText,
    SentencePair,
    Vocabulary,
    check_links,
    split_words,
)
from pyro_align.data.links import SEEMS_FROM_ONE
from pyro_align.errors import DataError

MAX_LENGTH = 1000
"""Default maximum length of either side of a pair, in tokens."""


class SentencePairs(NamedTuple):
    """Parallel lists of sentences.

    Attributes:
        sources: source sentences.
        targets: their translations.
        gold: gold links between the words of each pair; None if there are none.
    """

    sources: list[str]
    targets: list[str]
    gold: list[GoldLinks] | None

    @classmethod
    def read(cls, text: ParallelText, gold: Path | None, most: int | None = None) -> SentencePairs:
        """Read the first pairs of a text, with gold links.

        Args:
            text: the sentence pairs.
            gold: file of gold links; None to use those of the text itself, if any.
            most: maximum number of pairs; None for all.

        Raises:
            DataError: if text or links are invalid.
        """
        pairs = list(islice(text, most))
        links = None
        if gold is not None:
            # Read all, because only then it is known whether positions count from 0 or 1.
            links = list(LinkFile(gold, sentences=text.count()))[:most]
        checked = links_of_text(pairs, text, links)
        return cls([p.source for p in pairs], [p.target for p in pairs], checked)


def check_text(
    text: ParallelText,
    vocabularies: tuple[Vocabulary, Vocabulary],
    gold: Iterable[GoldLinks] | None,
    max_length: int,
) -> tuple[list[SentencePair], list[GoldLinks] | None, IndexedCorpus]:
    """Return pairs, gold links and token ids of a text; arguments as :func:`evaluate_positions`.

    Raises:
        DataError: if text or gold links are invalid.
    """
    pairs = list(text)
    return pairs, links_of_text(pairs, text, gold), _encoded(pairs, text, vocabularies, max_length)


def links_of_text(
    pairs: list[SentencePair], text: ParallelText, gold: Iterable[GoldLinks] | None
) -> list[GoldLinks] | None:
    """Return validated links of each pair; those of the text itself, if any, if none are given.

    Args:
        pairs: sentence pairs of a text.
        text: the text.
        gold: links between the words of each pair.

    Raises:
        DataError: if the number of links differs from that of pairs, or a link is out of range.
    """
    if gold is None:
        return _own_links(pairs, text)
    path = gold.path if isinstance(gold, LinkFile) else Path("gold links")
    links = list(gold)
    if len(links) != len(pairs):
        raise DataError(
            f"{len(links)} lines of links for {len(pairs)} sentence pairs: there must be one "
            f"line per pair",
            path,
        )
    remedy = "positions count from 0, source first"
    if isinstance(gold, LinkFile) and gold.form == "pharaoh":
        remedy += f"; if they count from 1, {gold.read_as('talp')}"
    for pair, one in zip(pairs, links, strict=True):
        lengths = len(split_words(pair.source)), len(split_words(pair.target))
        check_links(one.possible, *lengths, path, pair.line, remedy)
    return links


def _own_links(pairs: list[SentencePair], text: ParallelText) -> list[GoldLinks] | None:
    links = [pair.links for pair in pairs]
    given = [GoldLinks(one, one) for one in links if one is not None]
    if not given:
        return None
    if len(given) < len(pairs):
        raise DataError(
            f"no links, but {len(given)} of {len(pairs)} pairs have links: give links for every "
            "pair (an empty third column, or an empty list, if it has none) or for no pair",
            text.source_path,
            pairs[links.index(None)].line,
        )
    positions = [link for one in given for link in one.possible]
    if positions and not any(0 in link for link in positions):
        raise DataError(
            f"{SEEMS_FROM_ONE}, but links of .tsv and .jsonl text count from 0: subtract 1; if "
            "they do count from 0, give them as gold links in a file that ends in .pharaoh",
            text.source_path,
        )
    return given


def _encoded(
    pairs: list[SentencePair],
    text: ParallelText,
    vocabularies: tuple[Vocabulary, Vocabulary],
    max_length: int,
) -> IndexedCorpus:
    sources = vocabularies[0].encode_all([pair.source for pair in pairs])
    targets = vocabularies[1].encode_all([pair.target for pair in pairs])
    for pair, source, target in zip(pairs, sources, targets, strict=True):
        if max(len(source), len(target)) > max_length:
            raise DataError(
                f"a sentence of {max(len(source), len(target))} tokens, but at most {max_length} "
                f"can be evaluated: split it, or raise --max-length (data.max_length for a fit)",
                text.source_path if len(source) > max_length else text.target_path,
                pair.line,
            )
    return IndexedCorpus.from_ids(sources, targets)
