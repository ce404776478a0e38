"""The self-attentive inference network."""

from __future__ import annotations

import pytest
import torch
from contracts import GuideContract
from support import gradient, random_batch, randomise, tiny_model

from pyro_align.errors import ConfigError
from pyro_align.guides import TransformerGuide


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


def test_it_knows_positions():
    """The same token at two places is not the same."""
    guide, batch = tiny(tiny_model()), random_batch((4,), (4,))
    batch.source[:] = 5
    batch.target[:] = 6
    scores = guide.scores(batch)[0]
    assert len(scores[0].unique()) == 4
    assert len(scores[:, 0].unique()) == 4


def test_without_gradients_it_is_the_same():
    """Torch has another implementation of a layer for that."""
    guide, batch = tiny(tiny_model()).eval(), random_batch()
    with torch.no_grad():
        fast = guide.scores(batch)
    here = batch.source_mask.unsqueeze(1) & batch.target_mask.unsqueeze(2)
    torch.testing.assert_close(fast[here], guide.scores(batch)[here])


def test_it_trains_the_models_embeddings():
    model = tiny_model()
    guide, batch = tiny(model), random_batch()
    value = guide.scores(batch).softmax(-1).pow(2).sum()
    assert gradient(value, model.networks.source_embedding).abs().sum() > 0
    assert gradient(value, model.networks.target_embedding).abs().sum() > 0


def test_dropout_is_the_models_unless_told():
    model, batch = tiny_model(dropout=0.4), random_batch()
    assert tiny(model).dropout.p == 0.4
    guide = tiny(model, dropout=0.5)
    assert not torch.equal(guide.scores(batch), guide.scores(batch))
    guide.eval()
    assert torch.equal(guide.scores(batch), guide.scores(batch))


def test_a_size_that_heads_do_not_divide_is_refused():
    with pytest.raises(ConfigError, match="size 10 and 4 heads"):
        TransformerGuide(tiny_model(), size=10, heads=4)
