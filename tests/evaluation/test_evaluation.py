"""Evaluation against loops over single tokens and a case computed by hand."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from runs import sentence_pairs, shared_corpus, shared_run, write_text
from sacrebleu.metrics.bleu import BLEU

import pyro_align
from pyro_align.data import GoldLinks, LinkFile, ParallelText, Vocabulary, parse_links
from pyro_align.data.batch import UNK, TextBatch
from pyro_align.errors import DataError
from pyro_align.evaluation import check_text, evaluate_positions
from pyro_align.guides import NoGuide
from pyro_align.models import DirichletModel


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_run())


@pytest.fixture(scope="module")
def text():
    return ParallelText.open(shared_corpus()["valid"])


def one_by_one(run, text):
    """Sums over target tokens, by loops over sentences and alignments."""
    sums = dict.fromkeys(
        ("log_evidence", "elbo", "kl", "gap", "prior_entropy", "posterior_entropy"), 0.0
    )
    tokens = 0
    for pair in text:
        batch = TextBatch.from_ids(
            [run.source_vocabulary.encode(pair.source)], [run.target_vocabulary.encode(pair.target)]
        )
        states = run.model.states(batch)
        prior = states.scores.softmax(-1)[0].double()
        guide = run.guide.scores(batch).softmax(-1)[0].double()
        emission = torch.stack(
            [
                run.model.emission(states, torch.full(batch.target.shape, s)).log_prob(
                    batch.target
                )[0]
                for s in range(batch.source.shape[1])
            ],
            dim=-1,
        ).double()
        for p, q, e in zip(prior.tolist(), guide.tolist(), emission.tolist(), strict=True):
            joint = [math.log(a) + b for a, b in zip(p, e, strict=True)]
            evidence = math.log(sum(map(math.exp, joint)))
            posterior = [math.exp(value - evidence) for value in joint]
            sums["log_evidence"] += evidence
            sums["elbo"] += sum(w * (j - math.log(w)) for w, j in zip(q, joint, strict=True))
            sums["kl"] += sum(w * math.log(w / a) for w, a in zip(q, p, strict=True))
            sums["gap"] += sum(w * math.log(w / a) for w, a in zip(q, posterior, strict=True))
            sums["prior_entropy"] -= sum(a * math.log(a) for a in p)
            sums["posterior_entropy"] -= sum(a * math.log(a) for a in posterior)
            tokens += 1
    return tokens, {name: value / tokens for name, value in sums.items()}


@torch.no_grad()
def test_means_equal_those_of_single_tokens(run, text):
    tokens, expected = one_by_one(run, text)
    found = run.evaluate(text, translate=False)
    assert found.positions.tokens == tokens
    assert found.sentences == 6
    for name, value in expected.items():
        assert getattr(found.positions, name) == pytest.approx(value, rel=1e-4, abs=1e-6), name
    assert found.positions.perplexity == pytest.approx(
        math.exp(-expected["log_evidence"]), rel=1e-4
    )
    assert expected["log_evidence"] > expected["elbo"]


@pytest.mark.parametrize("batch_tokens", [1, 20, 10_000])
def test_the_size_of_batches_does_not_matter(run, text, batch_tokens):
    vocabularies = (run.source_vocabulary, run.target_vocabulary)
    told = []
    found = evaluate_positions(
        run.model,
        run.guide,
        text,
        vocabularies,
        batch_tokens=batch_tokens,
        max_length=100,
        progress=told.append,
    )
    expected = run.evaluate(text, translate=False).to_dict()
    assert found.to_dict() == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert told[-1] == 6
    assert told == sorted(told)


@pytest.fixture(scope="module")
def words():
    """Vocabularies in which every word of the hand-computed case is one token."""
    german, english = "aa bb cc", "xx yy zz"
    return Vocabulary.train([german] * 9, 14, "bpe"), Vocabulary.train([english] * 9, 14, "bpe")


class ByHand:
    """A model with given alignment probabilities, and emission 1/2 if the words correspond."""

    PAIRS = (("aa", "xx"), ("bb", "yy"), ("cc", "zz"))

    def __init__(self, vocabularies):
        source, target = vocabularies
        size = len(target)
        # Half for the word that corresponds, the rest for all others.
        table = torch.full((len(source), size), 0.5 / (size - 1))
        for german, english in (*self.PAIRS, ("", "")):
            table[source.encode(german)[0], target.encode(english)[0]] = 0.5
        self.table = table.log()
        self.size = size

    def model(self, batch):
        self.program(batch, batch.source_mask.float(), with_tokens=True)

    def guide(self, batch):
        weights = batch.source_mask.float()
        weights[:, 0] *= 2  # twice the weight on the first word
        self.program(batch, weights, with_tokens=False)

    def program(self, batch, weights, *, with_tokens):
        sentences, positions = batch.target.shape
        probabilities = (weights / weights.sum(-1, keepdim=True)).unsqueeze(1)
        probabilities = probabilities.expand(-1, positions, -1)
        with (
            pyro.plate("sentences", sentences, dim=-2),
            pyro.plate("positions", positions, dim=-1),
            pyro.poutine.mask(mask=batch.target_mask),
        ):
            z = pyro.sample("alignment", dist.Categorical(probabilities))
            if with_tokens:
                source = batch.source[torch.arange(sentences).unsqueeze(-1), z]
                logits = self.table[source]
                pyro.sample("tokens", dist.Categorical(logits=logits), obs=batch.target)


def test_a_hand_computed_case(tmp_path, words):
    """Two sentences: «aa bb» – «xx yy» and «cc» – «zz», each with its sentence end."""
    assert [len(words[0].encode(word)) for word in ("aa", "bb", "cc")] == [2, 2, 2]
    assert [len(words[1].encode(word)) for word in ("xx", "yy", "zz")] == [2, 2, 2]
    text = ParallelText.open(write_text(tmp_path, "hand", [("aa bb", "xx yy"), ("cc", "zz")]))
    programs = ByHand(words)
    gold = [parse_links("0-0 1-0 1?1"), GoldLinks(frozenset({(0, 0)}))]
    found = evaluate_positions(
        programs.model,
        programs.guide,
        text,
        words,
        gold=gold,
        batch_tokens=100,
        max_length=10,
    )
    other = 0.5 / (programs.size - 1)
    # Three source positions (two words and the end), uniform prior, one of them right; then two.
    evidence = 3 * math.log((0.5 + 2 * other) / 3) + 2 * math.log((0.5 + other) / 2)
    assert found.positions.tokens == 5
    assert found.positions.log_evidence == pytest.approx(evidence / 5, rel=1e-5)
    assert found.positions.perplexity == pytest.approx(math.exp(-evidence / 5), rel=1e-5)
    # The guide: 1/2, 1/4, 1/4 and 2/3, 1/3.
    kl = 3 * (0.5 * math.log(1.5) + 2 * 0.25 * math.log(0.75))
    kl += 2 * (2 / 3 * math.log(4 / 3) + 1 / 3 * math.log(2 / 3))
    assert found.positions.kl == pytest.approx(kl / 5, rel=1e-5)
    right, wrong = math.log(0.5), math.log(other)
    likelihood = (0.5 * right + 0.5 * wrong) + 2 * (0.25 * right + 0.75 * wrong)
    likelihood += (2 / 3 * right + 1 / 3 * wrong) + (1 / 3 * right + 2 / 3 * wrong)
    assert found.positions.elbo == pytest.approx((likelihood - kl) / 5, rel=1e-5)
    entropy = (3 * math.log(3) + 2 * math.log(2)) / 5
    assert found.positions.prior_entropy == pytest.approx(entropy, rel=1e-5)

    # Posterior: xx–aa, yy–bb, zz–cc. Sure: 0-0, 1-0 and 0-0; the second is missed, 1-1 is possible.
    posterior = found.error_rates["posterior"]
    assert (posterior.precision, posterior.recall) == (1.0, 2 / 3)
    assert posterior.error_rate == pytest.approx(1 - (2 + 3) / (3 + 3))
    # Guide: always the first word, so that yy–aa is wrong.
    guide = found.error_rates["guide"]
    assert (guide.precision, guide.recall) == (2 / 3, 2 / 3)
    assert guide.error_rate == pytest.approx(1 - (2 + 2) / (3 + 3))


def test_links_of_the_text_are_used_as_gold_links(tmp_path, run):
    path = tmp_path / "linked.jsonl"
    line = '{"source": "ein hund", "target": "a dog", "links": "0-0 1-1"}\n'
    path.write_text(line * 2, encoding="utf-8")
    found = run.evaluate(ParallelText.open([path]), translate=False)
    assert set(found.error_rates) == {"posterior", "guide", "prior"}
    assert found.error_rates["posterior"].sure == 4
    path.write_text(line.replace(', "links": "0-0 1-1"', ""), encoding="utf-8")
    assert not run.evaluate(ParallelText.open([path]), translate=False).error_rates


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("x.jsonl", '{"source": "a", "target": "b"}\n', r"x\.jsonl:3: no links, but 2 of 3 pairs"),
        ("x.tsv", "a b\tc d\n", r"x\.tsv:3: no links, but 2 of 3 pairs have links"),
        ("x.tsv", "a b\tc d\t\n", None),
        ("one.tsv", "a b\tc d\t1-1\n", r"one\.tsv: no link has position 0 on either side"),
    ],
)
def test_invalid_links_of_the_text_are_rejected(tmp_path, run, name, content, match):
    """Invalid links raise an error instead of a missing or wrong error rate."""
    vocabularies = (run.source_vocabulary, run.target_vocabulary)
    linked = {
        "x.jsonl": '{"source": "a", "target": "b", "links": "0-0"}\n' * 2,
        "x.tsv": "a b\tc d\t0-0\na b\tc d\t\n",
        "one.tsv": "a b\tc d\t1-1\n",
    }
    (tmp_path / name).write_text(linked[name] + content)
    text = ParallelText.open([tmp_path / name])
    if match is None:
        assert [len(one.sure) for one in check_text(text, vocabularies, None, 100)[1]] == [1, 0, 0]
        return
    with pytest.raises(DataError, match=match):
        check_text(text, vocabularies, None, 100)


def test_gold_links_that_count_from_one(tmp_path, run):
    vocabularies = (run.source_vocabulary, run.target_vocabulary)
    text = ParallelText.open(write_text(tmp_path, "in", [("ein hund", "a dog")] * 2))
    gold = tmp_path / "gold"
    gold.write_text("1-1\n1-1 2-2\n")
    found = check_text(text, vocabularies, LinkFile(gold, "talp"), 100)[1]
    assert [sorted(one.sure) for one in found] == [[(0, 0)], [(0, 0), (1, 1)]]
    with pytest.raises(DataError, match=r"seem to count from 1.* use --x talp, or rename it"):
        check_text(text, vocabularies, LinkFile(gold, option="--x"), 100)
    with pytest.raises(DataError, match=r"gold:2: link 2-2 points outside.* from 1, use --x talp"):
        check_text(text, vocabularies, LinkFile(gold, "pharaoh", option="--x"), 100)
    three = ParallelText.open(write_text(tmp_path, "three", [("ein hund", "a dog")] * 3))
    with pytest.raises(DataError, match=r"gold: 2 lines of links for 3 sentence pairs"):
        check_text(three, vocabularies, LinkFile(gold, "pharaoh"), 100)


def test_translation_scores_equal_sacrebleu(run, text):
    found = run.evaluate(text)
    hypotheses = list(run.translate([pair.source for pair in text], beam=5))
    references = [pair.target for pair in text]
    bleu = BLEU()
    assert found.translation.bleu == bleu.corpus_score(hypotheses, [references]).score
    assert found.translation.bleu_signature == str(bleu.get_signature())
    assert "tok:13a" in found.translation.bleu_signature


def test_to_dict_leaves_out_what_was_not_measured(run, text):
    found = run.evaluate(text, translate=False).to_dict()
    assert not {"bleu", "chrf", "alignment"} & found.keys()
    assert found["perplexity"] == pytest.approx(math.exp(-found["log_evidence"]))


def test_long_text(tmp_path, run):
    pairs = [*sentence_pairs(2, 1), ("ein " * 30, "a " * 30)]
    text = ParallelText.open(write_text(tmp_path, "long", pairs))
    with pytest.raises(
        DataError, match=r"long\.de:3: a sentence of \d+ tokens.*at most 20.*--max-l"
    ):
        run.evaluate(text, max_length=20)
    assert run.evaluate(text).sentences == 3
    short_source = ParallelText.open(write_text(tmp_path, "half", [("ein", "a " * 30)]))
    with pytest.raises(DataError, match=r"half\.en:1: "):
        run.evaluate(short_source, max_length=20)


def test_gold_links_that_do_not_match_are_rejected(run, text):
    vocabularies = (run.source_vocabulary, run.target_vocabulary)
    with pytest.raises(DataError, match="1 lines of links for 6 sentence pairs"):
        check_text(text, vocabularies, [parse_links("0-0")], 100)
    links = [parse_links("0-0")] * 5 + [parse_links("50-0")]
    with pytest.raises(DataError, match="link 50-0 points outside"):
        check_text(text, vocabularies, links, 100)


def test_unknown_words_are_scored(tmp_path, run):
    text = ParallelText.open(write_text(tmp_path, "unknown", [("日本", "語")]))
    assert UNK in run.target_vocabulary.encode("語")
    assert math.isfinite(run.evaluate(text).positions.perplexity)


def test_estimated_values_are_marked(run, text):
    assert not run.evaluate(text, translate=False).positions.estimated
    model = DirichletModel(run.model.networks).eval()
    vocabularies = (run.source_vocabulary, run.target_vocabulary)
    found = evaluate_positions(
        model, NoGuide(model), text, vocabularies, batch_tokens=100, max_length=100
    )
    assert found.positions.estimated
