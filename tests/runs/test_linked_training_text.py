"""Fits with links of the training text."""

from __future__ import annotations

import pytest
import torch
from click.testing import CliRunner
from runs import (
    sentence_pairs,
    settings,
    shared_corpus,
    silent,
    tiny_config,
    write_corpus,
    write_text,
)

from pyro_align.cli import main
from pyro_align.errors import ConfigError, RunError
from pyro_align.runs import Run
from pyro_align.training.module import TrainingModule

PAIRS = sentence_pairs(20, 1)
"""Training text of :func:`shared_corpus`, translated word by word."""

LONG = ("ein " * 300, "a " * 300)


def monotone(pairs):
    """Links of words at the same position; the last word of every sentence has none."""
    return "".join(
        " ".join(f"{i}-{i}" for i in range(len(source.split()) - 1)) + "\n" for source, _ in pairs
    )


def fit(folder, links, *flags, **changes):
    links_file = folder / "train.links"
    links_file.write_text(links)
    corpus = shared_corpus()
    text = [word for name, paths in corpus.items() for word in (f"--{name}", *map(str, paths))]
    changed = settings(network__cell="gru", training__max_steps=2, **changes)
    chosen = [word for setting in changed for word in ("--set", setting)]
    out = ["--out", str(folder / "run"), "--links", str(links_file), *flags]
    return CliRunner().invoke(main, ["fit", *text, *chosen, *out])


def test_a_fit_with_links(tmp_path, monkeypatch):
    trained = []
    step = TrainingModule.training_step
    monkeypatch.setattr(
        TrainingModule, "training_step", lambda self, *a: trained.append(a[0]) or step(self, *a)
    )
    result = fit(tmp_path, monotone(PAIRS))
    assert result.exit_code == 0, result.output
    assert len(trained) == 2
    run = Run.load(tmp_path / "run")
    assert run.task.examples("valid").batch([0]).links is None
    source, target = run.vocabularies
    for batch in trained:
        expected = torch.zeros_like(batch.links)
        for row, index in enumerate(batch.indices.tolist()):
            words = [
                vocabulary.words(sentence)[1]
                for vocabulary, sentence in zip((source, target), PAIRS[index], strict=True)
            ]
            last = max(words[0])
            for i, source_word in enumerate(words[0]):
                for j, target_word in enumerate(words[1]):
                    expected[row, j, i] = source_word == target_word and -1 < source_word < last
        assert expected.any()
        assert torch.equal(batch.links, expected)
    (tmp_path / "train.links").write_text(monotone(PAIRS).replace("0-0", "0-1", 1))
    with pytest.raises(RunError, match=r"train\.links: not the train text"):
        run.derived({})


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ("0-0\n", "train.links: 1 lines of links for 20 sentence pairs"),
        ("0-0\n" * 3 + "0-99\n" + "0-0\n" * 16, "train.links:4: link 0-99 points outside"),
        ("0-0\n" * 19 + "0=0\n", "train.links:20: '0=0' is not a link"),
    ],
    ids=["too few lines", "out of range", "no link"],
)
def test_wrong_links_are_refused(tmp_path, links, message):
    result = fit(tmp_path, links)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "run").exists()


def test_weight_1_needs_a_sum_over_all_alignments(tmp_path):
    links = tmp_path / "links"
    links.write_text(monotone(PAIRS))
    changes = {"data__links": links, "training__link_weight": 1}
    with pytest.raises(ConfigError, match=r"set training\.link_weight below 1"):
        Run.create(tiny_config(shared_corpus(), **changes), tmp_path / "run", echo=silent)


def test_links_of_skipped_pairs_are_left_out(tmp_path):
    corpus = write_corpus(tmp_path, train=3, valid=3)
    pairs = [PAIRS[0], LONG, PAIRS[1]]
    corpus["train"] = write_text(tmp_path, "train", pairs)
    links = tmp_path / "links"
    links.write_text("0-0\n299-299\n1-1\n")
    changes = {"data__links": links, "data__skip_long": True, "guide__name": "none"}
    run = Run.create(tiny_config(corpus, **changes), tmp_path / "run", echo=silent)
    examples = run.task.examples("train")
    batch = examples.batch([1, 0])
    source, target = run.vocabularies
    for row, pair, word in ((0, PAIRS[1], 1), (1, PAIRS[0], 0)):
        found = {tuple(place) for place in batch.links[row].nonzero().tolist()}
        index = source.words(pair[0])[1], target.words(pair[1])[1]
        places = [[i for i, each in enumerate(side) if each == word] for side in index]
        assert found == {(j, i) for i in places[0] for j in places[1]}


def test_links_of_another_text_are_dropped(tmp_path):
    links = tmp_path / "links"
    links.write_text(monotone(PAIRS))
    config = tiny_config(shared_corpus(), data__links=links)
    task = Run.create(config, tmp_path / "run", echo=silent).task
    other = config.changed({"data.train": ["a", "b"]})
    assert task.derived(other, config, {"data.train": ["a", "b"]}).data.links is None
    assert task.derived(config, config, {}).data.links == links
