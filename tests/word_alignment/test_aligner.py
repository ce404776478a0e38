"""Alignment of sentence pairs with small trained models."""

import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import sentence_pairs, shared_run, write_text

import pyro_align
from pyro_align.data import GoldLinks, ParallelText
from pyro_align.data.batch import TextBatch
from pyro_align.errors import DataError, IncompatibleError
from pyro_align.guides import NoGuide
from pyro_align.models import DirichletModel, SoftModel
from pyro_align.word_alignment import (
    SYMMETRISATIONS,
    Aligner,
    Pair,
    PairText,
    Threshold,
    WordTables,
    writer,
)

PAIRS = [Pair(*sentences, line) for line, sentences in enumerate(sentence_pairs(20, 5), start=1)]


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_run())


def tables(run, **options):
    return WordTables(run.model, run.guide, run.vocabularies, **options)


@torch.no_grad()
def test_tables_follow_bayes_rule_and_sum_over_pieces(run):
    source, target = "ein vogel ruft", "a bird calls no"
    (found,) = tables(run)(tables(run).encode([(source, target)]))
    source_ids, source_words = run.source_vocabulary.words(source)
    target_ids, target_words = run.target_vocabulary.words(target)
    assert len(source_ids) > 4  # some word has several pieces
    batch = TextBatch.from_ids([source_ids], [target_ids])
    states = run.model.states(batch)
    joint = [
        states.scores.softmax(-1)[0, :, s]
        * run.model.emission(states, torch.full(batch.target.shape, s))
        .log_prob(batch.target)[0]
        .exp()
        for s in range(len(source_ids))
    ]
    posterior = torch.stack(joint, -1) / sum(joint).unsqueeze(-1)
    for j in range(4):
        rows = [row for row, word in zip(posterior, target_words, strict=True) if word == j]
        for i in (0, 1, 2, -1):
            mass = [sum(row[s] for s, word in enumerate(source_words) if word == i) for row in rows]
            expected = sum(mass).item() / len(rows)
            value = found.null[j] if i < 0 else found.weights[j, i]
            assert value.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("origin", ["posterior", "guide", "prior"])
def test_links_equal_those_of_the_evaluation(tmp_path, run, origin):
    aligner = Aligner(tables(run, origin=origin))
    gold = [GoldLinks(frozenset(aligned.links)) for aligned in aligner.align(PAIRS)]
    assert sum(len(links.sure) for links in gold) > 20
    files = write_text(tmp_path, "text", [(pair.source, pair.target) for pair in PAIRS])
    found = run.evaluate(ParallelText.open(files), gold, translate=False)
    rates = {name: rate.error_rate for name, rate in found.error_rates.items()}
    assert rates[origin] == 0
    assert sum(rate > 0 for rate in rates.values()) == 2


def test_the_default_origin_is_the_first_available(run):
    networks, vocabularies = run.model.networks, run.vocabularies
    soft, relaxed = SoftModel(networks).eval(), DirichletModel(networks).eval()
    for model, guide, origin in (
        (run.model, run.guide, "posterior"),
        (soft, NoGuide(soft), "prior"),
        (relaxed, NoGuide(relaxed), "prior"),
    ):
        chosen = WordTables(model, guide, vocabularies)
        given = WordTables(model, guide, vocabularies, origin=origin)
        pieces = chosen.encode([("ein hund", "a dog")])
        torch.testing.assert_close(chosen(pieces)[0].weights, given(pieces)[0].weights)
        assert chosen.origin == origin
    with pytest.raises(IncompatibleError, match=r"have no posterior .*: prior"):
        WordTables(soft, NoGuide(soft), vocabularies, origin="posterior")(pieces)


def listed(aligner, pairs=PAIRS):
    found = list(aligner.align(pairs))
    assert [aligned.pair for aligned in found] == list(pairs)
    return [aligned.links for aligned in found]


@pytest.mark.parametrize("symmetrise", SYMMETRISATIONS)
@pytest.mark.parametrize(("tokens", "window"), [(1, 3), (40, 7), (10_000, 100)])
def test_links_do_not_depend_on_batches_and_windows(run, tokens, window, symmetrise):
    options = {"decode": Threshold(0.2), "symmetrise": SYMMETRISATIONS[symmetrise]}
    both = tables(run), tables(run)
    expected = listed(Aligner(*both, **options))
    found = listed(Aligner(*both, batch_tokens=tokens, window=window, **options))
    for one, other in zip(found, expected, strict=True):
        assert list(one) == list(other)
        assert one == pytest.approx(other, rel=1e-4)


def test_the_reverse_direction_swaps_source_and_target(run):
    """With one run for both directions, swapping source and target transposes the union."""
    union = SYMMETRISATIONS["union"]
    aligner = Aligner(tables(run), tables(run), symmetrise=union)
    pairs = [Pair(*sentence, 1) for sentence in zip(*[iter(LINES)] * 2, strict=True)]
    turned = [Pair(pair.target, pair.source, 1) for pair in pairs]
    for one, other in zip(listed(aligner, pairs), listed(aligner, turned), strict=True):
        assert one
        assert {(t, s) for s, t in one} == set(other)


LINES = [pair.source for pair in PAIRS]


def test_at_most_one_window_is_read_ahead(run):
    read = []

    def stream():
        for pair in PAIRS:
            read.append(pair)
            yield pair

    found = Aligner(tables(run), window=4).align(stream())
    next(found)
    assert len(read) == 4


def test_long_sentences_are_rejected(run):
    long = Pair("ein", "a " * 30, 7)
    aligner = Aligner(tables(run), max_length=20)
    with pytest.raises(DataError, match=r":7: the target sentence has \d+ tokens, but at most 20"):
        list(aligner.align([long]))
    assert listed(Aligner(tables(run)), [long])[0]


WORDS = st.text(st.sampled_from("ab|-语\u0301"), min_size=1, max_size=4).filter(
    lambda w: w != "|||"
)
SPACES = st.sampled_from([" ", "  ", "\u00a0", "\u2028", "\x0b", "\x1c"])
SIDES = st.lists(st.tuples(WORDS, SPACES), max_size=5).map(
    lambda parts: "".join(word + space for word, space in parts)
)
TEXTS = st.lists(st.tuples(SIDES, SIDES, st.sampled_from(["{} ||| {}", "{}\t{}"])), max_size=6)


@settings(max_examples=25, deadline=None)
@given(TEXTS, st.sampled_from(["pharaoh", "talp", "jsonl"]), st.sampled_from([None, "union"]))
def test_each_input_line_has_one_output_line(run, lines, form, symmetrise):
    text = "".join(f"{layout.format(*sides)}\n" for *sides, layout in lines)
    options = {} if symmetrise is None else {"symmetrise": SYMMETRISATIONS[symmetrise]}
    reverse = None if symmetrise is None else tables(run)
    aligner = Aligner(tables(run), reverse, window=4, **options)
    found = list(aligner.align(PairText.open([io.BytesIO(text.encode())])))
    written = "".join(map(writer(form), found))
    assert written.count("\n") == len(lines)
    for (source, target, _), aligned in zip(lines, found, strict=True):
        for i, j in aligned.links:
            assert 0 <= i < len(source.split())
            assert 0 <= j < len(target.split())
        if not (source.split() and target.split()):
            assert not aligned.links
