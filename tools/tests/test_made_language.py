"""The built-in words: their files, pronunciation rules and gold links."""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict

import made_language
import pytest
from made_language import SIZES, make, pronounce, to_tsv, write

from pyro_align.data import SymbolVocabulary, check_links
from pyro_align.data.demo import words
from pyro_align.data.forms import FormText


@pytest.fixture(scope="module")
def parts() -> dict[str, list[made_language.MadeWord]]:
    return make()


def test_package_files_match_the_rules(parts):
    # String hashes differ between processes, so the result must not depend on them.
    assert words.FILES.keys() == parts.keys()
    for name, file in words.FILES.items():
        assert gzip.decompress(file.read_bytes()).decode() == to_tsv(parts[name]), name
    assert sum(file.stat().st_size for file in words.FILES.values()) < 100_000


def test_files_are_reproducible(tmp_path, monkeypatch):
    monkeypatch.setattr(made_language, "SIZES", {"train": 20, "val": 5})
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder)
    for name in ("train", "val"):
        one, other = (tmp_path / folder / f"words.{name}.tsv.gz" for folder in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()


def test_words_are_distinct(parts):
    assert {name: len(part) for name, part in parts.items()} == SIZES
    spellings = [word.spelling for part in parts.values() for word in part]
    assert len(set(spellings)) == len(spellings)


@pytest.mark.parametrize(
    ("spelling", "phonemes"),
    [
        # c, g and n before different letters
        ("cat", "k ˈa t"),
        ("cent", "s ˈɛ n t"),
        ("gat", "ɡ ˈa t"),
        ("gist", "d͡ʒ ˈɪ s t"),
        ("guist", "ɡ ˈɪ s t"),
        ("manca", "m ˈa ŋ k a"),
        ("mance", "m ˈa n s ə"),
        ("rang", "r ˈa ŋ"),
        ("ranga", "r ˈa ŋ ɡ a"),
        ("rangi", "r ˈa n d͡ʒ ɪ"),
        # digraphs, x and qu, silent and double letters
        ("shatha", "ʃ ˈaː θ a"),
        ("phick", "f ˈɪ k"),
        ("chax", "t͡ʃ ˈa k s"),
        ("quilla", "k w ˈɪ l a"),
        ("hata", "ˈaː t a"),
        ("taha", "t ˈaː h a"),
        # s between vowels, and final devoicing
        ("sasa", "s ˈaː z a"),
        ("bad", "b ˈa t"),
        ("dava", "d ˈaː v a"),
        ("dov", "d ˈɔ f"),
        # vowels: length, silent e, reduction, ti before a vowel
        ("mat", "m ˈa t"),
        ("mate", "m ˈaː t"),
        ("matte", "m ˈa t ə"),
        ("mateto", "m a t ˈeː t ɔ"),
        ("meta", "m ˈeː t a"),
        ("metami", "m ə t ˈaː m ɪ"),
        ("nation", "n ˈaː ʃ ɔ n"),
        # stress on a heavy last syllable, otherwise on the last but one
        ("talant", "t a l ˈa n t"),
        ("taloo", "t a l ˈuː"),
        ("talame", "t a l ˈaː m"),
        ("tailona", "t ɛː l ˈoː n a"),
    ],
)
def test_pronunciation(spelling, phonemes):
    assert " ".join(pronounce(spelling).phonemes) == phonemes


@pytest.mark.parametrize(
    ("spelling", "sure", "possible"),
    [
        ("shate", {(2, 1), (3, 2)}, {(0, 0), (1, 0)}),
        ("hax", {(1, 0), (2, 1), (2, 2)}, set()),
        ("quee", {(0, 0), (1, 1)}, {(2, 2), (3, 2)}),
        ("guilla", {(2, 1), (5, 3)}, {(0, 0), (1, 0), (3, 2), (4, 2)}),
    ],
)
def test_links(spelling, sure, possible):
    links = pronounce(spelling).links
    assert (links.sure, links.possible) == (sure, sure | possible)


def test_every_phoneme_has_links_and_every_word_one_stress(parts):
    for word in (word for part in parts.values() for word in part):
        check_links(word.links.possible, len(word.spelling), len(word.phonemes))
        linked = Counter(phoneme for _, phoneme in word.links.possible)
        sure = Counter(phoneme for _, phoneme in word.links.sure)
        for i in range(len(word.phonemes)):
            assert (linked[i], sure[i]) in {(1, 1), (2, 0)}
        assert sum(phoneme.startswith("ˈ") for phoneme in word.phonemes) == 1
        # Links never cross.
        links = sorted(word.links.possible, key=lambda link: (link[1], link[0]))
        assert [letter for letter, _ in links] == sorted(letter for letter, _ in links)


def test_letters_are_ambiguous_and_all_symbols_are_learnable(parts):
    heard: dict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    for word in parts["train"]:
        counts.update(word.phonemes)
        for letter, i in word.links.possible:
            heard[word.spelling[letter]].add(word.phonemes[i])
    assert all(len(heard[letter]) >= 3 for letter in "aeioucgst")
    assert min(counts.values()) >= 20
    for word in parts["val"] + parts["test"]:
        assert counts.keys() >= {*word.phonemes}


def test_the_files_are_read_as_forms(parts, tmp_path):
    words.write_words(tmp_path / "data")
    for name, expected in parts.items():
        text = words.demo_words(tmp_path / "data", name)
        assert text.fingerprint() == FormText([words.FILES[name]], words.LAYOUT).fingerprint()
        assert [
            (pair.source, tuple((pair.target or "").split(" ")), pair.links) for pair in text
        ] == [(word.spelling, word.phonemes, word.links) for word in expected]
    targets = [pair.target or "" for pair in words.demo_words(tmp_path / "data", "train")]
    vocabulary = SymbolVocabulary.build(targets)
    assert vocabulary.splitting.separated
    assert vocabulary.split(targets[0]) == [*parts["train"][0].phonemes]
    with pytest.raises(FileExistsError):
        words.write_words(tmp_path / "data")
