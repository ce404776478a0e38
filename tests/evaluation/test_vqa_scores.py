from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.evaluation import normalise_answer, vqa_accuracy
from pyro_align.evaluation.vqa_scores import _CONTRACTIONS, _PUNCTUATION


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        # lower case and spaces
        ("  Yes ", "yes"),
        ("New\nYork\tCity", "new york city"),
        ("new   york", "new york"),
        # articles, only as words of their own
        ("a dog", "dog"),
        ("The man on an elephant", "man on elephant"),
        ("theatre and antenna", "theatre and antenna"),
        ("the", ""),
        # number words
        ("two", "2"),
        ("None", "0"),
        ("zero or ten", "0 or 10"),
        ("one two three four five six seven eight nine", "1 2 3 4 5 6 7 8 9"),
        ("eleven", "eleven"),
        ("someone", "someone"),
        # contractions get their apostrophe
        ("dont", "don't"),
        ("It isnt", "it isn't"),
        ("don't", "don't"),
        ("5 oclock", "5 o'clock"),
        ("couldnt've", "couldn't've"),
        ("twas", "'twas"),
        ("Im", "im"),  # not in the table in lower case
        ("let's", "let's"),
        # apostrophes and colons stay
        ("dog's", "dog's"),
        ("10:30", "10:30"),
        # periods go unless a digit follows
        ("yes.", "yes"),
        ("u.s.a.", "usa"),
        ("3.5", "3.5"),
        (".5", ".5"),
        ("5.", "5"),
        ("no.1", "no.1"),
        ("3.5.", "3.5"),
        ("end. 5", "end 5"),
        # other marks become a space ...
        ("t-shirt", "t shirt"),
        ("red/white", "red white"),
        ("yes!", "yes"),
        ("red,white", "red white"),
        ("(left)", "left"),
        # ... but are deleted where the same mark is next to a space
        ("red, white,blue", "red whiteblue"),
        ("t-shirt - red", "tshirt red"),
        ("black & white", "black & white"),  # no mark of the list
        ("x- y/z", "x y z"),
        # a comma within a number deletes every mark
        ("100,978", "100978"),
        ("1,000-2", "10002"),
        ("1,2,3", "123"),
        ("in 1,000 t-shirts", "in 1000 tshirts"),
        ("a,5", "5"),  # not between digits: the comma becomes a space, and the article goes
        # order: punctuation before words, numbers before articles
        ("two-door", "2 door"),
        ("a/the/an", ""),
        ("Two.", "2"),
        ("dont!", "don't"),
        ("", ""),
    ],
)
def test_normalisation(answer, expected):
    assert normalise_answer(answer) == expected


@pytest.mark.parametrize("mark", _PUNCTUATION)
def test_every_mark(mark):
    assert normalise_answer(f"x{mark}y") == "x y"
    assert normalise_answer(f"x{mark}y{mark} z") == "xy z"
    assert normalise_answer(f"x{mark}y {mark}z") == "xy z"
    assert normalise_answer(f"1,5 x{mark}y") == "15 xy"


def test_marks_are_those_of_the_definition():
    assert sorted(_PUNCTUATION) == sorted(
        [*';/[]"{}()=+', "\\", "_", "-", ">", "<", "@", "`", ",", "?", "!"]
    )
    assert len(set(_PUNCTUATION)) == 21


def test_contractions_only_move_apostrophes():
    assert len(_CONTRACTIONS) > 100
    for word, written in _CONTRACTIONS.items():
        assert word.replace("'", "") == written.replace("'", "")
        assert normalise_answer(word.upper()) == written


@pytest.mark.parametrize(
    ("matches", "expected"),
    # 9 of the 10 subsets have n matches or n - 1: (n min(1, (n-1)/3) + (10-n) min(1, n/3)) / 10
    [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (9, 1), (10, 1)],
)
def test_ten_answers(matches, expected):
    answers = ["red"] * matches + [f"other {number}" for number in range(10 - matches)]
    assert vqa_accuracy("red", answers) == pytest.approx(expected)


@given(st.lists(st.sampled_from(["a b", "A B", "c", "two", "2"]), min_size=1, max_size=11))
def test_the_mean_over_all_subsets(answers):
    for prediction in ("b", "two", "c", "d"):
        wanted = normalise_answer(prediction)
        subsets = list(combinations([normalise_answer(each) for each in answers], len(answers) - 1))
        scores = [min(subset.count(wanted) / 3, 1) for subset in subsets]
        assert vqa_accuracy(prediction, answers) == pytest.approx(sum(scores) / len(scores))


def test_prediction_and_answers_are_normalised():
    answers = ["The T-shirt.", "t shirt", "two", "T shirt", *["other"] * 6]
    assert vqa_accuracy("a t-shirt", answers) == pytest.approx(0.9)
    assert vqa_accuracy("2", ["Two"] * 10) == 1  # also if all answers are the same string


def test_no_answers():
    with pytest.raises(ValueError, match="answers"):
        vqa_accuracy("yes", [])
