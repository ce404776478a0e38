import itertools

import pytest
import torch
from support import randomise, rows_of_a_chunk, tiny_model, tiny_networks

from pyro_align.data.batch import BOS, EOS, PAD, TextBatch
from pyro_align.decoding import BeamSearch, beam_search
from pyro_align.decoding.predictor import Rows
from pyro_align.errors import ConfigError, RunError
from pyro_align.inference import score_positions
from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.nn import EMISSIONS

SOURCES = [[5, 4, 6, EOS], [6, EOS], [4, 4, 5, 5, 6, EOS], [EOS], [5, 6, 4, EOS]]
VARIANTS = {
    "lstm": (CategoricalModel, {}),
    "input feeding": (CategoricalModel, {"input_feeding": True}),
    "gru, two layers, mlp": (
        CategoricalModel,
        {"cell": "gru", "decoder_layers": 2, "encoder_layers": 2, "attention": "mlp"},
    ),
    "two experts": (CategoricalModel, {"emission": "product", "lexical": True}),
    "candidates": (CategoricalModel, {"emission": "sparse-product", "lexical": True}),
    "soft, candidates": (SoftModel, {"emission": "sparse-product"}),
    "soft, two experts": (SoftModel, {"emission": "product"}),
    "soft": (SoftModel, {"input_feeding": True, "cell": "gru"}),
    "transformer": (
        CategoricalModel,
        {"encoder": "transformer", "decoder": "transformer", "decoder_layers": 2, "heads": 2}
        | {"encoder_hidden": 4, "decoder_hidden": 4, "feedforward": 5},
    ),
}
TOKENS = (1, 4, 5, 6)
"""Tokens that may precede EOS in a vocabulary of 7: all but PAD and BOS."""


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS.keys())
def model(request):
    kind, settings = request.param
    return varied(kind, **settings)


def varied(kind=CategoricalModel, seed=0, **settings):
    """A model that generates sentences of all lengths and depends on its attention."""
    made = kind(tiny_networks(vocabulary=7, **settings))
    randomise(made, seed, scale=1.2)
    with torch.no_grad():
        made.networks.emission.bias[EOS] += 1.0
    return made.eval()


def log_probability(model, source, target):
    """Teacher-forced ``log p(target | source)``, by enumeration of the alignments."""
    batch = TextBatch.from_ids([source], [target])
    return score_positions(model, None, batch).log_evidence.sum().item()


def everything(model, source, limit, alpha):
    """Scores of all sentences of at most ``limit`` tokens, including EOS, best first."""
    scored = []
    for length in range(limit):
        sentences = [(*words, EOS) for words in itertools.product(TOKENS, repeat=length)]
        batch = TextBatch.from_ids([source] * len(sentences), sentences)
        totals = score_positions(model, None, batch).log_evidence.sum(1).tolist()
        penalty = ((5 + length + 1) / 6) ** alpha
        scored += [
            (total / penalty, total, sentence)
            for total, sentence in zip(totals, sentences, strict=True)
        ]
    return sorted(scored, reverse=True)


def assert_same(one, other):
    """Assert equal translations in the same order, with scores equal up to rounding."""
    assert [[h.tokens for h in found] for found in one] == [
        [h.tokens for h in found] for found in other
    ]
    for a, b in zip(itertools.chain(*one), itertools.chain(*other), strict=True):
        assert (a.score, a.log_probability) == pytest.approx((b.score, b.log_probability))


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_translations(model, alpha):
    limit = 4
    count = sum(len(TOKENS) ** length for length in range(limit))
    search = BeamSearch(
        model,
        beam=count,
        n_best=count,
        length_penalty=alpha,
        max_length_ratio=0.0,
        max_length_offset=limit,
    )
    for source, found in zip(SOURCES, search.search(SOURCES), strict=True):
        expected = everything(model, source, limit, alpha)
        assert [hypothesis.tokens for hypothesis in found] == [tokens for _, _, tokens in expected]
        for hypothesis, (score, total, _) in zip(found, expected, strict=True):
            assert hypothesis.score == pytest.approx(score)
            assert hypothesis.log_probability == pytest.approx(total)


@pytest.mark.parametrize("n_best", [1, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_early_stopping_does_not_change_the_result(alpha, n_best, monkeypatch):
    options = {"beam": 4, "n_best": n_best, "length_penalty": alpha, "max_length_offset": 5}
    steps = []
    step = BeamSearch._step
    monkeypatch.setattr(BeamSearch, "_step", lambda *a: steps.append(1) or step(*a))
    for seed in range(8):
        model = varied(seed=seed)
        early = BeamSearch(model, **options).search(SOURCES)
        stopped = len(steps)
        with monkeypatch.context() as patch:
            never = lambda self, best: best > -torch.inf  # noqa: E731
            patch.setattr(beam_search.FinishedHypotheses, "beatable", never)
            full = BeamSearch(model, **options).search(SOURCES)
        assert_same(early, full)
        assert stopped <= len(steps) - stopped
        steps.clear()


def test_early_stopping_saves_steps(monkeypatch):
    model = varied()
    with torch.no_grad():
        model.networks.emission.bias[EOS] += 50.0
    steps = []
    step = BeamSearch._step
    monkeypatch.setattr(BeamSearch, "_step", lambda *a: steps.append(1) or step(*a))
    BeamSearch(model, beam=4).search(SOURCES)
    # No other hypothesis comes close to the empty sentence, and the limit is at least 10 tokens.
    assert len(steps) == 1


def test_a_beam_of_one_is_greedy_search(model):
    limit = 9
    search = BeamSearch(model, beam=1, max_length_ratio=0.0, max_length_offset=limit)
    for source, (found,) in zip(SOURCES, search.search(SOURCES), strict=True):
        tokens = []
        while not tokens or tokens[-1] != EOS:
            if len(tokens) == limit - 1:
                tokens.append(EOS)
                break
            batch = TextBatch.from_ids([source], [[*tokens, EOS]])
            log_probs = model.next_token(model.states(batch))[0, -1].detach().clone()
            log_probs[[PAD, BOS]] = -torch.inf
            tokens.append(int(log_probs.argmax()))
        assert found.tokens == tuple(tokens)


def test_log_probability_equals_teacher_forcing(model):
    for alpha in (0.0, 1.5):
        search = BeamSearch(model, beam=4, n_best=4, length_penalty=alpha)
        for source, found in zip(SOURCES, search.search(SOURCES), strict=True):
            for hypothesis in found:
                total = log_probability(model, source, hypothesis.tokens)
                length = len(hypothesis.tokens)
                assert hypothesis.log_probability == pytest.approx(total)
                assert hypothesis.score == pytest.approx(total / ((5 + length) / 6) ** alpha)


def test_sentences_of_a_batch_are_independent(model):
    search = BeamSearch(model, beam=3, n_best=3)
    together = search.search(SOURCES)
    alone = [search.search([source])[0] for source in SOURCES]
    backwards = search.search(SOURCES[::-1])[::-1]
    assert_same(together, alone)
    assert_same(together, backwards)


def test_n_best_are_sorted_and_distinct(model):
    for found in BeamSearch(model, beam=5, n_best=5).search(SOURCES):
        assert len({hypothesis.tokens for hypothesis in found}) == len(found) == 5
        scores = [hypothesis.score for hypothesis in found]
        assert scores == sorted(scores, reverse=True)
        for hypothesis in found:
            assert hypothesis.tokens[-1] == EOS
            assert not {PAD, BOS, EOS} & set(hypothesis.tokens[:-1])


def test_n_best_does_not_change_the_order():
    model = varied()
    three = BeamSearch(model, beam=5, n_best=3, length_penalty=0.0).search(SOURCES)
    five = BeamSearch(model, beam=5, n_best=5, length_penalty=0.0).search(SOURCES)
    assert_same(three, [found[:3] for found in five])


def test_top_k_of_all_positions_is_the_exact_marginal():
    model = varied()
    exact = BeamSearch(model, beam=3, n_best=3).search(SOURCES)
    longest = max(map(len, SOURCES))
    all_of_them = BeamSearch(model, beam=3, n_best=3, top_k=longest).search(SOURCES)
    assert_same(exact, all_of_them)


@pytest.mark.parametrize("emission", ["tanh", "product", "sparse-product"])
def test_top_k_scores_with_the_renormalised_positions(emission):
    model = varied(emission=emission)
    source = SOURCES[2]
    (found,) = BeamSearch(model, top_k=2).search([source])[0]
    states = model.states(TextBatch.from_ids([source], [found.tokens]))
    total = 0.0
    for t, token in enumerate(found.tokens):
        prior, positions = states.scores[0, t].softmax(-1).topk(2)
        emission = torch.stack(
            [
                model.networks.emission(states.hidden[0, t], states.memory.values[0, s]).logits
                for s in positions
            ]
        )
        total += torch.log((prior / prior.sum()) @ emission[:, token].exp()).item()
    assert found.log_probability == pytest.approx(total)
    assert found.log_probability != pytest.approx(log_probability(model, source, found.tokens))


def test_the_length_limit_completes_unfinished_hypotheses(model):
    with torch.no_grad():
        model.networks.emission.bias[EOS] -= 50.0
    search = BeamSearch(model, beam=3, n_best=3, max_length_ratio=1.5, max_length_offset=2)
    for source, found in zip(SOURCES, search.search(SOURCES), strict=True):
        limit = -(-3 * len(source) // 2) + 2
        assert len(found) == 3
        assert {len(hypothesis.tokens) for hypothesis in found} == {limit}
        for hypothesis in found:
            total = log_probability(model, source, hypothesis.tokens)
            assert hypothesis.log_probability == pytest.approx(total)


def test_the_shortest_limit_gives_the_empty_translation():
    search = BeamSearch(varied(), beam=3, n_best=3, max_length_ratio=0.0, max_length_offset=1)
    assert [[h.tokens for h in found] for found in search.search(SOURCES)] == [[(EOS,)]] * 5


def test_a_length_penalty_prefers_longer_translations():
    model = varied()
    options = {"beam": 60, "max_length_offset": 3, "max_length_ratio": 0.0}
    short = BeamSearch(model, length_penalty=0.0, **options).search(SOURCES)
    long = BeamSearch(model, length_penalty=8.0, **options).search(SOURCES)
    lengths = [(len(a.tokens), len(b.tokens)) for (a,), (b,) in zip(short, long, strict=True)]
    assert all(a <= b for a, b in lengths)
    assert any(a < b for a, b in lengths)


@pytest.mark.parametrize("emission", EMISSIONS)
def test_chunking_does_not_change_the_result(emission, monkeypatch):
    search = BeamSearch(varied(emission=emission), beam=4, n_best=2)
    whole = search.search(SOURCES)
    rows_of_a_chunk(monkeypatch, 1)
    assert_same(search.search(SOURCES), whole)


def test_a_long_source_works():
    (found,) = BeamSearch(varied(), beam=2, max_length_ratio=0.0).search([[4, 5] * 1000 + [EOS]])
    assert len(found) == 1


def test_without_sources_there_are_no_translations():
    assert BeamSearch(varied()).search([]) == []


def test_an_empty_source_is_rejected():
    with pytest.raises(ValueError, match="at least EOS"):
        BeamSearch(varied()).search([[4, EOS], []])


def test_training_mode_is_rejected():
    with pytest.raises(ValueError, match="eval"):
        BeamSearch(tiny_model().train()).search(SOURCES)


def test_a_diverged_model_is_rejected():
    model = varied()
    with torch.no_grad():
        model.networks.emission.bias[4] = torch.nan
    with pytest.raises(RunError, match="not finite"):
        BeamSearch(model).search(SOURCES)


@pytest.mark.parametrize(
    "options",
    [
        {"beam": 0},
        {"n_best": 0},
        {"n_best": 6},
        {"length_penalty": -0.1},
        {"length_penalty": float("nan")},
        {"top_k": 0},
        {"max_length_ratio": -1.0},
        {"max_length_offset": 0},
    ],
)
def test_options_out_of_range_are_rejected(options):
    with pytest.raises(ConfigError):
        BeamSearch(tiny_model(), **options)


@pytest.mark.parametrize("columns", [7, 64, 1280, 4001])
@pytest.mark.parametrize("beam", [1, 5])
def test_continuations_are_the_largest_of_all_rows_of_a_sentence(columns, beam):
    generator = torch.Generator().manual_seed(columns)
    sentence = torch.arange(30).repeat_interleave(beam)
    kept = torch.randperm(len(sentence), generator=generator)[: len(sentence) // 2].sort().values
    kept = kept[sentence[kept] != 3]  # a sentence without rows
    sentence = sentence[kept]
    rank = torch.tensor([int((sentence[:i] == each).sum()) for i, each in enumerate(sentence)])
    rows = Rows(sentence, rank, sentence.unique())
    values = torch.randn(len(sentence), columns, generator=generator)
    values[:, :2] = -torch.inf
    values[1] = values[1].round()  # ties
    values[2, 3:] = -torch.inf
    before = torch.randn(len(sentence), generator=generator)
    best, row, token = beam_search.continuations(values, before, rows, (30, beam))
    found = before[row] + values[row, token]
    assert torch.equal(found.where(best.isfinite(), -torch.inf), best)
    for number in range(30):
        own = (sentence == number).nonzero()[:, 0]
        expected = (before[own].unsqueeze(1) + values[own]).flatten()
        expected = torch.cat([expected, torch.full((beam,), -torch.inf)]).topk(beam).values
        assert torch.equal(best[number], expected)
        real = best[number].isfinite()
        pairs = [*zip(row[number][real].tolist(), token[number][real].tolist(), strict=True)]
        assert len({*pairs}) == len(pairs)
        assert {each for each, _ in pairs} <= {*own.tolist()}
