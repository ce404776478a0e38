"""Saving and loading of aligners."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from pyro_align.errors import OutputError, RunError
from pyro_align.files import atomic_write
from pyro_align.posterior import WordAlignment
from pyro_align.training.weights import tensor_digest
from pyro_align.word_alignment.hmm.classes import Classes
from pyro_align.word_alignment.hmm.lexicon import Lexicon
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel, Words, unpadded
from pyro_align.word_alignment.hmm.settings import Settings

FILE = "aligner.safetensors"
"""File name of an aligner in its folder; the header contains settings and classes."""

_TENSORS = ("keys", "counts", "totals", "prior_total", "frequency")


def save_aligner(
    folder: Path,
    models: Sequence[HiddenMarkovModel],
    classes: tuple[Classes, Classes],
    settings: Settings,
) -> None:
    """Write an aligner to a folder, which is created if it does not exist.

    Raises:
        OutputError: if the folder or the file cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    for number, model in enumerate(models):
        parts = {name: getattr(model.lexicon, name) for name in _TENSORS}
        parts |= {"jumps": model.jumps, "starts": model.starts}
        tensors |= {f"{number}.{name}": tensor for name, tensor in parts.items()}
    notes = {
        "settings": settings.model_dump_json(),
        "classes": json.dumps([each.names for each in classes]),
    }
    notes["sha256"] = tensor_digest(tensors, notes)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be created: {error.strerror}") from error
    with atomic_write(folder / FILE) as file:
        file.write(save(tensors, notes))


def load_aligner(folder: Path) -> list[SavedTables]:
    """Load the directions of an aligner: source to target, then target to source if saved.

    Raises:
        RunError: if the file is missing, unreadable or damaged.
    """
    path = folder / FILE
    try:
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        notes = header["__metadata__"]
        tensors = load(content)
        if notes.pop("sha256", None) != tensor_digest(tensors, notes):
            raise ValueError("its digest does not match its content")
        settings = Settings.model_validate_json(notes["settings"])
        source, target = (Classes(settings.prefix, each) for each in json.loads(notes["classes"]))
        sides = ((source, target), (target, source))
        return [
            SavedTables(_part(tensors, number), sides[number], settings)
            for number in range(2)
            if f"{number}.keys" in tensors
        ]
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, ValidationError, SafetensorError) as error:
        raise RunError(f"{path} is not a saved aligner, or is damaged: {error}") from error


def _part(tensors: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    return {name: tensors[f"{number}.{name}"] for name in (*_TENSORS, "jumps", "starts")}


@dataclass(frozen=True)
class EncodedWords:
    """A sentence pair as ids of word classes, with a model of the words of its window.

    Attributes:
        source: ids of source words.
        target: ids of target words.
        model: model whose lexicon has the words of the window.
    """

    source: list[int]
    target: list[int]
    model: HiddenMarkovModel

    @property
    def width(self) -> int:
        """Number of words of the longer side."""
        return max(len(self.source), len(self.target))


@final
class SavedTables:
    """Word alignment probabilities of new text under a saved aligner, without further fitting.

    For words that were not in the fitted text only the spelling is used.

    Args:
        tensors: saved tensors of one direction.
        classes: of source and target of this direction.
        settings: settings of the fit.
    """

    unit = "words"

    def __init__(
        self, tensors: dict[str, Any], classes: tuple[Classes, Classes], settings: Settings
    ):
        self._tensors = tensors
        self._classes = classes
        self._settings = settings

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[EncodedWords]:
        """Encode sentence pairs, with a lexicon of their words."""
        source, target = (each.copy() for each in self._classes)
        ids = [(source.add(one), target.add(other)) for one, other in pairs]
        found = {one * len(target) + other for pair in ids for one in pair[0] for other in pair[1]}
        lexicon = Lexicon(
            source,
            target,
            torch.tensor(sorted(found), dtype=torch.int64),
            torch.zeros(len(target)),
            sparsity=self._settings.sparsity,
            spelling=self._settings.spelling,
        )
        lexicon.take_over(**{name: self._tensors[name] for name in _TENSORS})
        model = HiddenMarkovModel(lexicon, self._settings.max_jump, self._settings.null)
        model.jumps, model.starts = self._tensors["jumps"], self._tensors["starts"]
        return [EncodedWords(one, other, model) for one, other in ids]

    def __call__(self, pairs: Sequence[EncodedWords]) -> list[WordAlignment]:
        """Compute the table of each pair in one batch; all pairs must be of the same window."""
        words = Words.from_ids([pair.source for pair in pairs], [pair.target for pair in pairs])
        states = pairs[0].model.target(words).posterior(words.target).states
        return [
            unpadded(table, len(pair.source), len(pair.target))
            for table, pair in zip(states, pairs, strict=True)
        ]
