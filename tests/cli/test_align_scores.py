"""Scores of sentence pairs: ``align --scores``."""

import math

from click.testing import CliRunner
from runs import sentence_pairs, shared_run

from pyro_align.cli import main


def call(*arguments, text=None):
    return CliRunner().invoke(main, ["align", *map(str, arguments)], input=text)


def scores_of(path):
    return [float(line) for line in path.read_text().splitlines()]


def test_scores_tell_translations_from_shuffled_pairs(tmp_path):
    """Half of the targets are those of another pair; area under the ROC curve, fitted and new."""
    lines = [f"{source} ||| {target}\n" for source, target in sentence_pairs(400, seed=5)]
    sides = [line.rstrip("\n").split(" ||| ") for line in lines]
    other = [sides[(2 * number + 3) % 400 if number >= 200 else number][1] for number in range(400)]
    text = tmp_path / "text.txt"
    text.write_text("".join(f"{s} ||| {t}\n" for (s, _), t in zip(sides, other, strict=True)))
    aligner, fitted_scores, new_scores = (tmp_path / name for name in ("aligner", "a", "b"))
    train = ("--train", "--save", aligner, "--out", tmp_path / "links", "--scores", fitted_scores)
    assert call(*train, text).exit_code == 0
    assert call(aligner, text, "--out", tmp_path / "more", "--scores", new_scores).exit_code == 0
    true = [number < 200 or side == sides[number][1] for number, side in enumerate(other)]
    for path in (fitted_scores, new_scores):
        found = scores_of(path)
        better = [
            (good > bad) + 0.5 * (good == bad)
            for good, is_true in zip(found, true, strict=True)
            if is_true
            for bad, is_other in zip(found, true, strict=True)
            if not is_other
        ]
        assert sum(better) / len(better) > 0.95


def test_scores_of_empty_pairs_and_of_runs(tmp_path):
    scores = tmp_path / "scores"
    text = "ein hund ||| a dog\n |||\nein ||| a\n"
    assert call("--train", "--scores", scores, "-", text=text).exit_code == 0
    assert scores_of(scores)[1] == -math.inf
    assert all(map(math.isfinite, scores_of(scores)[::2]))
    scores.unlink()
    result = call(shared_run(), "--scores", scores, text=text)
    assert result.exit_code == 2
    assert "remove --scores" in result.output
    assert not scores.exists()
    assert call("--train", "--neural", "--scores", scores, "-", text=text).exit_code == 2
