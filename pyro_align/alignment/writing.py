"""Links as text: Pharaoh, TALP, NAACL and JSON lines.

What each looks like stands in :mod:`pyro_align.corpus.links`, which reads them back.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from pyro_align.alignment.aligner import AlignedPair
from pyro_align.errors import ConfigError

Writer = Callable[[AlignedPair], str]
"""The text of a sentence pair's links, line ends included."""


def pharaoh(aligned: AlignedPair) -> str:
    """A line ``0-0 2-1``; an empty one without links."""
    return " ".join(f"{source}-{target}" for source, target in aligned.links) + "\n"


def pharaoh_with_probabilities(aligned: AlignedPair) -> str:
    """A line ``0-0:0.9312 2-1:0.5107``; an empty one without links."""
    links = aligned.links.items()
    return " ".join(f"{source}-{target}:{p:.4f}" for (source, target), p in links) + "\n"


def talp(aligned: AlignedPair) -> str:
    """A line ``1-1 3-2``; an empty one without links."""
    return " ".join(f"{source + 1}-{target + 1}" for source, target in aligned.links) + "\n"


def naacl(aligned: AlignedPair) -> str:
    """A line ``7 1 1 S`` a link, in sentence pair 7; none without links."""
    line = aligned.pair.line
    return "".join(f"{line} {source + 1} {target + 1} S\n" for source, target in aligned.links)


def naacl_with_probabilities(aligned: AlignedPair) -> str:
    """A line ``7 1 1 S 0.9312`` a link, its probability as the format's confidence."""
    line, links = aligned.pair.line, aligned.links.items()
    return "".join(f"{line} {source + 1} {target + 1} S {p:.4f}\n" for (source, target), p in links)


def jsonl(aligned: AlignedPair) -> str:
    """A line with an object: ``source``, ``target``, ``links`` and their ``probabilities``."""
    record = {
        "source": aligned.pair.source,
        "target": aligned.pair.target,
        "links": list(aligned.links),
        "probabilities": [round(probability, 4) for probability in aligned.links.values()],
    }
    return json.dumps(record, ensure_ascii=False) + "\n"


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
    """What writes links in a format.

    Args:
        form: one of :data:`pyro_align.corpus.FORMATS`.
        probabilities: with the probability of each link; JSON lines have it always.

    Raises:
        ConfigError: if the format has no place for probabilities.
    """
    if (form, probabilities) not in _WRITERS:
        raise ConfigError(
            f"{form} has no place for probabilities: take pharaoh, naacl or jsonl, or leave them"
        )
    return _WRITERS[form, probabilities]
