"""Posteriors of programs and of text, against the scores of positions."""

import dataclasses

import pytest
import torch
from numpy.testing import assert_allclose
from runs import shared_run
from support import padded, random_batch, tiny_guide, tiny_model
from tables import World

import pyro_align
from pyro_align.data import GoldLinks, IndexedCorpus, all_batches, parse_links
from pyro_align.data.batch import TextBatch
from pyro_align.errors import DataError, UserError
from pyro_align.evaluation import AlignmentErrorRate, evaluate_positions
from pyro_align.guides import AmortizedDirichletGuide, NoGuide
from pyro_align.inference import score_positions
from pyro_align.models import DirichletModel, SoftModel
from pyro_align.posterior import Words, posterior_of

BATCH = padded(random_batch((3, 4, 1), (4, 2, 3)), source=1, target=1)
SOURCES = [[f"s{i}" for i in range(length - 1)] + ["</s>"] for length in (3, 4, 1)]
TARGETS = [[f"t{i}" for i in range(length - 1)] + ["</s>"] for length in (4, 2, 3)]
VALUES = ("log_evidence", "elbo", "kl", "gap", "prior_entropy", "posterior_entropy")


def agrees(posterior, scores, batch):
    """Check that all quantities equal the padded scores."""
    for row, one in enumerate(posterior):
        source, target = int(batch.source_lengths[row]), int(batch.target_lengths[row])
        assert (len(one.target), len(one.source)) == (target, source)
        for kind in ("prior", "guide", "posterior"):
            log = getattr(scores, f"log_{kind}")
            assert (log is None) == (kind not in one.kinds)
            if log is not None:
                assert one.matrix(kind).dtype == "float32"
                assert_allclose(
                    one.matrix(kind), log[row, :target, :source].exp(), rtol=1e-6, atol=1e-30
                )
                assert_allclose(one.matrix(kind).sum(-1), 1, rtol=1e-6)
        for name in VALUES:
            value = getattr(scores, name)
            assert (value is None) == (getattr(one, name) is None)
            if value is not None:
                assert_allclose(getattr(one, name), value[row, :target], rtol=1e-12)


def test_quantities_equal_those_of_score_positions():
    model = tiny_model()
    guide = tiny_guide(model)
    posterior = posterior_of(model, guide, BATCH, SOURCES, TARGETS)
    agrees(posterior, score_positions(model, guide, BATCH), BATCH)
    assert posterior.title == "CategoricalModel with AmortizedGuide"
    assert posterior.units == "pieces"
    assert [list(one.source) for one in posterior] == SOURCES
    assert [list(one.target) for one in posterior] == TARGETS
    for one in posterior:
        assert_allclose(one.elbo + one.gap, one.log_evidence)
        assert one.concentration_prior is one.gold is one.words is None


def test_plain_pyro_programs():
    """A plain Pyro model and guide, without classes of this package."""
    batch = random_batch((3, 3), (4, 3))
    world = World(2, 4)
    posterior = posterior_of(
        world.model, world.guide, batch, [["a", "b", "c"]] * 2, [list("wxyz"), list("xyz")]
    )
    p, q, likelihood = (part.detach() for part in world.parts(batch))
    for row, length in enumerate((4, 3)):
        one = posterior[row]
        assert_allclose(one.prior, p[row, :length].exp(), rtol=1e-6)
        assert_allclose(one.guide, q[row, :length].exp(), rtol=1e-6)
        exact = (p + likelihood)[row, :length].softmax(-1)
        assert_allclose(one.posterior, exact, rtol=1e-6)
    total = sum(one.log_evidence.sum() for one in posterior)
    assert total == pytest.approx(world.evidence(batch).item())
    assert sum(one.elbo.sum() for one in posterior) == pytest.approx(world.bound(batch).item())


def test_without_a_guide():
    model = tiny_model()
    for guide in (None, NoGuide(model)):
        posterior = posterior_of(model, guide, BATCH, SOURCES, TARGETS, title="mine")
        assert posterior.kinds == ("prior", "posterior")
        assert posterior[0].elbo is posterior[0].gap is posterior[0].kl is None
        assert posterior.title == "mine"


def test_soft_attention_has_only_a_prior():
    model = tiny_model(SoftModel)
    posterior = posterior_of(model, None, BATCH, SOURCES, TARGETS)
    assert posterior.kinds == ("prior",)
    agrees(posterior, score_positions(model, None, BATCH), BATCH)
    assert posterior.to_frame()["guide"].isna().all()
    assert posterior.title == "SoftModel"


def test_dirichlet():
    model = tiny_model(DirichletModel)
    guide = tiny_guide(model, AmortizedDirichletGuide)
    before = torch.get_rng_state()
    posterior = posterior_of(model, guide, BATCH, SOURCES, TARGETS)
    assert torch.equal(torch.get_rng_state(), before)
    agrees(posterior, score_positions(model, guide, BATCH), BATCH)
    prior = model.prior(model.states(BATCH)).concentration
    q = guide.posterior(BATCH)["alignment"].concentration
    for row, one in enumerate(posterior):
        rows, columns = len(one.target), len(one.source)
        assert_allclose(one.concentration_prior, prior[row, :rows, :columns].detach(), rtol=1e-6)
        assert_allclose(one.concentration_guide, q[row, :rows, :columns].detach(), rtol=1e-6)
        low, high = one.credible_interval("guide")
        assert (low <= high).all()
        assert ((low < one.guide) & (one.guide < high)).mean() > 0.5 or columns == 1
    alone = posterior_of(model, NoGuide(model), BATCH, SOURCES, TARGETS)
    assert alone[0].concentration_guide is None
    assert alone[0].concentration_prior is not None
    assert alone.kinds == ("prior",)


def test_words_and_gold():
    model = tiny_model()
    links = GoldLinks(frozenset({(0, 1)}))
    plain = [GoldLinks(frozenset()), links, GoldLinks(frozenset())]
    posterior = posterior_of(model, None, BATCH, SOURCES, TARGETS, gold=plain)
    assert [one.gold for one in posterior] == plain
    words = [
        Words(("ab",), ("x", "yz"), (0, 0, -1), (0, 1, 1, -1), links),
        Words(("a", "b", "c"), ("x",), (0, 1, 2, -1), (0, -1)),
        Words((), ("x", "y"), (-1,), (0, 1, -1)),
    ]
    posterior = posterior_of(model, None, BATCH, SOURCES, TARGETS, words=words)
    assert posterior[0].gold.sure == {(0, 1), (1, 1), (0, 2), (1, 2)}
    assert posterior[1].gold is None
    merged = posterior.words()
    assert merged[0].gold == links
    assert_allclose(merged[0].prior[1, 0], posterior[0].prior[1:3, :2].sum() / 2, rtol=1e-6)
    assert_allclose([one.prior.sum(-1).min() for one in merged], 1, rtol=1e-6)
    short = dataclasses.replace(words[0], source_index=(0, -1))
    with pytest.raises(UserError, match=r"sentence 1: words for 2 source and 4 target tokens"):
        posterior_of(model, None, BATCH, SOURCES, TARGETS, words=[short, *words[1:]])
    with pytest.raises(UserError, match="either with gold= or with the words"):
        posterior_of(model, None, BATCH, SOURCES, TARGETS, words=words, gold=plain)
    with pytest.raises(UserError, match="words for 1 sentence pairs, but the batch has 3"):
        posterior_of(model, None, BATCH, SOURCES, TARGETS, words=words[:1])
    outside = GoldLinks(frozenset({(1, 0)}))
    with pytest.raises(
        DataError, match="sentence 3: link 1-0 points outside a pair of 1 source and 3"
    ):
        posterior_of(model, None, BATCH, SOURCES, TARGETS, gold=[plain[0], plain[0], outside])


def test_mismatched_tokens_are_rejected():
    model = tiny_model()
    with pytest.raises(UserError, match="source tokens for 2 sentences, but the batch has 3"):
        posterior_of(model, None, BATCH, SOURCES[:2], TARGETS)
    with pytest.raises(UserError, match="sentence 2: 3 target tokens, but the batch has 2 ids"):
        posterior_of(model, None, BATCH, SOURCES, [TARGETS[0], ["a", "b", "c"], TARGETS[2]])
    with pytest.raises(UserError, match="sentence 1: source tokens are a string"):
        posterior_of(model, None, BATCH, ["abc", *SOURCES[1:]], TARGETS)


@pytest.fixture(scope="module")
def run():
    return pyro_align.load(shared_run())


TEXT = (
    ["ein hund sieht", "katze", "alt klein vogel ruft"],
    ["a dog sees", "cat", "old bird calls"],
)
GOLD = [parse_links(line) for line in ("0-0 1-1 2?2", "0-0", "0-0 2-1 3-2")]


def test_run_posterior_equals_posterior_of_its_programs(run):
    found = run.posterior(*TEXT)
    assert len(found) == 3
    for row, (source, target) in enumerate(zip(*TEXT, strict=True)):
        ids = run.source_vocabulary.encode(source), run.target_vocabulary.encode(target)
        batch = TextBatch.from_ids(*([side] for side in ids))
        scores = score_positions(run.model, run.guide, batch)
        one = found[row]
        assert list(one.source) == run.source_vocabulary.pieces(ids[0])
        assert list(one.target) == run.target_vocabulary.pieces(ids[1])
        assert one.source[-1] == one.target[-1] == "</s>"
        assert_allclose(one.posterior, scores.log_posterior[0].exp(), rtol=1e-4, atol=1e-6)
        assert_allclose(one.log_evidence, scores.log_evidence[0], rtol=1e-4)
    assert found.title == "categorical with corrected-prior (run)"


@pytest.mark.parametrize("tokens", [1, 5, 12, 1000])
def test_every_pair_is_in_one_batch(tokens):
    lengths = [(3, 5), (2, 2), (9, 4), (1, 1), (5, 5), (2, 6)]
    corpus = IndexedCorpus.from_ids(
        *([[4 + row] * pair[side] for row, pair in enumerate(lengths)] for side in (0, 1))
    )
    found = []
    for batch in all_batches(corpus, tokens):
        rows = batch.indices.tolist()
        found += rows
        width = max(batch.source.shape[1], batch.target.shape[1])
        # A pair that is wider than the budget has a batch to itself, and raises no other's size.
        assert len(rows) == 1 or len(rows) * width <= tokens
        assert batch.source[:, 0].tolist() == batch.target[:, 0].tolist() == [4 + i for i in rows]
    assert sorted(found) == list(range(len(lengths)))


@pytest.mark.parametrize("batch_tokens", [1, 10, 1000])
def test_results_do_not_depend_on_batches(run, batch_tokens):
    found = run.posterior(*TEXT, batch_tokens=batch_tokens)
    for one, two in zip(found, run.posterior(*TEXT), strict=True):
        assert one.source == two.source
        assert_allclose(one.guide, two.guide, rtol=1e-4, atol=1e-6)


def test_links_between_words_give_the_error_rate_of_the_evaluation(run, tmp_path):
    words = run.posterior(*TEXT, gold=GOLD, words=True)
    assert words.units == "words"
    assert [list(one.source) for one in words] == [[*line.split(), "</s>"] for line in TEXT[0]]
    assert [one.gold for one in words] == GOLD
    file = tmp_path / "text.tsv"
    lines = (f"{source}\t{target}\n" for source, target in zip(*TEXT, strict=True))
    file.write_text("".join(lines), encoding="utf-8")
    evaluation = evaluate_positions(
        run.model,
        run.guide,
        pyro_align.data.ParallelText.open([file]),
        run.vocabularies,
        gold=GOLD,
        batch_tokens=100,
        max_length=100,
    )
    for kind in ("prior", "guide", "posterior"):
        rate = AlignmentErrorRate()
        for one in words:
            rate.update(one.best_links(kind), one.gold)
        assert rate.error_rate == evaluation.error_rates[kind].error_rate
    sums = words.sentences_frame()["log_evidence"].sum()
    assert sums / evaluation.positions.tokens == pytest.approx(
        evaluation.positions.log_evidence, rel=1e-5
    )


def test_invalid_sentences_are_rejected(run):
    sources, targets = TEXT
    with pytest.raises(UserError, match="3 sources but 2 targets"):
        run.posterior(sources, targets[:2])
    with pytest.raises(UserError, match="there are no pairs"):
        run.posterior([], [])
    with pytest.raises(UserError, match="sentence 2: the target is empty"):
        run.posterior(sources, [targets[0], " ", targets[2]])
    with pytest.raises(
        UserError, match=r"sentence 1: the source has \d+ pieces, more than the maximum of 1000"
    ):
        run.posterior(["ein " * 2000, *sources[1:]], targets)
    with pytest.raises(UserError, match=r"sources is one string: give a list .* \['ein hund'\]"):
        run.posterior("ein hund", ["a dog"])
    with pytest.raises(UserError, match="gold links for 1 sentence pairs, but there are 3"):
        run.posterior(*TEXT, gold=GOLD[:1])
    with pytest.raises(DataError, match="sentence 2: link 1-1 points outside"):
        run.posterior(*TEXT, gold=[GOLD[0], GOLD[0], GOLD[2]])


def test_unknown_words_are_scored(run):
    found = run.posterior(["日本 ein"], ["語 a"])
    assert found.words()[0].source == ("日本", "ein", "</s>")
