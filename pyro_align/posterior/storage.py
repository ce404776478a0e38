"""Files of alignment posteriors: arrays and JSON in one zip archive, without pickle."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyro_align.data.links import GoldLinks, format_links, parse_links
from pyro_align.errors import UserError
from pyro_align.files import atomic_write
from pyro_align.posterior.sentence import SUMS, SentencePosterior, Units, Words

FORMAT = 2
"""Version of the file format; files of newer versions are rejected."""

MATRICES = ("prior", "guide", "posterior", "concentration_prior", "concentration_guide")
"""Fields of shape ``[target, source]``."""

POSITIONS = (*SUMS, "prior_entropy", "posterior_entropy")
"""Fields of shape ``[target]``."""

_JSON = "json"
_UNITS: dict[str, Units] = {"pieces": "pieces", "words": "words"}


def write(path: Path, sentences: Iterable[SentencePosterior], title: str, units: str) -> None:
    """Write sentences to a file.

    Raises:
        OutputError: if the file cannot be written; an existing file is unchanged.
    """
    write_archive(path, *packed(sentences, title, units))


def packed(
    sentences: Iterable[SentencePosterior], title: str, units: str
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what is written of sentences: facts for JSON, and arrays."""
    kept = list(sentences)
    facts = {
        "format": FORMAT,
        "title": title,
        "units": units,
        "sentences": [_facts(sentence) for sentence in kept],
    }
    # One array per field, because a file with thousands of arrays takes seconds to read.
    arrays = {
        name: np.concatenate([np.ravel(value) for value in values])
        for name in (*MATRICES, *POSITIONS)
        if (values := [v for sentence in kept if (v := getattr(sentence, name)) is not None])
    }
    return facts, arrays


def write_archive(path: Path, facts: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    """Write facts and arrays to one file.

    Raises:
        OutputError: if the file cannot be written; an existing file is unchanged.
    """
    text = np.frombuffer(json.dumps(facts, ensure_ascii=False).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{_JSON: text}, **arrays)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def read(path: Path) -> tuple[list[SentencePosterior], str, Units]:
    """Read sentences, title and units from a file.

    Raises:
        UserError: if the file is missing, damaged, of another format or of a newer version.
    """
    with archive(path, "AlignmentPosterior") as (facts, arrays):
        return unpacked(facts, arrays)


@contextmanager
def archive(path: Path, kind: str) -> Iterator[tuple[dict[str, Any], dict[str, NDArray[Any]]]]:
    """Read facts and arrays of a file written by :func:`write_archive`.

    Args:
        path: the file.
        kind: name of the class whose ``save`` writes such files, for messages.

    Raises:
        UserError: if the file is missing, damaged, of another format or of a newer version; also if
            the block raises an error because of the content.
    """
    try:
        # The archive has a checksum of each part, which is verified when that part is read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as opened:
            arrays = {name: opened[name] for name in opened.files}
        facts = json.loads(arrays.pop(_JSON).tobytes())
        version = int(facts["format"])
        if version > FORMAT:
            raise UserError(
                f"{path}: written by a newer version of pyro-align (format {version}, this one "
                f"reads up to {FORMAT}): pip install -U pyro-align"
            )
        yield facts, arrays
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(
            f"{path}: damaged, or not a file of {kind}.save ({error}); save it again"
        ) from None


def unpacked(
    facts: dict[str, Any], arrays: dict[str, NDArray[Any]]
) -> tuple[list[SentencePosterior], str, Units]:
    """Return sentences, title and units, the inverse of :func:`packed`."""
    sentences = list(_sentences(facts["sentences"], arrays))
    return sentences, str(facts["title"]), _UNITS[facts["units"]]


_DAMAGE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
)


def _facts(sentence: SentencePosterior) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "source": sentence.source,
        "target": sentence.target,
        "fields": [n for n in (*MATRICES, *POSITIONS) if getattr(sentence, n) is not None],
        "gold": _written(sentence.gold),
        "words": None,
    }
    if (words := sentence.words) is not None:
        facts["words"] = {**vars(words), "gold": _written(words.gold)}
    return facts


def _sentences(
    facts: list[dict[str, Any]], arrays: dict[str, NDArray[Any]]
) -> Iterator[SentencePosterior]:
    begin = dict.fromkeys(arrays, 0)
    for fact in facts:
        source, target = tuple(fact["source"]), tuple(fact["target"])
        fields: dict[str, Any] = {}
        for name in fact["fields"]:
            shape = (len(target), len(source)) if name in MATRICES else (len(target),)
            end = begin[name] + int(np.prod(shape))
            fields[name] = arrays[name][begin[name] : end].reshape(shape)
            begin[name] = end
        words = None
        if fact["words"] is not None:
            lists = {name: tuple(value) for name, value in fact["words"].items() if name != "gold"}
            words = Words(**lists, gold=_read(fact["words"]["gold"]))
        yield SentencePosterior(
            source=source, target=target, gold=_read(fact["gold"]), words=words, **fields
        )
    if any(begin[name] != len(array) for name, array in arrays.items()):
        raise ValueError("arrays are longer than the sentences")


def _written(gold: GoldLinks | None) -> str | None:
    return None if gold is None else format_links(gold)


def _read(line: str | None) -> GoldLinks | None:
    return None if line is None else parse_links(line)
