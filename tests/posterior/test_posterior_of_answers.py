"""Posteriors of answers against the sum over all regions, computed by hand."""

import dataclasses

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from regions import RegionBatch, RegionNetwork
from support import randomise

from pyro_align.data import Question
from pyro_align.errors import UserError
from pyro_align.guides import AmortizedGuide, NoGuide
from pyro_align.inference import score_positions
from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.posterior import RegionImage, posterior_of_answers

ANSWERS = ("yes", "no", "red", "blue", "1", "2")
LENGTHS = (3, 4, 1)


def batch():
    torch.manual_seed(0)
    regions = [torch.randn(count, 5, dtype=torch.float64) for count in LENGTHS]
    return RegionBatch.of(regions, torch.tensor([2, 5, 0]))


QUESTIONS = [
    Question("1", "what colour?", ("red", "red", "blue"), regions=frozenset({0, 2})),
    Question("2", "how many?", ("17",)),
    Question("3", "is it?"),
]
IMAGES = [RegionImage.without_boxes([f"region {i}" for i in range(n)]) for n in LENGTHS]


def joint(network, given):
    """p(z, y) of every region and answer, a table for each question."""
    emission = network.emission
    for row, length in enumerate(LENGTHS):
        regions = given.regions[row, :length]
        query = torch.tanh(network.query(regions.mean(0)))
        prior = (network.scorer.projection(regions) @ query).softmax(0)
        units = torch.tanh(emission.query(query) + emission.context(regions))
        logits = (emission.gain * units) @ emission.weight.T + emission.bias
        yield (prior.unsqueeze(1) * logits.softmax(-1)).detach().numpy()


@pytest.fixture
def model():
    return CategoricalModel(randomise(RegionNetwork(), 1))


def test_answers_and_posterior_equal_enumeration(model):
    found = posterior_of_answers(model, None, batch(), QUESTIONS, ANSWERS, IMAGES, most=3)
    tables = list(joint(model.networks, batch()))
    best = [ANSWERS[table.sum(0).argmax()] for table in tables]
    # Not in the vocabulary and not known: the most probable answer is observed.
    assert [one.observed for one in found] == ["red", best[1], best[2]]
    for one, table in zip(found, tables, strict=True):
        assert_allclose(one.regions("prior"), table.sum(1), rtol=1e-6)
        observed = table[:, ANSWERS.index(one.observed)]
        assert_allclose(one.regions("posterior"), observed / observed.sum(), rtol=1e-6)
        assert one.quantity("log_evidence") == pytest.approx(np.log(observed.sum()))
        marginal = table.sum(0)
        assert_allclose(one.probabilities, [marginal[ANSWERS.index(each)] for each in one.answers])
        ranked = [ANSWERS[number] for number in np.argsort(-marginal)]
        assert list(one.answers[:3]) == ranked[:3]
        assert list(one.answers[3:]) == [
            each for each in one.question.answers[:1] if each in ranked[3:]
        ]
    assert [one.gold for one in found] == ["red", "17", None]
    assert [one.is_correct for one in found] == [best[0] == "red", False, None]
    gold = [None if one.alignment.gold is None else one.alignment.gold.sure for one in found]
    assert gold == [{(0, 0), (2, 0)}, None, None]


def test_the_correct_answer_is_kept_though_it_is_improbable(model):
    table = next(joint(model.networks, batch()))
    last = ANSWERS[table.sum(0).argmin()]
    question = [Question("1", "what?", (last,)), *QUESTIONS[1:]]
    found = posterior_of_answers(model, None, batch(), question, ANSWERS, IMAGES, most=2)[0]
    assert len(found.answers) == 3
    assert found.answers[-1] == found.observed == last
    assert found.probabilities[-1] == pytest.approx(table.sum(0).min())


def test_guide_and_bound_are_those_of_the_observed_answer(model):
    guide = randomise(AmortizedGuide(model, hidden=4), 2)
    # A batch that shares results of other answers must not matter.
    given = batch().sharing()
    model.features(given)
    found = posterior_of_answers(model, guide, given, QUESTIONS, ANSWERS, IMAGES)
    ids = torch.tensor([[ANSWERS.index(one.observed)] for one in found])
    scores = score_positions(model, guide, dataclasses.replace(batch(), target=ids))
    for row, (one, length) in enumerate(zip(found, LENGTHS, strict=True)):
        log_guide = scores.log_guide[row, 0, :length].detach()
        assert_allclose(one.regions("guide"), log_guide.exp(), rtol=1e-6)
        bound = one.quantity("log_evidence") - one.quantity("gap")
        assert one.quantity("elbo") == pytest.approx(bound)
    assert found.title == "CategoricalModel with AmortizedGuide"


def test_soft_attention_has_only_weights():
    model = SoftModel(randomise(RegionNetwork(), 1))
    found = posterior_of_answers(model, NoGuide(model), batch(), QUESTIONS, ANSWERS, IMAGES)
    assert found.kinds == ("prior",)
    assert found.orders == ("file", "answer", "region", "wrong")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"questions": QUESTIONS[:2]}, "2 questions, but the batch has 3"),
        ({"images": IMAGES[:1]}, "1 images, but the batch has 3"),
        ({"images": IMAGES[::-1]}, "1 source tokens, but the batch has 3"),
        (
            {"questions": [Question("1", "?", ("no",), regions=frozenset({3})), *QUESTIONS[1:]]},
            "3-0 points outside",
        ),
    ],
)
def test_what_does_not_match_the_batch_is_rejected(model, changes, message):
    given = {"questions": QUESTIONS, "answers": ANSWERS, "images": IMAGES, **changes}
    with pytest.raises(UserError, match=message):
        posterior_of_answers(model, None, batch(), **given)
