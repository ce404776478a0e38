"""Output formats of links: Pharaoh, TALP, NAACL and JSON lines.

The formats are described in :mod:`pyro_align.data.links`, which reads them.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.word_alignment.aligner import AlignedPair

Writer = Callable[[AlignedPair], str]
"""Formats the links of a sentence pair as text, including line ends."""


def pharaoh(aligned: AlignedPair) -> str:
    """Format as a line ``0-0 2-1``; empty without links."""
    return " ".join(f"{source}-{target}" for source, target in aligned.links) + "\n"


def pharaoh_with_probabilities(aligned: AlignedPair) -> str:
    """Format as a line ``0-0:0.9312 2-1:0.5107``; empty without links."""
    links = aligned.links.items()
    return " ".join(f"{source}-{target}:{p:.4f}" for (source, target), p in links) + "\n"


def talp(aligned: AlignedPair) -> str:
    """Format as a line ``1-1 3-2``; empty without links."""
    return " ".join(f"{source + 1}-{target + 1}" for source, target in aligned.links) + "\n"


def naacl(aligned: AlignedPair) -> str:
    """Format as one line ``7 1 1 S`` per link, in sentence pair 7."""
    line = aligned.pair.line
    return "".join(f"{line} {source + 1} {target + 1} S\n" for source, target in aligned.links)


def naacl_with_probabilities(aligned: AlignedPair) -> str:
    """Format as one line ``7 1 1 S 0.9312`` per link, with the probability as confidence."""
    line, links = aligned.pair.line, aligned.links.items()
    return "".join(f"{line} {source + 1} {target + 1} S {p:.4f}\n" for (source, target), p in links)


def jsonl(aligned: AlignedPair) -> str:
    """Format as a JSON object with ``source``, ``target``, ``links`` and ``probabilities``."""
    record = {
        "source": aligned.pair.source,
        "target": aligned.pair.target,
        "links": list(aligned.links),
        "probabilities": [round(probability, 4) for probability in aligned.links.values()],
    }
    return json.dumps(record, ensure_ascii=False) + "\n"


def score_line(aligned: AlignedPair) -> str:
    """Format the score of a sentence pair as a line; ``-inf`` if a side is empty.

    Raises:
        IncompatibleError: if the model has no scores.
    """
    if aligned.pair.is_empty:
        return "-inf\n"
    if aligned.score is None:
        raise IncompatibleError(
            "only word aligners (align --train, and those saved by --save) score sentence pairs: "
            "remove --scores"
        )
    return f"{aligned.score:.4f}\n"


_WRITERS: dict[tuple[str, bool], Writer] = {
    ("pharaoh", False): pharaoh,
    ("pharaoh", True): pharaoh_with_probabilities,
    ("talp", False): talp,
    ("naacl", False): naacl,
    ("naacl", True): naacl_with_probabilities,
    ("jsonl", False): jsonl,
    ("jsonl", True): jsonl,
}


def writer(form: str, *, probabilities: bool = False) -> Writer:
    """Return the function that writes links in a format.

    Args:
        form: one of :data:`pyro_align.data.FORMATS`.
        probabilities: whether to write the probability of each link; JSON lines always do.

    Raises:
        ConfigError: if the format cannot represent probabilities.
    """
    if (form, probabilities) not in _WRITERS:
        raise ConfigError(
            f"the format {form} has no probabilities: use pharaoh, naacl or jsonl, or leave them "
            "out"
        )
    return _WRITERS[form, probabilities]
