"""What a seed decides, how varied the sentences are, and the files they are written to."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import fields, is_dataclass
from enum import Enum
from itertools import islice
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from pyro_align.corpus.links import LinkFile, check_links
from pyro_align.corpus.synthetic import SyntheticPair, files, generate, lexicon, write
from pyro_align.corpus.synthetic.generate import LONGEST, SHORTEST, draw, meanings
from pyro_align.corpus.synthetic.lexicon import Lexeme
from pyro_align.corpus.synthetic.meaning import Word
from pyro_align.errors import UserError


@pytest.fixture(scope="module")
def pairs() -> list[SyntheticPair]:
    return list(generate(10_000, seed=5))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(), few=st.integers(0, 20), more=st.integers(0, 20))
def test_fewer_pairs_are_the_first_of_more(seed, few, more) -> None:
    assert list(generate(few, seed)) == list(generate(few + more, seed))[:few]


def test_seeds_differ() -> None:
    first, second, third = (list(generate(50, seed)) for seed in (1, 2, -1))
    assert len({pair.source for pair in (*first, *second, *third)}) > 140


def test_no_hash_order_is_involved() -> None:
    code = (
        "from pyro_align.corpus.synthetic import generate;"
        "print([(p.source, p.target, sorted(p.links)) for p in generate(300, 9)])"
    )
    # Strings hash differently there, as they do from one process to the next.
    other = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", code],
        env={**os.environ, "PYTHONHASHSEED": "4321"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    ).stdout
    here = [(pair.source, pair.target, sorted(pair.links)) for pair in generate(300, 9)]
    assert other.strip() == str(here)


def test_sentences_are_clean(pairs) -> None:
    for pair in pairs:
        for text in (pair.source, pair.target):
            words = text.split(" ")
            assert all(words)
            assert text == " ".join(text.split())
            assert SHORTEST <= len(words) <= LONGEST
            assert words[-1] in {".", "?", "!"}
        check_links(pair.links, len(pair.source.split()), len(pair.target.split()))


def test_the_lengths_spread(pairs) -> None:
    lengths = [len(pair.source.split()) for pair in pairs]
    assert 8.5 < sum(lengths) / len(lengths) < 10.5
    counts = Counter(lengths)
    assert all(counts[length] > 50 for length in range(SHORTEST, 18))
    assert (SHORTEST, LONGEST) == (4, 20)


def test_sentences_are_distinct_and_new() -> None:
    sources = {pair.source for pair in generate(20_000, seed=0)}
    assert len(sources) > 0.97 * 20_000
    held_out = [pair.source for pair in islice(draw("held-out 0"), 1000)]
    assert sum(source in sources for source in held_out) < 0.06 * len(held_out)


@pytest.mark.parametrize("word", ["a", "an"])
def test_a_stands_before_consonants_and_an_before_vowels(pairs, word) -> None:
    # No word of the lexicon is spelt otherwise than it sounds in this.
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


def test_every_lexeme_is_reachable() -> None:
    found: set[Lexeme] = set()
    for meaning, _ in islice(meanings("reach"), 6_000):
        found |= lexemes(meaning, set())
    tables = (lexicon.NOUNS, lexicon.VERBS, lexicon.ADJECTIVES, lexicon.NAMES, lexicon.PHRASES)
    missing = [lexeme.name for table in tables for lexeme in table if lexeme not in found]
    assert not missing
    assert sum(map(len, tables)) > 250


def test_every_number_and_modal_verb_is_reachable(pairs) -> None:
    words = {word for pair in pairs for word in pair.source.split()}
    numbers = ["zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"]
    modals = ["kann", "muss", "will", "soll", "darf", "möchte", "gern", "gerne"]
    assert words >= {*numbers, *modals}


def test_written_files(tmp_path: Path) -> None:
    written = write(300, 4, tmp_path / "corpus", held_out=40)
    assert {name: part.pairs for name, part in written.items()} == {
        "train": 300,
        "val": 40,
        "test": 40,
    }
    sources: dict[str, list[str]] = {}
    for name, part in written.items():
        stem = tmp_path / "corpus" / name
        german = stem.with_suffix(".de").read_text(encoding="utf-8").splitlines()
        english = stem.with_suffix(".en").read_text(encoding="utf-8").splitlines()
        links = [line.sure for line in LinkFile(stem.with_suffix(".links"))]
        assert len(german) == len(english) == len(links) == part.pairs
        assert part.source_words == sum(len(line.split()) for line in german)
        assert part.target_words == sum(len(line.split()) for line in english)
        assert part.links == sum(map(len, links))
        sources[name] = german
        by_source = {pair.source: pair for pair in generate(400, 4)} if name == "train" else {}
        for source, target, link in zip(german, english, links, strict=True):
            if source in by_source:
                assert by_source[source].links == link or by_source[source].target != target
    assert len(list((tmp_path / "corpus").iterdir())) == 9
    assert not {*sources["train"]} & {*sources["val"], *sources["test"]}
    assert len({*sources["val"], *sources["test"]}) == 80
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_held_out_sentences_stay_out_of_the_training_text(tmp_path: Path, monkeypatch) -> None:
    pool = list(islice(draw("pool"), 400))
    # Both streams run through the same sentences.
    monkeypatch.setattr(files, "draw", lambda stream: iter(pool * 3))
    write(250, 0, tmp_path / "corpus", held_out=30)
    parts = {
        name: {*(tmp_path / "corpus" / f"{name}.de").read_text(encoding="utf-8").splitlines()}
        for name in ("train", "val", "test")
    }
    assert not parts["train"] & (parts["val"] | parts["test"])
    assert not parts["val"] & parts["test"]


def test_more_training_text_leaves_the_held_out_text_alone(tmp_path: Path) -> None:
    for pairs in (20, 60):
        write(pairs, 7, tmp_path / str(pairs), held_out=10)
    for name in ("val.de", "val.en", "test.links"):
        assert (tmp_path / "20" / name).read_bytes() == (tmp_path / "60" / name).read_bytes()
    few = (tmp_path / "20" / "train.en").read_text(encoding="utf-8").splitlines()
    many = (tmp_path / "60" / "train.en").read_text(encoding="utf-8").splitlines()
    assert many[:20] == few


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    write(5, 0, tmp_path / "corpus", held_out=2)
    before = (tmp_path / "corpus" / "train.de").read_bytes()
    with pytest.raises(UserError, match="not an empty folder"):
        write(5, 1, tmp_path / "corpus", held_out=2)
    assert (tmp_path / "corpus" / "train.de").read_bytes() == before
    with pytest.raises(UserError, match="at least 1 training pair, not 0"):
        write(0, 1, tmp_path / "other")


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch) -> None:
    def fail(links) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "format_links", fail)
    with pytest.raises(OSError, match="No space"):
        write(5, 0, tmp_path / "corpus", held_out=2)
    assert list(tmp_path.iterdir()) == []


def test_the_command(tmp_path: Path) -> None:
    from pyro_align.cli.data import data

    arguments = ["synthetic", "--pairs", "50", "--seed", "3", "--out", str(tmp_path / "corpus")]
    result = CliRunner().invoke(data, arguments)
    assert result.exit_code == 0, result.output
    assert "train" in result.output
    lines = (tmp_path / "corpus" / "train.de").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 50
    assert any(line in result.output for line in lines)
    again = CliRunner().invoke(data, arguments)
    assert isinstance(again.exception, UserError)
