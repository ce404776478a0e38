import json
import math
import subprocess
import sys

import pytest

from pyro_align.evaluation import translation_scores

REFERENCES = ["The cat sat on the mat, quietly.", "Two dogs play in the deep snow.", "Ein Maß Öl"]
HYPOTHESES = ["The cat sat on a mat quietly.", "two dogs play in the deep snow .", "Ein Mass Öl"]


def test_against_the_command_line(tmp_path):
    for name, lines in (("hypotheses", HYPOTHESES), ("references", REFERENCES)):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", str(tmp_path / "references")]
    command += ["-i", str(tmp_path / "hypotheses"), "-m", "bleu", "chrf", "-w", "9"]
    ran = subprocess.run(command, capture_output=True, check=True, text=True)
    bleu, chrf = json.loads(ran.stdout)
    scores = translation_scores(HYPOTHESES, REFERENCES)
    assert scores.bleu == pytest.approx(bleu["score"], abs=1e-8)
    assert scores.bleu_signature == bleu["signature"]
    assert scores.chrf == pytest.approx(chrf["score"], abs=1e-8)
    assert scores.chrf_signature == chrf["signature"]


def test_bleu_by_hand():
    scores = translation_scores(["a b c d e x"], ["a b c d e f g"])
    # n-gram precisions 5/6, 4/5, 3/4, 2/3; brevity penalty exp(1 − 7/6).
    expected = 100 * math.exp(1 - 7 / 6) * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25
    assert scores.bleu == pytest.approx(expected)


def test_bleu_is_cased_and_splits_punctuation():
    assert translation_scores(["a b c d e."], ["a b c d e ."]).bleu == pytest.approx(100)
    assert translation_scores(["A b c d e ."], ["a b c d e ."]).bleu < 100


@pytest.mark.parametrize(("hypotheses", "references"), [([], []), (["a"], ["a", "b"])])
def test_mismatched_references_are_rejected(hypotheses, references):
    with pytest.raises(ValueError, match="one reference per translation"):
        translation_scores(hypotheses, references)
