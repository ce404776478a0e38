import json

import pytest
import torch
from runs import silent
from safetensors.torch import load, save

from pyro_align.errors import OutputError, RunError
from pyro_align.training.weights import tensor_digest
from pyro_align.word_alignment.hmm import (
    FILE,
    Lexicon,
    Settings,
    WordPairs,
    Words,
    fit,
    infer,
    load_aligner,
    save_aligner,
)

PAIRS = [("a b", "x y"), ("b c", "y z"), ("a", "x"), ("c b a", "z y"), ("b Bank", "y bank")]


def kept(folder, scratch, **options):
    fitted = fit(PAIRS, Settings(), scratch, echo=silent, **options)
    save_aligner(folder, fitted.models, fitted.types, fitted.settings)
    return fitted


def with_all_pairs(model, source, target):
    """Return the model with a lexicon that stores all pairs of words, also without links."""
    width, learnt = len(target), model.lexicon
    codes = torch.arange(width, len(source) * width)
    keys = codes[codes % width > 0]
    pairs = WordPairs.create(source, target, keys, Settings().affixes)
    lexicon = Lexicon(pairs, learnt.frequency, learnt.spelling, Settings(), torch.zeros(len(keys)))
    lexicon.relate()
    counts = torch.zeros(len(source), width)
    counts[learnt.pairs.index.sides()] = learnt.counts
    lexicon.learn(counts[pairs.index.sides()], learnt.null_counts)
    return model.with_lexicon(lexicon)


def test_a_saved_aligner_equals_the_fitted_models(tmp_path):
    """All pairs of the words that are aligned are known to be related by their spelling."""
    fitted = kept(tmp_path / "aligner", tmp_path)
    assert [path.name for path in (tmp_path / "aligner").iterdir()] == [FILE]
    directions = load_aligner(tmp_path / "aligner")
    assert len(directions) == 2
    for direction, (tables, model) in enumerate(zip(directions, fitted.models, strict=True)):
        pairs = [pair[::-1] if direction else pair for pair in PAIRS]
        # One pair of sentences has all words, so that it has all pairs of words.
        pairs.append(tuple(" ".join(side) for side in zip(*pairs, strict=True)))
        encoded = tables.encode(pairs)
        sides = fitted.types[::-1] if direction else fitted.types
        model = with_all_pairs(model, *sides)
        for pair, table in zip(pairs, tables(encoded), strict=True):
            source, target = (c.copy().add(side) for c, side in zip(sides, pair, strict=True))
            words = Words.from_ids([source], [target])
            states = infer(model, words)[1].states[0, : len(target)]
            torch.testing.assert_close(table.weights, states[:, 1:])
            torch.testing.assert_close(table.null, states[:, 0])


def test_an_aligner_from_before_a_part_of_the_model_existed_is_loaded_without_it(tmp_path):
    settings = Settings(diagonal=0.0, fertility_concentration=1e9, null_concentration=1e9)
    fitted = fit(PAIRS, settings, tmp_path, echo=silent)
    save_aligner(tmp_path / "new", fitted.models, fitted.types, settings)
    content = (tmp_path / "new" / FILE).read_bytes()
    notes = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    tensors = load(content)
    for name in ("numbers", "null_counts"):
        for direction in range(2):
            del tensors[f"{direction}.{name}"]
    older = json.loads(notes["settings"])
    for name in ("diagonal", "fertility_concentration", "null_concentration"):
        del older[name]
    notes["settings"] = json.dumps(older)
    del notes["sha256"]
    notes["sha256"] = tensor_digest(tensors, notes)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / FILE).write_bytes(save(tensors, notes))
    old, new = (load_aligner(tmp_path / name)[0] for name in ("old", "new"))
    for one, other in zip(old(old.encode(PAIRS)), new(new.encode(PAIRS)), strict=True):
        torch.testing.assert_close(one.weights, other.weights)


def test_new_words_are_aligned_by_spelling(tmp_path):
    kept(tmp_path / "aligner", tmp_path)
    forward, reverse = load_aligner(tmp_path / "aligner")
    pair = ("a Wien c b", "wien x y z")
    (table,) = forward(forward.encode([pair]))
    assert table.weights[0].argmax() == 1
    assert table.weights[0, 1] > 0.8
    assert forward.encode([pair])[0].width == 4
    (turned,) = reverse(reverse.encode([pair[::-1]]))
    assert turned.weights[1].argmax() == 0


def test_one_direction(tmp_path):
    kept(tmp_path / "aligner", tmp_path, directions=1)
    assert len(load_aligner(tmp_path / "aligner")) == 1


def test_files_that_are_not_aligners_are_rejected(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        load_aligner(tmp_path)
    kept(tmp_path / "aligner", tmp_path)
    path = tmp_path / "aligner" / FILE
    content = path.read_bytes()
    for broken in (b"", content[:50], content[:-50], content.replace(b"affixes", b"affixed")):
        path.write_bytes(broken)
        with pytest.raises(RunError, match="not a saved aligner, or is damaged"):
            load_aligner(tmp_path / "aligner")
    (tmp_path / "file").write_text("")
    fitted = fit(PAIRS, Settings(), tmp_path, echo=silent)
    with pytest.raises(OutputError, match="cannot be created: Not a directory"):
        save_aligner(tmp_path / "file" / "x", fitted.models, fitted.types, fitted.settings)


def test_changed_bytes_of_an_aligner_are_detected(tmp_path):
    kept(tmp_path / "aligner", tmp_path)
    path = tmp_path / "aligner" / FILE
    content = path.read_bytes()
    begin = 8 + int.from_bytes(content[:8], "little")
    # Of the tensors, of the classes and of the settings.
    places = [*range(begin, len(content), 97), content.index(b"bank"), content.index(b"max_jump")]
    for place in places:
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << place % 8
        path.write_bytes(spoiled)
        with pytest.raises(RunError, match="not a saved aligner, or is damaged"):
            load_aligner(tmp_path / "aligner")
