"""Tokens that two vocabularies have in common."""

from __future__ import annotations

from pyro_align.data import SymbolVocabulary, Vocabulary, counterparts
from pyro_align.data.batch import BOS, EOS, PAD, UNK
from pyro_align.data.splitting import Splitting


def test_symbols_are_matched_by_name():
    source = SymbolVocabulary(["a", "b", "ç"], Splitting(), tags=["V"])
    target = SymbolVocabulary(["b", "c", "a"], Splitting())
    found = counterparts(source, target)
    assert len(found) == len(source)
    assert [found[special] for special in (PAD, UNK, BOS, EOS)] == [-1, UNK, -1, EOS]
    for form, expected in (("ab", "ab"), ("ç", None)):
        copied = [found[number] for number in source.encode(form, add_eos=False)]
        assert (target.decode(copied) if expected else copied) == (expected or [-1])
    (tag,) = source.encode("", ["V"], add_eos=False)
    assert found[tag] == -1


def test_a_vocabulary_is_its_own_counterpart():
    text = ["der hund bellt", "die katze schläft"]
    vocabulary = Vocabulary.train(text, 40, "bpe")
    assert counterparts(vocabulary, vocabulary) == [-1, UNK, -1, *range(EOS, len(vocabulary))]
