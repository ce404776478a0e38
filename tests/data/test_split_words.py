import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyro_align
from pyro_align.data import Vocabulary, split_words
from pyro_align.word_alignment import Pair
from pyro_align.word_alignment.hmm.types import Types

SPACES = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\u00a0\u1680\u2003\u2028\u2029\u202f\u3000\u200b"


@given(text=st.text(st.sampled_from(SPACES) | st.sampled_from("aß漢")))
def test_words_are_those_between_ascii_white_space(text: str) -> None:
    """``bytes.split`` splits at ASCII white space only."""
    assert split_words(text) == [word.decode() for word in text.encode().split()]


@pytest.mark.parametrize("space", [c for c in SPACES if c not in "\n\r\x0b\x0c"])
def test_positions_are_those_of_awk(space: str) -> None:
    line = f"er zahlt 10{space}000 Euro ."
    arguments = ["awk", '{printf "%s", NF}']
    counted = subprocess.run(arguments, input=line.encode(), stdout=subprocess.PIPE, check=True)
    assert len(split_words(line)) == int(counted.stdout)


def test_every_part_counts_the_same_words() -> None:
    sentence = "er zahlt 10\u00a0000 Euro ."
    vocabulary = Vocabulary.train([sentence] * 5, 20, "unigram")
    assert max(vocabulary.words(sentence)[1]) == 4
    assert vocabulary.decode(vocabulary.encode(sentence)) == sentence
    assert len(Types().add(sentence)) == 5
    assert not Pair("\u00a0", "a", 1).is_empty
    assert Pair(" \t", "a", 1).is_empty


OTHERS = {
    "settings.py": "a message",
    "markup.py": "spaces beside tags",
    "trial.py": "a message",
    "own_code.py": "a list",
    "question_records.py": "numbers of regions",
    "vqa_scores.py": "the rule of the VQA accuracy",
}
"""Modules that split something else than words of a text, and what."""


def test_no_module_uses_another_rule_for_words() -> None:
    """All code that splits text into words calls :func:`split_words`."""
    package = Path(pyro_align.__file__).parent
    found = [
        f"{path.relative_to(package)}:{number}"
        for path in package.rglob("*.py")
        if path.name not in OTHERS
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if re.search(r"\.split\(\)|isspace\(", line)
    ]
    assert not found
