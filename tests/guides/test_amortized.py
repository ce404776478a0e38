"""Amortised guide."""

from __future__ import annotations

import pytest
import torch
from support import gradient, random_batch, tiny_guide, tiny_model, tiny_networks

from pyro_align.data.batch import TextBatch
from pyro_align.models import CategoricalModel
from pyro_align.testing import GuideContract


class TestAmortizedGuide(GuideContract):
    has_parameters = True

    def create_model(self, **settings):
        return tiny_model(**settings)

    def create(self, model, *, seed=1):
        return tiny_guide(model, seed=seed, layers=2)


class TestAmortizedGuideWithOwnEmbeddings(TestAmortizedGuide):
    def create_model(self, **settings):
        return tiny_model(cell="gru", **settings)

    def create(self, model, *, seed=1):
        return tiny_guide(model, seed=seed, share_embeddings=False)


@pytest.mark.parametrize("changed", [0, 1, 2, 3])
def test_scores_depend_on_the_whole_target(changed):
    """A change of any past, present or future token changes every alignment."""
    guide, batch = tiny_guide(tiny_model()), random_batch((3, 4), (4, 4))
    before = guide.scores(batch).softmax(-1)
    batch.target[:, changed] = 4 + (batch.target[:, changed] - 3) % 5
    after = guide.scores(batch).softmax(-1)
    assert (after != before)[batch.source_mask.unsqueeze(1).expand_as(after)].all()


def test_scores_depend_on_the_whole_source():
    guide, batch = tiny_guide(tiny_model()), random_batch((4,), (3,))
    before = guide.scores(batch)
    batch.source[:, 1] = 4 + (batch.source[:, 1] - 3) % 5
    assert (guide.scores(batch) != before).all()


def test_scores_are_bilinear_in_the_two_networks():
    model = tiny_model()
    guide, batch = tiny_guide(model), random_batch()
    networks = model.networks
    sources = guide.source_network(networks.source_embedding(batch.source), batch.source_lengths)
    targets = guide.target_network(networks.target_embedding(batch.target), batch.target_lengths)
    scores = guide.scores(batch)
    for b in range(len(batch)):
        for t in range(int(batch.target_lengths[b])):
            for s in range(int(batch.source_lengths[b])):
                expected = targets[b, t] @ guide.bilinear.weight @ sources[b, s]
                torch.testing.assert_close(scores[b, t, s], expected)


@pytest.mark.parametrize("share", [True, False])
def test_share_embeddings_selects_the_trained_embeddings(share):
    model = CategoricalModel(tiny_networks(tie_embeddings="none"))
    guide, batch = tiny_guide(model, share_embeddings=share), random_batch()
    value = guide.scores(batch).softmax(-1).pow(2).sum()
    assert (gradient(value, model).abs().sum() > 0) == share
    assert gradient(value, guide).abs().sum() > 0


def test_separate_embeddings_have_the_model_sizes():
    model = CategoricalModel(tiny_networks(source_vocabulary=12, vocabulary=9))
    guide = tiny_guide(model, share_embeddings=False)
    batch = TextBatch.from_ids([[11, 3]], [[8, 3]])
    assert guide.scores(batch).shape == (1, 2, 2)


def test_dropout_defaults_to_the_models():
    model = tiny_model(dropout=0.4)
    assert tiny_guide(model).dropout.p == 0.4
    guide, batch = tiny_guide(model, dropout=0.0), random_batch()
    assert torch.equal(guide.scores(batch), guide.scores(batch.with_new_noise()))
    guide = tiny_guide(model, dropout=0.5)
    assert not torch.equal(guide.scores(batch), guide.scores(batch.with_new_noise()))
    guide.eval()
    assert torch.equal(guide.scores(batch), guide.scores(batch.with_new_noise()))


@pytest.mark.parametrize("side", ["source", "target"])
def test_both_networks_apply_dropout_to_embeddings(side):
    guide, batch = tiny_guide(tiny_model(), dropout=0.5), random_batch()
    seen = []
    network = getattr(guide, f"{side}_network")
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    guide.scores(batch)
    guide.eval()
    guide.scores(batch)
    mask = getattr(batch, f"{side}_mask")
    dropped, whole = (embedded[mask] for embedded in seen)
    assert (whole != 0).all()
    assert 0 < (dropped == 0).sum() < dropped.numel()


def test_under_autocast_scores_are_fp32():
    # A CPU without bf16 instructions has no bf16 LSTM, but every CPU has the GRU.
    model = tiny_model(cell="gru").float()
    guide, batch = tiny_guide(model).float(), random_batch()
    exact = guide.scores(batch)
    with torch.autocast("cpu", torch.bfloat16):
        scores = guide.scores(batch)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores, exact, rtol=0.05, atol=0.1)
