import json
import os
import unicodedata
from collections import Counter
from pathlib import Path
from string import ascii_lowercase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_align.data import (
    NormalForms,
    Splitting,
    SymbolVocabulary,
    are_separated,
    describe_unknown,
    read_forms,
)
from pyro_align.data.batch import BOS, EOS, PAD, UNK
from pyro_align.errors import DataError, OutputError, UserError

UNITS = ("graphemes", "codepoints", "nfd")
PHONEMES = ["k æ t", "t͡ʃ eɪ n d͡ʒ", "aː", "s iː z"]


def nfd(text: str) -> str:
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("unit", "form", "symbols"),
    [
        ("graphemes", "é", ["é"]),
        ("graphemes", "x́y", ["x́", "y"]),
        ("graphemes", "🇩🇪👩‍👧", ["🇩🇪", "👩‍👧"]),
        ("codepoints", "x́y", ["x", "\u0301", "y"]),
        ("codepoints", "가b", ["가", "b"]),
        ("nfd", "é", ["e", "\u0301"]),
        ("nfd", "각b", ["\u1100", "\u1161", "\u11a8", "b"]),
        ("nfd", "an ái", ["a", "n", " ", "a", "\u0301", "i"]),
    ],
)
def test_units(unit, form, symbols):
    vocabulary = SymbolVocabulary.build([form], unit=unit, separated=False)
    assert vocabulary.split(form) == symbols
    assert vocabulary.pieces(vocabulary.encode(form)) == [*symbols, "</s>"]
    assert len(vocabulary) == 4 + len(set(symbols))


def test_ids_are_special_ones_then_tags_then_symbols():
    vocabulary = SymbolVocabulary.build(["ba"], ["V", "1"])
    assert vocabulary.pieces(range(len(vocabulary))) == [
        *("<pad>", "<unk>", "<s>", "</s>"),
        *("[1]", "[V]", "a", "b"),
    ]
    assert (PAD, UNK, BOS, EOS) == (0, 1, 2, 3)
    assert vocabulary.encode("ab", ["V"]) == [5, 6, 7, EOS]
    assert vocabulary.encode("ab", add_eos=False) == [6, 7]
    assert vocabulary.encode_all(["ab", "b"], [["1", "V"], []]) == [[4, 5, 6, 7, 3], [7, 3]]
    assert vocabulary.encode_all(["ab", "b"]) == [[6, 7, 3], [7, 3]]
    assert vocabulary.labels("b", ["V"]) == ["[V]", "b", "</s>"]


def test_tags_and_symbols_of_one_name_are_distinct():
    vocabulary = SymbolVocabulary.build(["V N", "N V [V]"], ["V", "</s>"])
    assert len(vocabulary) == 4 + 3 + 2
    (tag,) = vocabulary.encode("", ["V"], add_eos=False)
    assert tag not in vocabulary.encode("V [V]")
    assert vocabulary.encode("", ["</s>"], add_eos=False) != [EOS]
    assert vocabulary.decode(vocabulary.encode("N V", ["V"])) == "N V"
    assert SymbolVocabulary.build(["a"], ["V"]).encode("V", ["a"]) == [UNK, UNK, EOS]


def test_ids_do_not_depend_on_the_order_of_the_text():
    one = SymbolVocabulary.build(["ab", "c"], ["x", "y"])
    other = SymbolVocabulary.build(["c", "c", "ba"], ["y", "x", "y"])
    assert one.fingerprint() == other.fingerprint()
    assert one.encode("cab", ["y"]) == other.encode("cab", ["y"])


def test_phonemes_are_kept_whole():
    vocabulary = SymbolVocabulary.build(PHONEMES, separated=True)
    assert vocabulary.split("t͡ʃ  aː ") == ["t͡ʃ", "aː"]
    assert vocabulary.decode(vocabulary.encode("t͡ʃ  aː ")) == "t͡ʃ aː"
    assert not vocabulary.unknown("d͡ʒ aː")
    assert vocabulary.unknown("k ː aː") == ["ː"]


@pytest.mark.parametrize(
    ("forms", "separated"),
    [
        (["aː", "a", *(f"t͡ʃ eɪ {letter}" for letter in ascii_lowercase)], True),
        (["aː", "iː", *(f"t͡ʃ eɪ {letter}" for letter in ascii_lowercase)], False),
        (["a", "e", "k æ t"], True),
        (["HH AH0 L OW1", "W ER1 L D"], True),
        (["n i3 h ao3", "sh ui3"], True),
        (["가 나", "다 라"], True),
        (["cat", "dog", "New York"], False),
        (["an khang thịnh vượng", "hoa hồng"], False),
        (["ole maikkunut"], False),
        (["k æ t", "dog"], False),
        (["a", "b"], False),
        (["ab"], False),
        ([""], False),
        ([], False),
    ],
)
def test_separated_columns_are_found(forms, separated):
    assert are_separated(forms) is separated
    if forms:
        assert SymbolVocabulary.build(forms).splitting.separated is separated
        assert Splitting.of(forms, separated=not separated).separated is not separated


@pytest.mark.data
def test_phonemes_of_fifteen_languages_are_separated_and_words_are_not():
    folder = Path(os.environ["PYRO_ALIGN_DATA"]) / "g2p" / "dev"
    found = [[*read_forms(path)] for path in folder.glob("*.tsv")]
    assert len(found) == 15
    for pairs in found:
        assert not are_separated(pair.source for pair in pairs)
        assert are_separated(pair.target or "" for pair in pairs)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("form", ["가능성", "각", "밟다", "한국어 낱말"])
def test_korean_is_decoded_as_written(unit, form):
    vocabulary = SymbolVocabulary.build([form], unit=unit, separated=False)
    assert vocabulary.decode(vocabulary.encode(form)) == form
    assert (len(vocabulary.split(form)) > len(form)) == (unit == "nfd")
    decomposed = SymbolVocabulary.build([nfd(form)], unit=unit, separated=False)
    assert decomposed.splitting.normal_form == "NFD"
    assert decomposed.decode(decomposed.encode(form)) == nfd(form)


forms = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@pytest.mark.parametrize("unit", UNITS)
@given(texts=st.lists(forms, min_size=1), separated=st.booleans())
@settings(max_examples=60, deadline=None)
def test_forms_are_decoded_as_written(unit, texts, separated):
    vocabulary = SymbolVocabulary.build(texts, unit=unit, separated=separated)
    for text in texts:
        expected = unicodedata.normalize(vocabulary.splitting.normal_form, text)
        if separated:
            expected = vocabulary.splitting.join(vocabulary.split(expected))
        ids = vocabulary.encode(text)
        assert UNK not in ids
        assert vocabulary.decode([BOS, *ids, PAD]) == expected
        assert vocabulary.labels(text) == vocabulary.pieces(ids)
        assert not vocabulary.unknown(text)
    assert SymbolVocabulary.build(texts, unit=unit, separated=separated).encode_all(
        texts
    ) == vocabulary.encode_all(texts)


@pytest.mark.parametrize("unit", UNITS)
def test_the_normal_form_of_the_input_does_not_matter(unit):
    vocabulary = SymbolVocabulary.build(["é", "x"], unit=unit)
    assert vocabulary.encode("xé") == vocabulary.encode(nfd("xé"))
    assert vocabulary.decode(vocabulary.encode(nfd("xé"))) == "xé"
    assert SymbolVocabulary.build(["é x", "c é"]).encode(nfd("é")) == [6, EOS]


@pytest.mark.parametrize(
    ("texts", "counts", "common"),
    [
        (["abc", ""], (0, 0, 0), "NFC"),
        (["é", "a"], (1, 0, 0), "NFC"),
        ([nfd("é"), "a"], (0, 1, 0), "NFD"),
        (["é", nfd("é"), nfd("가")], (1, 2, 0), "NFC"),
        (["é" + nfd("é")], (0, 0, 1), "NFC"),
        (["\u212b"], (0, 0, 1), "NFC"),  # the Ångström sign, which neither form has
        ([nfd("é"), "\u212b"], (0, 1, 1), "NFC"),
    ],
)
def test_normal_forms(texts, counts, common):
    found = NormalForms.of(texts)
    assert (found.composed, found.decomposed, found.other) == counts
    assert found.common == common == SymbolVocabulary.build(texts).splitting.normal_form
    message = found.describe_mixture()
    is_mixed = counts[2] > 0 or min(counts[:2]) > 0
    assert (message is not None) == is_mixed
    if message:
        assert f"{counts[0]} forms in NFC, {counts[1]} in NFD, {counts[2]} in neither" in message
        assert "converted to NFC" in message


def test_mixed_normal_forms_of_a_word_are_equal():
    vocabulary = SymbolVocabulary.build(["é", nfd("é")])
    assert len(vocabulary) == 5
    assert vocabulary.encode("é") == vocabulary.encode(nfd("é")) == [4, EOS]


def test_unknown_symbols_and_tags():
    vocabulary = SymbolVocabulary.build(["ab"], ["V"])
    ids = vocabulary.encode("aßb", ["N", "V"])
    assert ids == [UNK, 4, 5, UNK, 6, EOS]
    assert vocabulary.decode(ids[1:]) == "a⁇b"
    assert vocabulary.decode(ids[1:], ["ß"]) == "aßb"
    assert vocabulary.labels("ß", ["N"]) == ["[N]", "ß", "</s>"]
    assert vocabulary.is_unknown(vocabulary.encode("ßß", ["V"]))
    assert not vocabulary.is_unknown(vocabulary.encode("aß"))
    counts: Counter[str] = Counter()
    for form in ("aß", "ß", "b"):
        counts.update(vocabulary.unknown(form, ["N"] if form == "b" else []))
    assert counts == {"ß": 2, "[N]": 1}
    assert describe_unknown(counts) == (
        "2 symbols not in the vocabulary, 3 in total, read as <unk>: 'ß' (2), '[N]' (1)"
    )
    assert describe_unknown(counts, shown=1).endswith(": 'ß' (2), …")
    assert describe_unknown(Counter()) is None


def test_building_needs_forms():
    with pytest.raises(DataError, match="no forms"):
        SymbolVocabulary.build(iter([]))
    for arguments in (("abc",), (["abc"], "abc")):
        with pytest.raises(UserError, match="one string"):
            SymbolVocabulary.build(*arguments)
    with pytest.raises(ValueError, match="empty or repeated"):
        SymbolVocabulary(["a", "a"], Splitting())
    with pytest.raises(ValueError, match="zip"):
        SymbolVocabulary(["a"], Splitting()).encode_all(["a", "a"], [["V"]])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "symbols.json"
    SymbolVocabulary.build(["aé\r", ' "\u2028\\'], ["V;1", "PST"], unit="nfd").save(path)
    return path


def test_saved_text_is_readable_and_loads(saved):
    vocabulary = SymbolVocabulary.load(saved)
    assert vocabulary.splitting.unit == "nfd"
    assert vocabulary.tags == ("PST", "V;1")
    assert not vocabulary.splitting.separated
    assert vocabulary.decode(vocabulary.encode('aé" ', ["PST"])) == 'aé" '
    assert ' "a",\n' in saved.read_text(encoding="utf-8")
    before = saved.read_bytes()
    vocabulary.save(saved)
    assert saved.read_bytes() == before
    again = SymbolVocabulary.build(["aé\r", ' "\u2028\\'], ["V;1", "PST"], unit="nfd")
    assert again.fingerprint() == vocabulary.fingerprint()


@pytest.mark.parametrize("unit", UNITS)
@given(texts=st.lists(forms, min_size=1), separated=st.booleans(), tags=st.lists(forms))
@settings(max_examples=30, deadline=None)
def test_saving_keeps_everything(tmp_path_factory, unit, texts, separated, tags):
    path = tmp_path_factory.mktemp("symbols") / "x"
    vocabulary = SymbolVocabulary.build(texts, tags, unit=unit, separated=separated)
    vocabulary.save(path)
    loaded = SymbolVocabulary.load(path)
    assert loaded.fingerprint() == vocabulary.fingerprint()
    ids = range(len(vocabulary))
    assert loaded.pieces(ids) == vocabulary.pieces(ids)
    assert loaded.encode(texts[0], tags) == vocabulary.encode(texts[0], tags)


def test_settings_are_part_of_the_identity():
    prints = [
        SymbolVocabulary(["a"], Splitting()).fingerprint(),
        SymbolVocabulary([], Splitting(), ["a"]).fingerprint(),
        SymbolVocabulary(["a"], Splitting("nfd")).fingerprint(),
        SymbolVocabulary(["a"], Splitting(separated=True)).fingerprint(),
        SymbolVocabulary(["a"], Splitting(normal_form="NFD")).fingerprint(),
    ]
    assert len(set(prints)) == len(prints)


def test_every_truncation_is_refused(saved):
    # A last newline alone may be missing.
    content = saved.read_bytes().rstrip()
    for length in range(len(content)):
        saved.write_bytes(content[:length])
        with pytest.raises(
            DataError, match=r"symbols\.json: not a vocabulary of symbols, or trunc"
        ):
            SymbolVocabulary.load(saved)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "words"}, r"not a vocabulary of symbols, or truncated \(unit: "),
        ({"format": "other"}, r"\(format: "),
        ({"symbols": [1]}, r"\(symbols\.0: "),
        ({"extra": 1}, r"\(extra: "),
        ({"symbols": ["a", "a"]}, "damaged: a symbol is empty or repeated"),
        ({"tags": [""]}, "damaged: a tag is empty or repeated"),
        ({"symbols": ["a"]}, "was changed after it was saved"),
        ({"separated": True}, "was changed after it was saved"),
    ],
)
def test_damaged_files_are_refused(saved, change, message):
    saved.write_text(json.dumps(json.loads(saved.read_text(encoding="utf-8")) | change))
    with pytest.raises(DataError, match=rf"symbols\.json: .*{message}"):
        SymbolVocabulary.load(saved)


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        SymbolVocabulary.load(tmp_path / "gone")
    (tmp_path / "latin").write_bytes(b'{"format": "\xff"}')
    with pytest.raises(DataError, match="not a vocabulary of symbols"):
        SymbolVocabulary.load(tmp_path / "latin")
    with pytest.raises(OutputError):
        SymbolVocabulary(["a"], Splitting()).save(tmp_path)
