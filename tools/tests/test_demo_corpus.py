"""The built-in corpus: its files, its contents, and the variety of its sentences."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import islice

import pytest
from demo_grammar import SyntheticPair, corpus, lexicon, make, meanings, to_tsv, write
from demo_grammar.generate import LONGEST, SHORTEST, draw
from demo_grammar.lexicon import Lexeme
from demo_grammar.meaning import Word

from pyro_align.data.demo import FILES
from pyro_align.data.links import check_links


@pytest.fixture(scope="module")
def parts() -> dict[str, list[SyntheticPair]]:
    return make()


@pytest.fixture(scope="module")
def pairs(parts) -> list[SyntheticPair]:
    return [pair for part in parts.values() for pair in part]


def test_package_files_match_the_grammar(parts):
    # String hashes differ between processes, so the result must not depend on them.
    assert FILES.keys() == parts.keys()
    for name, file in FILES.items():
        assert gzip.decompress(file.read_bytes()).decode() == to_tsv(parts[name]), name
    assert sum(file.stat().st_size for file in FILES.values()) < 500_000


def test_files_are_reproducible(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "make", lambda: make(train=20, held_out=5))
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder)
    for name in ("train", "val", "test"):
        one, other = (tmp_path / folder / f"{name}.tsv.gz" for folder in ("one", "other"))
        assert one.read_bytes() == other.read_bytes()


def test_sentences_are_clean(pairs):
    for pair in pairs:
        for text in (pair.source, pair.target):
            words = text.split(" ")
            assert all(words)
            assert text == " ".join(text.split())
            assert SHORTEST <= len(words) <= LONGEST
            assert words[-1] in {".", "?", "!"}
        check_links(pair.links, len(pair.source.split()), len(pair.target.split()))


def test_lengths_vary(pairs):
    lengths = [len(pair.source.split()) for pair in pairs]
    assert 8.5 < sum(lengths) / len(lengths) < 10.5
    counts = Counter(lengths)
    assert all(counts[length] > 30 for length in range(SHORTEST, 18))
    assert (SHORTEST, LONGEST) == (4, 20)


def test_held_out_sentences_are_not_in_the_training_data(parts):
    sources = {name: [pair.source for pair in part] for name, part in parts.items()}
    assert len({*sources["train"]}) > 0.97 * len(sources["train"])
    held_out = {*sources["val"], *sources["test"]}
    assert len(held_out) == len(sources["val"]) + len(sources["test"]) == 1000
    assert not held_out & {*sources["train"]}


def test_sentences_in_both_streams_are_not_in_the_training_data(monkeypatch):
    pool = list(islice(draw("pool"), 400))
    monkeypatch.setattr(corpus, "draw", lambda stream: iter(pool * 3))
    found = {name: {pair.source for pair in part} for name, part in make(250, 30).items()}
    assert not found["train"] & (found["val"] | found["test"])
    assert not found["val"] & found["test"]


@pytest.mark.parametrize("word", ["a", "an"])
def test_articles_agree_with_the_next_letter(pairs, word):
    # Every word of the lexicon that starts with a vowel sound starts with a vowel letter.
    following = {
        after
        for pair in pairs
        for before, after in zip(pair.target.split(), pair.target.split()[1:], strict=False)
        if before == word
    }
    assert len(following) > 5
    assert all((after[0].lower() in "aeiou") == (word == "an") for after in following)


def lexemes(node: object, seen: set[int]) -> set[Lexeme]:
    """All lexemes of a meaning."""
    if isinstance(node, Word):
        return {node.lexeme}
    if id(node) in seen or isinstance(node, Enum):
        return set()
    seen.add(id(node))
    if isinstance(node, tuple):
        return set().union(*(lexemes(part, seen) for part in node))
    if not is_dataclass(node):
        return set()
    parts = (getattr(node, field.name) for field in fields(node))
    return set().union(*(lexemes(part, seen) for part in parts))


def test_every_lexeme_is_reachable():
    found: set[Lexeme] = set()
    for meaning, _ in islice(meanings("reach"), 4_000):
        found |= lexemes(meaning, set())
    tables = (lexicon.NOUNS, lexicon.VERBS, lexicon.ADJECTIVES, lexicon.NAMES, lexicon.PHRASES)
    missing = [lexeme.name for table in tables for lexeme in table if lexeme not in found]
    assert not missing
    assert sum(map(len, tables)) > 250


def test_every_number_and_modal_verb_is_reachable(pairs):
    words = {word for pair in pairs for word in pair.source.split()}
    numbers = ["zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"]
    modals = ["kann", "muss", "will", "soll", "darf", "möchte", "gern", "gerne"]
    assert words >= {*numbers, *modals}
