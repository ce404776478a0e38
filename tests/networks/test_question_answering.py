"""Networks for questions about images, with every model, guide and objective."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import ClassVar

import pytest
import torch
from support import VOCABULARY, gradient, randomise
from torch.nn.functional import pad

from pyro_align.config.registry import GUIDES, MODELS, OBJECTIVES, go_together
from pyro_align.data.batch import length_mask
from pyro_align.data.noise import Noise
from pyro_align.data.question_batches import ImageBatch, RegionBatch
from pyro_align.errors import ConfigError
from pyro_align.guides import (
    AmortizedDirichletGuide,
    AmortizedGuide,
    CorrectedPriorGuide,
    ExactGuide,
    GumbelGuide,
    NoGuide,
    PosteriorMixtureGuide,
    PriorGuide,
    TransformerGuide,
)
from pyro_align.inference import EnumeratedELBO, ExactMarginal, score_positions
from pyro_align.models import CategoricalModel, DirichletModel, SoftModel
from pyro_align.networks import AnsweringNetworkConfig, QuestionAnswering
from pyro_align.nn import ImageGrid, RegionContext, RegionEncoder
from pyro_align.testing import GuideContract, ModelContract

WORDS, FEATURES, PIXELS = 11, 3, 8

SMALL = {
    "embedding": 3,
    "hidden": 4,
    "region_size": 4,
    "glimpses": 2,
    "answer": 3,
    "heads": 2,
    "dropout": 0.0,
    "grid_layers": 2,
    "grid_channels": 4,
    "image_size": PIXELS,
    "attention_hidden": 3,
}


def network(seed=0, **settings):
    config = AnsweringNetworkConfig(**{**SMALL, **settings})
    built = QuestionAnswering.from_config(config, WORDS, VOCABULARY, FEATURES)
    return randomise(built, seed, scale=0.7)


def questions(sources: Sequence[int] = (3, 4, 1), targets: Sequence[int] = (), seed: int = 0):
    """Questions of 3, 1, 2, … words about images with regions."""
    generator = torch.Generator().manual_seed(seed)
    count = len(sources)
    lengths = torch.tensor([(3, 1, 2)[row % 3] for row in range(count)])
    number, ones = torch.tensor(sources), torch.ones(count, dtype=torch.long)
    mask = length_mask(number)
    words = torch.randint(4, WORDS, (count, int(lengths.max())), generator=generator)
    corners = torch.rand(count, mask.shape[1], 2, generator=generator, dtype=torch.float64) / 2
    regions = torch.randn(count, mask.shape[1], FEATURES, generator=generator, dtype=torch.float64)
    return RegionBatch(
        question=words * length_mask(lengths),
        question_lengths=lengths,
        regions=regions * mask.unsqueeze(-1),
        boxes=torch.cat([corners, corners + 0.4], -1) * mask.unsqueeze(-1),
        target=torch.randint(VOCABULARY, (count, 1), generator=generator),
        source_mask=mask,
        target_mask=length_mask(ones),
        source_lengths=number,
        target_lengths=ones,
        indices=torch.arange(count),
        noise=Noise(0),
    )


def pixels(sources: Sequence[int] = (4, 4, 4), targets: Sequence[int] = (), seed: int = 0):
    """The same questions about images of 2 by 2 cells."""
    batch = questions(sources, targets, seed)
    fields = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    count, cells = len(batch), torch.full((len(batch),), 4)
    del fields["regions"], fields["boxes"]
    fields |= {"source_mask": length_mask(cells), "source_lengths": cells}
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, PIXELS, PIXELS)
    return ImageBatch(images=torch.rand(shape, generator=generator, dtype=torch.float64), **fields)


def padded(batch, source: int = 0):
    """A batch with more padding of regions and words."""
    return dataclasses.replace(
        batch,
        question=pad(batch.question, (0, source)),
        regions=pad(batch.regions, (0, 0, 0, source)),
        boxes=pad(batch.boxes, (0, 0, 0, source)),
        source_mask=pad(batch.source_mask, (0, source)),
    )


class Questions:
    """Batches of the contracts."""

    decodes = False

    def batch(self, sources=(3, 4, 1), targets=(1, 1, 1)):
        return questions(sources)

    def padded(self, batch, source=0, target=0):
        return padded(batch, source)


class TestCategoricalModelOfQuestions(Questions, ModelContract):
    def create(self, *, seed=0, **settings):
        return CategoricalModel(network(seed, **settings))


class TestSoftModelOfQuestions(Questions, ModelContract):
    def create(self, *, seed=0, **settings):
        return SoftModel(network(seed, **settings))


class TestProductEmissionOfQuestions(TestCategoricalModelOfQuestions):
    def create(self, *, seed=0, **settings):
        return super().create(seed=seed, emission="product", attention="mlp", **settings)


class TestTransformerOfQuestions(TestCategoricalModelOfQuestions):
    def create(self, *, seed=0, **settings):
        parts = {"question": "transformer", "attention": "dot", "region_size": 2}
        return super().create(seed=seed, **parts, **settings)


class TestPixels(TestCategoricalModelOfQuestions):
    def create(self, *, seed=0, **settings):
        return super().create(seed=seed, regions="pixels", **settings)

    def batch(self, sources=(4, 4, 4), targets=(1, 1, 1)):
        return pixels([4] * len(sources))

    def padded(self, batch, source=0, target=0):
        return batch


class GuideOfQuestions(Questions, GuideContract):
    has_parameters = True
    kind = CorrectedPriorGuide
    options: ClassVar = {"hidden": 4}
    settings: ClassVar = {}

    def create_model(self, *, seed=0):
        return CategoricalModel(network(seed, **self.settings))

    def create(self, model, *, seed=1):
        return randomise(self.kind(model, **self.options), seed, scale=0.7)


class TestCorrectedPriorGuideOfQuestions(GuideOfQuestions):
    pass


class TestAmortizedGuideOfQuestions(GuideOfQuestions):
    kind = AmortizedGuide
    # Not every parameter moves: recurrent weights have no gradient from a single position.
    test_stock_svi_trains_model_and_guide = None


class TestAmortizedGuideWithOwnFeaturesOfQuestions(TestAmortizedGuideOfQuestions):
    kind, options = AmortizedGuide, {"hidden": 4, "share_embeddings": False}


class TestPosteriorMixtureGuideOfQuestions(TestAmortizedGuideOfQuestions):
    kind = PosteriorMixtureGuide


class TestTransformerGuideOfQuestions(GuideOfQuestions):
    test_stock_svi_trains_model_and_guide = None  # slow
    kind, options = TransformerGuide, {"size": 8, "heads": 2}


class TestPriorGuideOfQuestions(GuideOfQuestions):
    kind, options, has_parameters = PriorGuide, {}, False


class TestGuideOfPixels(GuideOfQuestions):
    settings: ClassVar = {"regions": "pixels"}
    test_stock_svi_trains_model_and_guide = None  # slow; the same as for features

    def batch(self, sources=(4, 4, 4), targets=(1, 1, 1)):
        return pixels([4] * len(sources))

    def padded(self, batch, source=0, target=0):
        return batch


OPTIONS = {
    AmortizedGuide: {"hidden": 4},
    CorrectedPriorGuide: {"hidden": 4},
    PosteriorMixtureGuide: {"hidden": 4},
    TransformerGuide: {"size": 8, "heads": 2},
    GumbelGuide: {"hidden": 4},
    AmortizedDirichletGuide: {"hidden": 4},
}

MATCHING = [
    names
    for names in product(("soft", "categorical", "dirichlet", "markov"), GUIDES, OBJECTIVES)
    if go_together(*names)
]


@pytest.mark.parametrize("names", MATCHING, ids="-".join)
@pytest.mark.parametrize("read", ["features", "pixels"])
def test_every_model_guide_and_objective(names, read):
    """Loss and gradient are finite, and the gradient reaches every part that is read."""
    model = MODELS.build(names[0], {}, network(regions=read)).double()
    cls = GUIDES.get(names[1])
    guide = cls(model, **OPTIONS.get(cls, {})).double()
    objective = OBJECTIVES.build(names[2], {})
    objective(model, guide)
    batch = questions() if read == "features" else pixels()
    loss = objective.terms(model, guide, batch).loss
    loss.backward()
    assert loss.isfinite()
    parameters = {*model.parameters(), *guide.parameters()}
    assert all(p.grad.isfinite().all() for p in parameters if p.grad is not None)
    scores = score_positions(model, guide, batch)
    if scores.elbo is not None and names[0] != "dirichlet":
        assert (scores.elbo <= scores.log_evidence + 1e-9).all()


@torch.no_grad()
def test_everything_by_hand():
    """Query, memory, scores and emission of each question, without padding."""
    net = network(attention="general")
    batch = questions()
    states = net(batch)
    for row, length in enumerate(batch.source_lengths.tolist()):
        words = batch.question[row, : batch.question_lengths[row]]
        gru = net.inputs.question.recurrence.layers[0]
        _, last = gru(net.inputs.words(words).unsqueeze(0))
        query = torch.cat([last[0, 0], last[1, 0]])
        torch.testing.assert_close(states.hidden[row, 0], query)
        regions, boxes = batch.regions[row, :length], batch.boxes[row, :length]
        normed = (regions - regions.mean(-1, keepdim=True)) / (
            regions.var(-1, unbiased=False, keepdim=True) + 1e-5
        ).sqrt()
        centre, extent = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        place = torch.cat([boxes, centre, extent, extent.prod(-1, keepdim=True)], -1)
        encoder, context = net.inputs.regions, net.inputs.context
        local = torch.tanh(encoder.features(normed) + encoder.geometry(place))
        read = []
        glimpses = context.glimpses
        for number, ask in enumerate(glimpses.queries):
            scores = torch.stack([ask(query) @ glimpses.keys(each) for each in local])
            member = torch.sigmoid(scores / 2 + glimpses.bias[number])
            mean = (member.unsqueeze(-1) * place).sum(0) / (member.sum() + 0.1)
            read.append((place - mean, member, member.sum().expand(length)))
        compared = torch.cat(
            [
                *(each[0] for each in read),
                *(each[1].unsqueeze(-1) for each in read),
                *(each[2].unsqueeze(-1) for each in read),
            ],
            -1,
        )
        gate = torch.tanh(context.question(query))
        in_context = torch.tanh(context.region(local) + glimpses.output(compared)) * gate
        annotations = torch.cat([local, in_context], -1)
        torch.testing.assert_close(states.memory.annotations[row, :length], annotations)
        expected = net.scorer.projection(annotations) @ query
        torch.testing.assert_close(states.scores[row, 0, :length], expected)
        values = net.emission.context(annotations)
        torch.testing.assert_close(states.memory.values[row, :length], values)


def test_results_do_not_depend_on_padding():
    net, batch = network(), questions()
    for settings in ({}, {"question": "transformer"}):
        net = network(**settings)
        narrow, wide = net(batch), net(padded(batch, 3))
        torch.testing.assert_close(wide.scores[..., :4], narrow.scores)
        torch.testing.assert_close(wide.hidden, narrow.hidden)
        assert not wide.memory.annotations[:, 4:].any()


def test_questions_do_not_influence_each_other():
    batch, net = questions(), network()
    changed = dataclasses.replace(batch, question=batch.question.clone())
    changed.question[0] = 5
    before, after = net(batch).scores, net(changed).scores
    assert (before[0] != after[0]).any()
    torch.testing.assert_close(before[1:], after[1:], rtol=0, atol=0)


def test_model_and_guide_share_question_and_regions():
    """Each is encoded once a step, with the same dropout whether or not it is shared."""
    model = CategoricalModel(network(dropout=0.5)).train()
    guide = AmortizedGuide(model, hidden=4).double()
    counts = {"question": 0, "regions": 0}

    def count(name):
        counts[name] += 1

    inputs = model.networks.inputs
    for name in counts:
        getattr(inputs, name).register_forward_hook(lambda *_, name=name: count(name))
    objective = EnumeratedELBO()
    first = objective.differentiable_loss(model, guide, questions())
    assert counts == {"question": 1, "regions": 1}
    assert torch.equal(first, objective.differentiable_loss(model, guide, questions()))


def test_own_features_of_a_guide_start_as_a_copy():
    model = CategoricalModel(network())
    guide = AmortizedGuide(model, hidden=4, share_embeddings=False).double()
    own, inputs = guide.own_features, model.networks.inputs
    for (name, ours), (_, theirs) in zip(
        own.named_parameters(), inputs.named_parameters(), strict=True
    ):
        assert ours is not theirs
        assert torch.equal(ours, theirs), name
    loss = EnumeratedELBO().differentiable_loss(model, guide, questions())
    assert gradient(loss, own.regions).any()


def test_an_exact_guide_has_the_evidence_as_its_bound():
    model = CategoricalModel(network())
    bound = EnumeratedELBO().differentiable_loss(model, ExactGuide(model), questions())
    torch.testing.assert_close(
        bound, ExactMarginal().differentiable_loss(model, NoGuide(model), questions())
    )


def test_simplex_over_one_region_is_a_point():
    net = network()
    one = questions((1, 1, 1))
    soft = score_positions(SoftModel(net), None, one).log_evidence
    torch.testing.assert_close(score_positions(DirichletModel(net), None, one).log_evidence, soft)


@pytest.mark.parametrize(("size", "layers"), [(8, 2), (9, 2), (9, 3), (3, 1)])
def test_cells_of_a_grid(size, layers):
    config = AnsweringNetworkConfig(**{**SMALL, "image_size": size, "grid_layers": layers})
    features, boxes = ImageGrid(4, layers)(torch.rand(2, 3, size, size))
    assert features.shape == (2, config.cells, 4)
    areas = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
    torch.testing.assert_close(areas.sum(1), torch.ones(2))
    side = round(config.cells**0.5)
    assert boxes[0, side - 1, 2] == pytest.approx(1)
    assert boxes[0, side - 1, 1] == 0


def test_a_cell_sees_its_place():
    """A change at the right edge of an image does not change the cells at the left."""
    grid = randomise(ImageGrid(4, 2), 0).eval()
    for module in grid.modules():
        if isinstance(module, torch.nn.InstanceNorm2d):
            module.forward = lambda inputs: inputs  # it sees the whole image
    images = torch.rand(1, 3, 64, 64, dtype=torch.float64)
    changed = images.clone()
    changed[..., 60:] = 0
    before, after = grid(images)[0].view(16, 16, 4), grid(changed)[0].view(16, 16, 4)
    assert torch.equal(before[:, :11], after[:, :11])
    assert (before[:, 15] != after[:, 15]).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hidden": 5}, "network.hidden must be even, got 5"),
        ({"question": "transformer", "heads": 3}, "network.hidden must be a multiple"),
        ({"regions": "pixels", "image_size": 4}, "leaves one cell"),
        ({"attention": "dot", "hidden": 4}, "'dot' needs queries"),
    ],
)
def test_sizes_that_do_not_fit_are_rejected(settings, message):
    with pytest.raises(ConfigError, match=message):
        network(**settings)


def test_glimpses_and_regions_can_be_used_alone():
    """The layers are plain PyTorch."""
    encode, context = RegionEncoder(FEATURES, 4), RegionContext(4, 4, 0)
    batch = questions()
    regions = encode(batch.regions.float(), batch.boxes.float())
    found = context(regions, batch.boxes.float(), torch.randn(3, 4), batch.source_mask)
    assert found.shape == (3, 4, 8)
    assert partial(RegionContext, 4, 4)(2).glimpses is not None
