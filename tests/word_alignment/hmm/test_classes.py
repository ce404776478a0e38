import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from pyro_align.word_alignment.hmm import Classes, spelled_alike


def test_words_with_one_prefix_share_a_class():
    classes = Classes(4)
    assert classes.add("Hunde hund  HUND\thundert Hu") == [1, 1, 1, 1, 2]
    assert classes.names == ["hund", "hu"]
    assert len(classes) == 3  # and no word
    other = classes.copy()
    assert other.add("neu hunde") == [3, 1]
    assert len(classes) == 3


def shorter(word):
    return {word[:place] + word[place + 1 :] for place in range(len(word))}


def alike(one, other):
    """Whether names are equal, or become so by removing a character from each or the longer."""
    if one == other:
        return 1, 0
    mine = {one} | (shorter(one) if len(one) > 3 else set())
    others = {other} | (shorter(other) if len(other) > 3 else set())
    return 0, int(bool(mine & others))


words = st.lists(st.text("abc", min_size=1, max_size=4), min_size=1, max_size=8)


@given(words, words)
def test_spelling_against_brute_force(sources, targets):
    source, target = Classes(4), Classes(4)
    mine, others = source.add(" ".join(sources)), target.add(" ".join(targets))
    ids = list(itertools.product(mine, others))
    equal, near = spelled_alike(source, target, torch.tensor(ids))
    found = list(zip(equal.tolist(), near.tolist(), strict=True))
    assert found == [alike(*pair) for pair in itertools.product(sources, targets)]


def test_padding_is_not_spelled_like_padding():
    source, target = Classes(4, ["ab"]), Classes(4, ["ab"])
    equal, near = spelled_alike(source, target, torch.tensor([[0, 0], [0, 1], [1, 1]]))
    assert equal.tolist() == [0, 0, 1]
    assert near.tolist() == [0, 0, 0]
