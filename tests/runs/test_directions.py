from pathlib import Path

import pytest
from runs import sentence_pairs, settings, silent, write_text

from pyro_align.config import Config, recipe
from pyro_align.errors import ConfigError, DataError, RunError
from pyro_align.runs.directions import VALIDATION, fit_directions
from pyro_align.word_alignment import PairText


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_training_and_validation_text(tmp_path):
    pairs = [("", "a"), ("ein\t hund ", " a  dog"), *sentence_pairs(2 * VALIDATION, 3), ("x", "")]
    text = PairText.open(write_text(tmp_path, "in", pairs))
    config = Config.load(recipe("align"), settings(training__max_steps=1))
    told = []
    folder = tmp_path / "runs"
    (run,) = fit_directions(text, config, folder, directions=1, echo=told.append)
    kept = [(" ".join(s.split()), " ".join(t.split())) for s, t in pairs[1:-1]]
    found = [lines(folder / "text" / f"train.{side}") for side in ("src", "tgt")]
    assert list(zip(*found, strict=True)) == kept
    some = [lines(folder / "text" / f"valid.{side}") for side in ("src", "tgt")]
    assert list(zip(*some, strict=True)) == kept[::3]  # 1001 pairs: every third
    assert run.path == folder / "forward"
    assert sorted(path.name for path in folder.iterdir()) == ["forward", "text"]
    assert told[0] == "forward: src to tgt"


def test_errors_name_lines_of_the_input_files(tmp_path):
    """The training files have other line numbers, and are deleted."""
    pairs = [("", "a"), ("ein hund", "a dog"), ("", ""), ("kein " * 30, "no"), ("x", "dog " * 30)]
    config = Config.load(recipe("align"), settings(data__max_length=20, data__skip_long=False))
    for kept, side, line in ((pairs[:4], "de", 4), (pairs[:3] + pairs[4:], "en", 4)):
        paths = write_text(tmp_path, "in", kept)
        with pytest.raises(DataError, match=rf"in\.{side}:{line}: the .* sentence has") as caught:
            fit_directions(PairText.open(paths), config, tmp_path / "runs", echo=silent)
        assert caught.value.path == tmp_path / f"in.{side}"
        assert not (tmp_path / "runs").exists()


def test_an_existing_folder_is_rejected(tmp_path):
    text = PairText.open(write_text(tmp_path, "in", sentence_pairs(3, 3)))
    config = Config.load(recipe("align"), settings())
    with pytest.raises(RunError, match="exists"):
        fit_directions(text, config, tmp_path, echo=silent)


def test_too_small_a_vocabulary_is_rejected(tmp_path):
    text = PairText.open(write_text(tmp_path, "in", sentence_pairs(3, 3)))
    config = Config.load(recipe("align"), settings(vocabulary__size=8))
    with pytest.raises(ConfigError, match=r"set vocabulary\.size to"):
        fit_directions(text, config, tmp_path / "runs", echo=silent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.de", "in.en"]
