"""`SymbolVocabulary`: forms as sequences of characters or phonemes, with tags for features."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal, final

from pydantic import BaseModel, ConfigDict, ValidationError

from pyro_align.data.batch import BOS, EOS, PAD, UNK
from pyro_align.data.normal_forms import NormalForm
from pyro_align.data.splitting import Splitting, Unit
from pyro_align.errors import DataError, reject_string
from pyro_align.files import atomic_write

_SPECIAL = {PAD: "<pad>", UNK: "<unk>", BOS: "<s>", EOS: "</s>"}


@final
class SymbolVocabulary:
    """A vocabulary of symbols, and of tags that are distinct from all symbols.

    Ids are ``PAD, UNK, BOS, EOS = 0, 1, 2, 3``, followed by the tags and the symbols, each in
    alphabetical order. A form is encoded as its tags, its symbols and ``EOS``.

    Args:
        symbols: the symbols.
        splitting: how a form is split into symbols.
        tags: names of features or languages.

    Raises:
        ValueError: if a symbol or tag is empty or repeated.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        splitting: Splitting,
        tags: Sequence[str] = (),
    ):
        self.splitting = splitting
        self.tags = tuple(tags)
        self._symbols = tuple(symbols)
        for kind, names in (("symbol", self._symbols), ("tag", self.tags)):
            if "" in names or len(set(names)) < len(names):
                raise ValueError(f"a {kind} is empty or repeated")
        first = len(_SPECIAL)
        self._tag_ids = {tag: number for number, tag in enumerate(self.tags, first)}
        first += len(self.tags)
        self._ids = {symbol: number for number, symbol in enumerate(self._symbols, first)}
        self._first_symbol = first
        self._pieces = [*_SPECIAL.values(), *map(_tag_label, self.tags), *self._symbols]

    @classmethod
    def build(
        cls,
        forms: Iterable[str],
        tags: Iterable[str] = (),
        *,
        unit: Unit = "graphemes",
        separated: bool | None = None,
    ) -> SymbolVocabulary:
        """Make the vocabulary of all symbols and tags of a text.

        Args:
            forms: the forms of a column, or of both columns for a shared vocabulary.
            tags: the tags of the text.
            unit: what a symbol is.
            separated: whether the symbols of a form are separated by spaces; None to find out, see
                :func:`~pyro_align.data.splitting.are_separated`.

        Raises:
            DataError: if there are no forms.
        """
        reject_string("forms", forms)
        reject_string("tags", tags)
        distinct = list(dict.fromkeys(forms))
        if not distinct:
            raise DataError("there are no forms to make a vocabulary of")
        splitting = Splitting.of(distinct, unit, separated)
        symbols = set(chain.from_iterable(map(splitting.split, distinct)))
        return cls(sorted(symbols), splitting, sorted(set(tags)))

    def __len__(self) -> int:
        return len(self._pieces)

    def split(self, form: str) -> list[str]:
        """Split a form into symbols, which need not be in the vocabulary."""
        return self.splitting.split(form)

    def encode(self, form: str, tags: Iterable[str] = (), add_eos: bool = True) -> list[int]:
        """Encode tags and form as ids, by default ending in :data:`EOS`."""
        ids = [self._tag_ids.get(tag, UNK) for tag in tags]
        ids += [self._ids.get(symbol, UNK) for symbol in self.split(form)]
        return [*ids, EOS] if add_eos else ids

    def encode_all(
        self,
        forms: Sequence[str],
        tags: Sequence[Sequence[str]] | None = None,
        add_eos: bool = True,
    ) -> list[list[int]]:
        """Encode many forms, each with its tags.

        Raises:
            ValueError: if the numbers of forms and lists of tags differ.
        """
        reject_string("forms", forms)
        each = [()] * len(forms) if tags is None else tags
        return [self.encode(form, own, add_eos) for form, own in zip(forms, each, strict=True)]

    def decode(self, ids: Iterable[int], unknown: Iterable[str] = ()) -> str:
        """Decode ids to a form, without tags, padding, ``BOS`` and ``EOS``.

        Args:
            ids: the ids.
            unknown: what the unknown symbols stand for, in order; ``⁇`` for any further ones.
        """
        kept = (int(number) for number in ids)
        texts = chain(unknown, repeat("⁇"))
        return self.splitting.join(
            next(texts) if number == UNK else self._pieces[number]
            for number in kept
            if number == UNK or number >= self._first_symbol
        )

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """Return the symbol of each id; ``[V]`` for the tag ``V``, ``</s>`` for :data:`EOS`."""
        return [self._pieces[int(number)] for number in ids]

    def labels(self, form: str, tags: Iterable[str] = ()) -> list[str]:
        """Return a label for each id of :meth:`encode`: as :meth:`pieces`, but for unknown symbols
        the symbols themselves."""
        return [*map(_tag_label, tags), *self.split(form), _SPECIAL[EOS]]

    def unknown(self, form: str, tags: Iterable[str] = ()) -> list[str]:
        """Return labels of the symbols and tags that are not in the vocabulary."""
        unknown_tags = [_tag_label(tag) for tag in tags if tag not in self._tag_ids]
        return unknown_tags + [symbol for symbol in self.split(form) if symbol not in self._ids]

    def is_unknown(self, ids: Iterable[int]) -> bool:
        """Whether all symbols of an encoded form are unknown."""
        return all(number < self._first_symbol for number in ids)

    def fingerprint(self) -> str:
        """SHA-256 of the saved vocabulary."""
        return hashlib.sha256(_to_json(self._content()).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the vocabulary as JSON with one symbol per line.

        Raises:
            OutputError: if the file cannot be written.
        """
        with atomic_write(path, "t") as file:
            file.write(_to_json(self._content() | {"sha256": self.fingerprint()}))

    @classmethod
    def load(cls, path: Path) -> SymbolVocabulary:
        """Read a vocabulary written by :meth:`save`.

        Raises:
            DataError: if the file is missing, damaged, or was changed after it was saved.
        """
        try:
            content = _File.model_validate_json(path.read_bytes())
        except OSError as error:
            raise DataError(f"cannot read the vocabulary: {error.strerror}", path) from error
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(
                "not a vocabulary of symbols, or truncated "
                f"({f'{place}: ' if place else ''}{first['msg']}); copy it again",
                path,
            ) from None
        splitting = Splitting(content.unit, content.separated, content.normal_form)
        try:
            vocabulary = cls(content.symbols, splitting, content.tags)
        except ValueError as error:
            raise DataError(f"damaged: {error}; copy it again", path) from None
        if vocabulary.fingerprint() != content.sha256:
            raise DataError(
                "was changed after it was saved, so that ids would have other meanings; copy it "
                "again",
                path,
            )
        return vocabulary

    def _content(self) -> dict[str, Any]:
        return {
            "format": "pyro-align symbols 1",
            **asdict(self.splitting),
            "tags": self.tags,
            "symbols": self._symbols,
        }


class _File(BaseModel):
    """The content of a saved vocabulary."""

    model_config = ConfigDict(strict=True, extra="forbid")

    format: Literal["pyro-align symbols 1"]
    unit: Unit
    separated: bool
    normal_form: NormalForm
    tags: list[str]
    symbols: list[str]
    sha256: str


def describe_unknown(counts: Counter[str], shown: int = 10) -> str | None:
    """Describe unknown symbols in one sentence; None if there are none.

    Args:
        counts: how often each occurred, counted over :meth:`SymbolVocabulary.unknown`.
        shown: maximum number of symbols to list, the most frequent first.
    """
    if not counts:
        return None
    listed = ", ".join(f"{symbol!r} ({count})" for symbol, count in counts.most_common(shown))
    more = ", …" if len(counts) > shown else ""
    return (
        f"{len(counts)} symbol{'s' * (len(counts) > 1)} not in the vocabulary, "
        f"{counts.total()} in total, read as <unk>: {listed}{more}"
    )


def _tag_label(tag: str) -> str:
    return f"[{tag}]"


def _to_json(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"
