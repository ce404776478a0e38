from pyro_align.word_alignment.hmm import Types


def test_words_have_ids_and_classes_by_affix():
    types = Types()
    assert types.add("Hunde hund  HUNDE\tRunde Hu") == [1, 2, 1, 3, 4]
    assert types.names == ["hunde", "hund", "runde", "hu"]
    assert len(types) == 5  # and no word
    assert types.affixes(3).tolist() == [0, 1, 1, 2, 3]
    assert types.affixes(-4).tolist() == [0, 1, 2, 1, 3]
    other = types.copy()
    assert other.add("neu hunde") == [5, 1]
    assert len(types) == 5
