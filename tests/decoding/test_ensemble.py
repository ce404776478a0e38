"""Several models that predict each token together."""

from __future__ import annotations

import itertools

import pytest
import torch
from support import randomise, tiny_model, tiny_networks

from pyro_align.data.batch import EOS, TextBatch
from pyro_align.decoding import BeamSearch, Ensemble
from pyro_align.errors import ConfigError, IncompatibleError
from pyro_align.guides import NoGuide
from pyro_align.inference import Likelihood
from pyro_align.inference.positions import score_positions
from pyro_align.models import CategoricalModel, MarkovModel, SoftModel
from pyro_align.networks import Network

SOURCES = [[5, 4, 6, EOS], [6, EOS], [4, 4, 5, 5, 6, EOS], [EOS]]
TOKENS = (1, 4, 5, 6)
"""Tokens that may precede EOS in a vocabulary of 7: all but PAD and BOS."""

MEMBERS = {
    "categorical": (CategoricalModel, {}),
    "markov": (MarkovModel, {"cell": "gru"}),
    "copies": (MarkovModel, {"emission": "product", "copying": True}),
    "soft": (SoftModel, {"emission": "product", "lexical": True}),
    "input feeding": (CategoricalModel, {"input_feeding": True, "decoder_layers": 2}),
}


def member(name, seed=0):
    kind, settings = MEMBERS[name]
    model = randomise(kind(tiny_networks(vocabulary=7, **settings)), seed, scale=1.2)
    emission = model.networks.emission
    with torch.no_grad():
        getattr(emission, "generator", emission).bias[EOS] += 1.0
    return model.eval()


def models():
    return [member(name, seed) for seed, name in enumerate(MEMBERS)]


def probabilities(members, average, source, target):
    """Probabilities of the tokens of a target, from those of each model one by one."""
    each = []
    for model in members:
        batch = TextBatch.from_ids([source], [target])
        with torch.no_grad():
            each.append(model.next_token(model.states(batch))[0].exp())
    if average == "linear":
        found = sum(each) / len(each)
    else:
        product = torch.stack(each).prod(0) ** (1 / len(each))
        found = product / product.sum(-1, keepdim=True)
    return found[range(len(target)), list(target)]


@pytest.mark.parametrize("average", ["linear", "log"])
def test_a_wide_beam_finds_the_best_of_all_strings(average):
    limit, members = 3, models()
    sentences = [
        (*words, EOS)
        for length in range(limit)
        for words in itertools.product(TOKENS, repeat=length)
    ]
    search = BeamSearch(
        Ensemble(members, average),
        beam=len(sentences),
        n_best=len(sentences),
        length_penalty=0.0,
        max_length_ratio=0.0,
        max_length_offset=limit,
    )
    for source, found in zip(SOURCES, search.search(SOURCES), strict=True):
        expected = {
            target: probabilities(members, average, source, target).log().sum().item()
            for target in sentences
        }
        best = sorted(expected, key=expected.__getitem__, reverse=True)
        assert [hypothesis.tokens for hypothesis in found] == best
        for hypothesis in found:
            assert hypothesis.log_probability == pytest.approx(expected[hypothesis.tokens])


@pytest.mark.parametrize("average", ["linear", "log"])
@pytest.mark.parametrize("name", MEMBERS)
@pytest.mark.parametrize("number", [1, 2])
def test_a_model_with_itself_is_the_model(name, average, number):
    options = {"beam": 3, "n_best": 3, "top_k": 2}
    model = member(name)
    alone = BeamSearch(model, **options).search(SOURCES)
    together = BeamSearch(Ensemble([model] * number, average), **options).search(SOURCES)
    for one, other in zip(alone, together, strict=True):
        assert [each.tokens for each in one] == [each.tokens for each in other]
        for a, b in zip(one, other, strict=True):
            assert (a.score, a.log_probability) == pytest.approx((b.score, b.log_probability))


@pytest.mark.parametrize("average", ["linear", "log"])
def test_the_evidence_of_a_text_is_that_of_the_average(average):
    members = models()
    ensemble = Ensemble(members, average)
    targets = [[4, 5, EOS], [EOS], [6, 1, 4, EOS], [5, EOS]]
    batch = TextBatch.from_ids(SOURCES, targets)
    scores = score_positions(ensemble, NoGuide(ensemble), batch)
    for row, (source, target) in enumerate(zip(SOURCES, targets, strict=True)):
        expected = probabilities(members, average, source, target).log()
        torch.testing.assert_close(scores.log_evidence[row, : len(target)], expected)
    assert not scores.log_evidence[~batch.target_mask].any()
    assert scores.log_prior is scores.log_posterior is scores.elbo is None
    loss = Likelihood().loss(ensemble, NoGuide(ensemble), batch)
    assert loss == pytest.approx(-scores.log_evidence.sum().item())


def test_members_in_training_mode_are_rejected():
    members = models()
    members[1].train()
    with pytest.raises(ValueError, match="eval"):
        BeamSearch(Ensemble(members)).search(SOURCES)


@pytest.mark.parametrize(
    ("members", "average", "message"),
    [((), "linear", "at least one model"), ((SoftModel,), "geometric", "known: linear, log")],
)
def test_empty_ensembles_and_unknown_averages_are_rejected(members, average, message):
    with pytest.raises(ConfigError, match=message):
        Ensemble([tiny_model(kind) for kind in members], average)


def test_every_network_must_decode_token_by_token():
    class Once(Network):
        emission = None

        def forward(self, batch): ...
        def features(self, batch): ...
        def new_features(self): ...

    with pytest.raises(IncompatibleError, match="Once cannot"):
        BeamSearch(Ensemble([tiny_model(), CategoricalModel(Once())]))
