"""Links between the symbols of word forms and of their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pyro_align.data import FormPair
from pyro_align.decoding import Linker, WordLinks, members_of
from pyro_align.posterior import mean_alignment
from pyro_align.word_alignment import Argmax, links_of


def symbol_linker(task: Any, model: Any, guide: Any) -> Linker:
    """Return a function that links the symbols of forms and of their predictions.

    Args:
        task: the task, with ``link_tables`` and vocabularies.
        model: the model or ensemble.
        guide: the guide.
    """
    members = members_of(model, guide)
    source, target = (vocabulary.split for vocabulary in task.vocabularies)

    def link(pairs: Sequence[tuple[FormPair, str]]) -> list[WordLinks]:
        filled = [replace(pair, target=text, links=None) for pair, text in pairs]
        tables = (task.link_tables(*each, filled) for each in members)
        return [
            WordLinks(
                tuple(source(pair.source)),
                tuple(target(pair.target or "")),
                links_of([mean_alignment(each)], Argmax()),
            )
            for pair, *each in zip(filled, *tables, strict=True)
        ]

    return link
