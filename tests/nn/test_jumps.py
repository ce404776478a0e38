"""Transitions between source positions against the formula for each pair."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from pyro_align.distributions import mask_logits
from pyro_align.errors import ConfigError
from pyro_align.nn import Jumps


def layer(width: int, *, monotonic: bool) -> Jumps:
    torch.manual_seed(0)
    made = Jumps(4, width, monotonic=monotonic).double()
    with torch.no_grad():
        made.score.weight.normal_()
        made.score.bias.normal_()
    return made


@pytest.mark.parametrize("monotonic", [False, True])
@pytest.mark.parametrize(("width", "source"), [(1, 1), (2, 5), (3, 2)])
def test_each_pair_has_the_score_of_its_jump(width, source, monotonic):
    made = layer(width, monotonic=monotonic)
    hidden = torch.randn(2, 3, 4, dtype=torch.float64)
    scores = torch.randn(2, 3, source, dtype=torch.float64)
    probs = made(hidden, scores).softmax(-1).detach()
    assert probs.shape == (2, 3, 1 + source, source)
    widths = made.score(hidden).detach()
    for b in range(2):
        for t in range(3):
            for i in range(-1, source):
                weights = []
                for j in range(source):
                    jump = max(-width, min(width, j - i))
                    index = jump if monotonic else jump + width
                    allowed = jump >= 0 or not monotonic
                    weight = (scores[b, t, j] + widths[b, t, index]).exp() if allowed else 0.0
                    weights.append(float(weight))
                expected = torch.tensor(weights, dtype=torch.float64) / sum(weights)
                torch.testing.assert_close(probs[b, t, 1 + i], expected)


def test_padding_gets_no_probability():
    made = layer(2, monotonic=True)
    hidden = torch.randn(1, 2, 4, dtype=torch.float64)
    scores = torch.randn(1, 2, 4, dtype=torch.float64)
    real = torch.tensor([True, True, True, False])
    masked = made(hidden, mask_logits(scores, real)).softmax(-1)
    assert not masked[:, :, :4, 3].any()
    expected = made(hidden, scores[..., :3]).softmax(-1)
    torch.testing.assert_close(masked[:, :, :4, :3], expected)


def test_a_new_layer_does_not_change_the_attention():
    scores = torch.randn(2, 3, 4)
    found = Jumps(5, 2)(torch.randn(2, 3, 5), scores)
    torch.testing.assert_close(found, scores.unsqueeze(2).expand(-1, -1, 5, -1))


def test_gradients_match_finite_differences():
    made = layer(2, monotonic=False)
    shapes = (1, 2, 4), (1, 2, 3)
    assert gradcheck(made, [torch.randn(shape).double().requires_grad_() for shape in shapes])


def test_a_width_below_one_is_rejected():
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        Jumps(4, 0)
