"""Transformer guide."""

from __future__ import annotations

import pytest
import torch
from support import gradient, random_batch, randomise, tiny_model

from pyro_align.errors import ConfigError
from pyro_align.guides import TransformerGuide
from pyro_align.testing import GuideContract


def tiny(model, seed=1, **options):
    guide = TransformerGuide(model, **{"size": 8, "layers": 1, "heads": 2, **options})
    return randomise(guide, seed, scale=0.7)


class TestTransformerGuide(GuideContract):
    has_parameters = True

    def create_model(self, **settings):
        return tiny_model(**settings)

    def create(self, model, *, seed=1):
        return tiny(model, seed)


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("changed", [0, 1, 2])
def test_every_score_depends_on_every_token(side, changed):
    guide, batch = tiny(tiny_model()), random_batch((4, 4), (4, 4))
    before = guide.scores(batch)
    tokens = getattr(batch, side)
    tokens[:, changed] = 4 + (tokens[:, changed] - 3) % 5
    assert (guide.scores(batch) != before).all()


@pytest.mark.parametrize("side", ["source", "target"])
def test_without_layers_scores_depend_on_neighbours_only(side):
    model, batch = tiny_model(), random_batch((7,), (7,))
    guide = TransformerGuide(model, size=8, layers=0, heads=2).double()
    before = guide.scores(batch)
    tokens = getattr(batch, side)
    tokens[0, 3] = 4 + (tokens[0, 3] - 3) % 5
    changed = (guide.scores(batch) != before)[0]
    near = [False, *[True] * 5, False]
    other = int(side == "target")
    assert changed.all(other).tolist() == changed.any(other).tolist() == near


def test_without_layers_scores_match_the_formula():
    """Windows of five embeddings, zero beyond the sentence, plus position embeddings."""
    model, batch = tiny_model(), random_batch((3, 4), (2, 5))
    guide = TransformerGuide(model, size=8, layers=0, heads=2).double()
    scores = guide.scores(batch)
    rates = torch.tensor([10000.0 ** (-index / 8) for index in (0, 2, 4, 6)]).double()
    for row in range(2):
        units = []
        for side, name in enumerate(("source", "target")):
            length = getattr(batch, f"{name}_lengths")[row]
            embedded = getattr(model.networks, f"{name}_embedding")(getattr(batch, name)[row])
            read = []
            for position in range(length):
                unit = guide.sides[side].bias
                for offset in range(-2, 3):
                    if 0 <= position + offset < length:
                        window = guide.sides[side].weight[:, :, 2 + offset]
                        unit = unit + window @ embedded[position + offset]
                angles = position * rates
                read.append(unit + torch.cat([angles.sin(), angles.cos()]))
            units.append(guide.norm(torch.stack(read)))
        expected = units[1] @ guide.bilinear.weight @ units[0].T / 8**0.5
        found = scores[row, : len(expected), : expected.shape[1]]
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_steps_are_the_learning_rate_over_the_root_of_the_inputs():
    """The first step of Adam has the size of the learning rate wherever there is a gradient."""
    guide, batch = TransformerGuide(tiny_model(), size=8, layers=2, heads=2), random_batch()
    guide.double()

    def weights():
        for layer in guide.layers:
            attention = layer.attention
            parts = (attention.query, attention.key, attention.value, attention.output)
            yield from (part.weight for part in (*parts, *layer.feedforward[1:4:2]))

    before = [weight.detach().clone() for weight in weights()]
    guide.scores(batch).log_softmax(-1)[..., 0].sum().backward()
    torch.optim.Adam(guide.parameters(), lr=6e-3).step()
    for old, new in zip(before, weights(), strict=True):
        expected = 6e-3 / old.shape[1] ** 0.5
        assert (new - old).abs().max().item() == pytest.approx(expected, rel=1e-3)


def test_scores_depend_on_positions():
    """The same token at two positions gets different scores."""
    guide, batch = tiny(tiny_model()), random_batch((4,), (4,))
    batch.source[:] = 5
    batch.target[:] = 6
    scores = guide.scores(batch)[0]
    assert len(scores[0].unique()) == 4
    assert len(scores[:, 0].unique()) == 4


def test_scores_are_the_same_without_gradients():
    """PyTorch uses another implementation of the layer without gradients."""
    guide, batch = tiny(tiny_model()).eval(), random_batch()
    with torch.no_grad():
        fast = guide.scores(batch)
    here = batch.source_mask.unsqueeze(1) & batch.target_mask.unsqueeze(2)
    torch.testing.assert_close(fast[here], guide.scores(batch)[here])


def test_the_models_embeddings_are_trained():
    model = tiny_model()
    guide, batch = tiny(model), random_batch()
    value = guide.scores(batch).softmax(-1).pow(2).sum()
    assert gradient(value, model.networks.source_embedding).abs().sum() > 0
    assert gradient(value, model.networks.target_embedding).abs().sum() > 0


def test_dropout_defaults_to_the_models():
    model, batch = tiny_model(dropout=0.4), random_batch()
    assert tiny(model).dropout.p == 0.4
    guide = tiny(model, dropout=0.5)
    assert not torch.equal(guide.scores(batch), guide.scores(batch.with_new_noise()))
    guide.eval()
    assert torch.equal(guide.scores(batch), guide.scores(batch.with_new_noise()))


def test_a_size_not_divisible_by_the_heads_is_rejected():
    with pytest.raises(ConfigError, match="size 10 and 4 heads"):
        TransformerGuide(tiny_model(), size=10, heads=4)


@pytest.mark.parametrize("share", [True, False])
def test_share_embeddings_selects_the_trained_embeddings(share):
    model, batch = tiny_model(tie_embeddings="none"), random_batch()
    guide = tiny(model, share_embeddings=share)
    value = guide.scores(batch).softmax(-1).pow(2).sum()
    assert (gradient(value, model).abs().sum() > 0) == share
    assert gradient(value, guide).abs().sum() > 0
