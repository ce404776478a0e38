import itertools

import pytest
import torch
from support import randomise, tiny_networks

from pyro_align.data.batch import EOS
from pyro_align.data.vocabulary import Vocabulary
from pyro_align.decoding import BeamSearch, Translator
from pyro_align.errors import ConfigError, DataError, UserError
from pyro_align.models import CategoricalModel

GERMAN = ["ein hund bellt", "eine katze schläft", "der hund sieht die katze", "ein mann"]
ENGLISH = ["a dog barks", "a cat sleeps", "the dog sees the cat", "a man"]
LINES = [GERMAN[2], "", *GERMAN, " \t ", GERMAN[0], "日本語 中文"]


@pytest.fixture(scope="module")
def vocabularies():
    return tuple(Vocabulary.train(text * 5, 40, "bpe") for text in (GERMAN, ENGLISH))


@pytest.fixture
def search(vocabularies):
    source, target = map(len, vocabularies)
    model = CategoricalModel(tiny_networks(vocabulary=target, source_vocabulary=source))
    randomise(model, seed=3, scale=1.0)
    with torch.no_grad():
        model.networks.emission.bias[EOS] += 2.0
    return BeamSearch(model.eval(), beam=3, n_best=2)


@pytest.fixture
def translator(search, vocabularies):
    return Translator(search, *vocabularies)


def test_translations_equal_those_of_single_searches(translator, search, vocabularies):
    source, target = vocabularies
    for line, translation in zip(LINES, translator.translate(LINES), strict=True):
        if not line.strip():
            assert translation.text == ""
            assert translation.hypotheses == ()
            continue
        (found,) = search.search([source.encode(line)])
        assert [h.text for h in translation.hypotheses] == [target.decode(h.tokens) for h in found]
        assert [h.score for h in translation.hypotheses] == pytest.approx([h.score for h in found])
        assert translation.text == translation.hypotheses[0].text


def test_lines_are_numbered_in_order(search, vocabularies):
    numbers = [t.line for t in Translator(search, *vocabularies, window=2).translate(LINES)]
    assert numbers == list(range(1, len(LINES) + 1))


@pytest.mark.parametrize("window", [1, 2, 5, 100])
@pytest.mark.parametrize("batch_tokens", [1, 12, 1000])
def test_batching_does_not_change_the_result(
    translator, search, vocabularies, window, batch_tokens
):
    other = Translator(search, *vocabularies, window=window, batch_tokens=batch_tokens)
    texts = [translation.text for translation in other.translate(LINES)]
    assert texts == [translation.text for translation in translator.translate(LINES)]


def test_batches_are_within_the_token_budget(search, vocabularies, monkeypatch):
    sizes = []
    real = search.search
    monkeypatch.setattr(
        search, "search", lambda ids: sizes.append([len(one) for one in ids]) or real(ids)
    )
    list(Translator(search, *vocabularies, batch_tokens=25).translate(GERMAN * 5))
    assert all(len(size) == 1 or len(size) * max(size) <= 25 for size in sizes)
    # As few batches as this order allows: no batch had space for the next sentence.
    for size, following in itertools.pairwise(sizes):
        assert (len(size) + 1) * max(size) > 25
        assert min(size) >= max(following)


def test_a_stream_is_read_one_window_ahead(search, vocabularies):
    read = []

    def endless():
        for line in itertools.cycle(GERMAN):
            read.append(line)
            yield line

    translations = Translator(search, *vocabularies, window=3).translate(endless())
    for number in range(1, 8):
        assert next(translations).line == number
        assert len(read) <= number + 2


def test_a_line_of_unknown_tokens_is_translated_and_marked(translator):
    marks = [translation.unknown for translation in translator.translate(LINES)]
    assert marks == [False] * (len(LINES) - 1) + [True]


def test_a_line_that_is_too_long_is_rejected_with_its_number(search, vocabularies, tmp_path):
    translator = Translator(search, *vocabularies, max_source=30, window=2)
    lines = [*GERMAN[:2], "", "hund " * 40, GERMAN[0]]
    translations = translator.translate(lines, tmp_path / "in.de")
    assert [next(translations).line, next(translations).line] == [1, 2]
    with pytest.raises(DataError, match=r"in\.de:4: .* at most 30") as error:
        next(translations)
    assert error.value.line == 4
    with pytest.raises(DataError, match="<stdin>:4:"):
        list(translator.translate(lines))


def test_a_line_of_maximum_length_is_translated(search, vocabularies):
    pieces = len(vocabularies[0].encode(GERMAN[2]))
    translator = Translator(search, *vocabularies, max_source=pieces)
    assert len(list(translator.translate([GERMAN[2]]))) == 1


def test_a_single_string_is_rejected(translator):
    with pytest.raises(UserError, match=r"lines is one string: .*\['der Hund'\]"):
        translator.translate("der Hund")


def test_no_lines(translator):
    assert list(translator.translate([])) == []


@pytest.mark.parametrize("name", ["max_source", "batch_tokens", "window"])
def test_options_out_of_range_are_rejected(search, vocabularies, name):
    with pytest.raises(ConfigError, match=name):
        Translator(search, *vocabularies, **{name: 0})
