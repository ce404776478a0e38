"""Saving and loading of aligners."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from jaxtyping import Int
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.nn.functional import pad

from pyro_align.errors import OutputError, RunError
from pyro_align.files import atomic_write
from pyro_align.posterior import WordAlignment
from pyro_align.training.weights import tensor_digest
from pyro_align.word_alignment.hmm.cooccurrences import WordPairs
from pyro_align.word_alignment.hmm.fertility import Fertility
from pyro_align.word_alignment.hmm.lexicon import Lexicon
from pyro_align.word_alignment.hmm.model import HiddenMarkovModel, unpadded
from pyro_align.word_alignment.hmm.observed import infer
from pyro_align.word_alignment.hmm.settings import Settings
from pyro_align.word_alignment.hmm.spelling import Spelling
from pyro_align.word_alignment.hmm.types import Types
from pyro_align.word_alignment.hmm.words import Words
from pyro_align.word_alignment.symmetrise import SYMMETRISE

FILE = "aligner.safetensors"
"""File name of an aligner in its folder; the header contains settings, words and characters."""

BEFORE = {"diagonal": 0.0}
"""Settings of aligners that were saved before these settings existed."""


def save_aligner(
    folder: Path,
    models: Sequence[HiddenMarkovModel],
    types: tuple[Types, Types],
    settings: Settings,
) -> None:
    """Write an aligner to a folder, which is created if it does not exist.

    Raises:
        OutputError: if the folder or the file cannot be written.
    """
    tensors: dict[str, torch.Tensor] = {}
    for number, model in enumerate(models):
        lexicon = model.lexicon
        source, target = lexicon.pairs.index.sides()
        parts = {
            "keys": source * lexicon.width + target,
            "counts": lexicon.counts,
            "prior": lexicon.prior,
            "frequency": lexicon.frequency,
            "null_counts": lexicon.null_counts,
        }
        characters = lexicon.spelling.characters
        parts |= {"jumps": model.jumps, "starts": model.starts}
        parts |= {"characters": characters.counts, "of_characters": characters.frequency}
        if model.fertility is not None:
            parts["fertility"] = torch.tensor([model.fertility.none, model.fertility.more])
            parts["numbers"] = model.fertility.numbers
        tensors |= {f"{number}.{name}": tensor for name, tensor in parts.items()}
    notes = {
        "settings": settings.model_dump_json(),
        "types": json.dumps([each.names for each in types]),
        "alphabets": json.dumps(models[0].lexicon.spelling.alphabets),
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
        settings = Settings.model_validate({**BEFORE, **json.loads(notes["settings"])})
        source, target = (Types(each) for each in json.loads(notes["types"]))
        mine, others = json.loads(notes["alphabets"])
        sides = ((source, target), (target, source))
        alphabets = ((mine, others), (others, mine))
        return [
            SavedTables(_part(tensors, number), sides[number], alphabets[number], settings)
            for number in range(2)
            if f"{number}.keys" in tensors
        ]
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, ValidationError, SafetensorError) as error:
        raise RunError(f"{path} is not a saved aligner, or is damaged: {error}") from error


def _part(tensors: dict[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    begin = f"{number}."
    return {
        name.removeprefix(begin): tensor
        for name, tensor in tensors.items()
        if name.startswith(begin)
    }


@dataclass(frozen=True)
class EncodedWords:
    """A sentence pair as ids of words, with a model of the words of its window.

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

    Words that were not in the fitted text are aligned by their prefixes and their spelling.

    Args:
        tensors: saved tensors of one direction.
        types: source and target words of this direction.
        alphabets: source and target characters of this direction.
        settings: settings of the fit.
    """

    unit = "words"
    symmetrise = SYMMETRISE

    def __init__(
        self,
        tensors: dict[str, torch.Tensor],
        types: tuple[Types, Types],
        alphabets: tuple[list[str], list[str]],
        settings: Settings,
    ):
        self._tensors = tensors
        self._types = types
        self._alphabets = alphabets
        self._settings = settings

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[EncodedWords]:
        """Encode sentence pairs, with a model that has their words."""
        source, target = (each.copy() for each in self._types)
        ids = [(source.add(one), target.add(other)) for one, other in pairs]
        found = {one * len(target) + other for pair in ids for one in pair[0] for other in pair[1]}
        model = HiddenMarkovModel(
            self._lexicon(source, target, torch.tensor(sorted(found), dtype=torch.int64)),
            self._settings.max_jump,
            self._settings.null,
            self._settings.diagonal,
        )
        model.jumps, model.starts = self._tensors["jumps"], self._tensors["starts"]
        if "fertility" in self._tensors:
            none, more = self._tensors["fertility"].tolist()
            numbers = self._tensors.get("numbers", torch.zeros(3, len(self._types[0])))
            model.fertility = Fertility(
                pad(numbers, (0, len(source) - len(self._types[0]))),
                none,
                more,
                self._settings.fertility_concentration,
                self._settings.fertility,
            )
        return [EncodedWords(one, other, model) for one, other in ids]

    def _lexicon(self, source: Types, target: Types, found: Int[Tensor, " n"]) -> Lexicon:
        """Return the saved lexicon with further words and co-occurring pairs of words."""
        width, saved = len(self._types[1]), self._tensors
        old = saved["keys"].div(width, rounding_mode="floor") * len(target) + saved["keys"] % width
        keys = torch.cat([old, found]).unique()
        places = torch.searchsorted(keys, old)
        spelling = Spelling(
            source.names,
            target.names,
            self._settings.related,
            alphabets=self._alphabets,
            frequency=saved["of_characters"],
            counts=saved["characters"],
        )
        lexicon = Lexicon(
            WordPairs.create(source, target, keys, self._settings.affixes),
            pad(saved["frequency"], (0, len(target) - width)),
            spelling,
            self._settings,
            torch.zeros(len(keys)).index_copy_(0, places, saved["prior"]),
        )
        new = torch.ones(len(keys), dtype=torch.bool).index_fill_(0, places, False)
        lexicon.relate(new.nonzero().squeeze(1))
        null = saved.get("null_counts", torch.zeros(width))
        lexicon.learn(
            torch.zeros(len(keys)).index_copy_(0, places, saved["counts"]),
            pad(null, (0, len(target) - width)),
        )
        return lexicon

    def __call__(self, pairs: Sequence[EncodedWords]) -> list[WordAlignment]:
        """Compute the table of each pair in one batch; all pairs must be of the same window."""
        words = Words.from_ids([pair.source for pair in pairs], [pair.target for pair in pairs])
        observed, found = infer(pairs[0].model, words)
        return [
            unpadded(table, len(pair.source), len(pair.target), gain)
            for table, pair, gain in zip(
                found.states, pairs, observed.gain(found).tolist(), strict=True
            )
        ]
