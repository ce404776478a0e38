"""Evaluations in notebooks: the result as a table, and sentence pairs without files."""

import html
import re

import pandas as pd
import pytest
from runs import sentence_pairs, shared_corpus, shared_run, write_text

import pyro_align
from pyro_align.data import GoldLinks, ParallelText, format_links
from pyro_align.errors import DataError
from pyro_align.evaluation import AlignmentErrorRate, Evaluation, PositionMeans, TranslationScores


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_run())


def measured():
    rate = AlignmentErrorRate()
    rate.update({(0, 0), (1, 1)}, GoldLinks(frozenset({(0, 0)})))
    return Evaluation(
        sentences=2,
        positions=PositionMeans(
            tokens=7, log_evidence=-0.5, elbo=-0.75, kl=0.125, gap=0.25, prior_entropy=0.375
        ),
        error_rates={"posterior": rate},
        translation=TranslationScores(12.345, "nrefs:1|<b>", 50.0, "nc:6"),
    )


def test_the_frame_has_one_row_per_measure():
    frame = measured().to_frame()
    assert list(frame) == ["value", "note"]
    assert frame.index.name == "measure"
    assert frame["value"].to_dict() == {
        "exact perplexity": pytest.approx(1.6487213),
        "log evidence": -0.5,
        "ELBO": -0.75,
        "KL(guide ‖ prior)": 0.125,
        "KL(guide ‖ exact posterior)": 0.25,
        "entropy of the prior": 0.375,
        "BLEU": 12.345,
        "chrF": 50.0,
        "AER of the posterior": pytest.approx(1 / 3),
        "sentence pairs": 2,
    }
    assert frame.loc["BLEU", "note"] == "nrefs:1|<b>"
    assert "precision 0.500, recall 1.000" in frame.loc["AER of the posterior", "note"]
    assert frame.loc["sentence pairs", "note"] == "7 target tokens"


def test_what_was_not_measured_is_left_out():
    frame = Evaluation(1, PositionMeans(tokens=3, estimated=True, log_evidence=-1.0)).to_frame()
    assert list(frame.index) == ["perplexity", "log evidence", "sentence pairs"]
    assert "estimated" in frame.loc["perplexity", "note"]


def test_soft_attention_has_attention_instead_of_a_prior():
    means = PositionMeans(tokens=3, latent=False, log_evidence=-1.0, prior_entropy=0.5)
    rate = AlignmentErrorRate()
    rate.update(frozenset({(0, 0)}), GoldLinks(frozenset({(0, 0)}), frozenset()))
    frame = Evaluation(1, means, {"prior": rate}).to_frame()
    assert list(frame.index) == [
        "exact perplexity",
        "log evidence",
        "entropy of the attention",
        "AER of the attention",
        "sentence pairs",
    ]
    assert frame.loc["exact perplexity", "note"] == "per target token"


def test_the_html_table_shows_all_values():
    shown = measured()._repr_html_()
    rows = re.findall(r"<tr>\s*<th>(.*?)</th>\s*<td>(.*?)</td>\s*<td>(.*?)</td>", shown)
    values = {html.unescape(name): value for name, value, _ in rows}
    assert values["exact perplexity"] == "1.649"
    assert values["ELBO"] == "-0.7500"
    assert values["BLEU"] in ("12.35", "12.34")
    assert values["sentence pairs"] == "2"
    assert "<b>" not in shown


def test_pairs_of_the_runs_own_text(run):
    text = list(ParallelText.open(shared_corpus()["valid"]))
    sources, targets, gold = run.test_pairs()
    assert sources == [pair.source for pair in text]
    assert targets == [pair.target for pair in text]
    assert gold is None
    assert run.test_pairs(2).sources == sources[:2]


def test_pairs_of_another_text(tmp_path, run):
    text = write_text(tmp_path, "other", sentence_pairs(4, 3))
    links = [GoldLinks(frozenset({(0, number % 2)})) for number in range(4)]
    gold = tmp_path / "gold.links"
    gold.write_text("".join(f"{format_links(one)}\n" for one in links), encoding="utf-8")
    found = run.test_pairs(3, text=[str(path) for path in text], gold=str(gold))
    assert found.gold == links[:3]
    assert list(zip(found.sources, found.targets, strict=True)) == sentence_pairs(4, 3)[:3]
    posterior = run.posterior(found.sources, found.targets, gold=found.gold, title="mine")
    assert posterior.title == "mine"
    assert posterior[0].words.gold == links[0]
    gold.write_text("0-0\n", encoding="utf-8")
    with pytest.raises(DataError, match="1 lines of links for 4 sentence pairs"):
        run.test_pairs(text=text, gold=gold)


def test_links_of_the_text_itself(tmp_path, run):
    path = tmp_path / "linked.jsonl"
    path.write_text('{"source": "ein hund", "target": "a dog", "links": "0-0 1-1"}\n')
    (links,) = run.test_pairs(text=[path]).gold
    assert links.sure == {(0, 0), (1, 1)}


def test_evaluation_of_the_runs_own_text(run):
    found = run.evaluate(translate=False)
    text = ParallelText.open(shared_corpus()["valid"])
    pd.testing.assert_frame_equal(found.to_frame(), run.evaluate(text, translate=False).to_frame())
