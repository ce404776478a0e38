"""Samples of alignments as ArviZ data."""

import sys
import types
import warnings

import numpy as np
import pytest
from posteriors import by_hand, dirichlet, random_sentence, soft

from pyro_align.errors import ConfigError, UserError
from pyro_align.posterior import AlignmentPosterior

DRAWS = 4000


def two():
    short = random_sentence(("a", "b", "</s>"), ("x", "</s>"), 1)
    return AlignmentPosterior([by_hand(), short], "two")


def installed():
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # 0.23 announces version 1
        return pytest.importorskip("arviz", reason="ArviZ is not installed"), xarray


def test_sample_frequencies_are_the_probabilities():
    installed()
    posterior = two()
    data = posterior.to_arviz(draws=DRAWS)
    assert data["posterior"].attrs == {"title": "two", "distribution": "posterior"}
    for group, kind in (("prior", "prior"), ("posterior", "posterior")):
        drawn = data[group]["alignment"]
        assert drawn.dims == ("chain", "draw", "sentence", "target")
        assert drawn.shape == (1, DRAWS, 2, 4)
        for number, one in enumerate(posterior):
            here = drawn.values[0, :, number, : len(one.target)]
            shares = np.stack([(here == s).mean(0) for s in range(len(one.source))], axis=-1)
            # Five standard errors of a share.
            assert np.abs(shares - one.matrix(kind)).max() < 5 * 0.5 / DRAWS**0.5
        assert np.isnan(drawn.values[:, :, 1, 2:]).all()
    assert data["observed_data"]["target_tokens"].values[1].tolist() == ["x", "</s>", "", ""]
    assert data["constant_data"]["source_tokens"].values[0].tolist() == list(posterior[0].source)


def test_draws_are_independent():
    installed()
    same = AlignmentPosterior([by_hand(), by_hand()])
    data = same.to_arviz("guide", draws=DRAWS)
    assert data["posterior"].attrs["distribution"] == "guide"
    flat = by_hand(prior=np.full((4, 4), 0.25, np.float32))
    data = AlignmentPosterior([flat, flat]).to_arviz(draws=DRAWS)
    first, second = np.moveaxis(data["prior"]["alignment"].values[0], 1, 0)
    for other in (second, data["posterior"]["alignment"].values[0, :, 0]):
        kept = other.std(0) > 0
        correlation = [
            np.corrcoef(first[:, t], other[:, t])[0, 1] for t in np.flatnonzero(kept).tolist()
        ]
        assert np.abs(correlation).max() < 5 / DRAWS**0.5
    again = AlignmentPosterior([flat, flat]).to_arviz(draws=DRAWS)
    assert again["prior"].equals(data["prior"])
    assert (
        not AlignmentPosterior([flat])
        .to_arviz(seed=1)["prior"]
        .equals(AlignmentPosterior([flat]).to_arviz(seed=2)["prior"])
    )


def test_arviz_accepts_the_data():
    arviz, _ = installed()
    one = AlignmentPosterior([random_sentence(("a", "b", "</s>"), ("x", "</s>"), 1)])
    data = one.to_arviz(draws=DRAWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = arviz.summary(data, group="posterior", kind="stats", round_to="none")
    expected = one[0].posterior @ np.arange(3)
    assert table["mean"].to_numpy(float) == pytest.approx(expected, abs=5 / DRAWS**0.5)


def test_a_dirichlet_has_weights():
    installed()
    one = dirichlet()
    data = AlignmentPosterior([one]).to_arviz(draws=DRAWS)
    drawn = data["prior"]["alignment"]
    assert drawn.dims == ("chain", "draw", "sentence", "target", "source")
    assert drawn.values.sum(-1) == pytest.approx(1)
    assert drawn.values.mean((0, 1, 2)) == pytest.approx(one.prior, abs=5 * 0.5 / DRAWS**0.5)


def test_arviz_one_gets_a_data_tree(monkeypatch):
    xarray = pytest.importorskip("xarray", reason="xarray is not installed")
    monkeypatch.setitem(sys.modules, "arviz", types.ModuleType("arviz"))
    tree = two().to_arviz(draws=3)
    assert isinstance(tree, xarray.DataTree)
    assert set(tree.children) == {"prior", "posterior", "observed_data", "constant_data"}
    assert tree["posterior"]["alignment"].shape == (1, 3, 2, 4)


def test_invalid_requests_are_rejected(monkeypatch):
    with pytest.raises(UserError, match="guide or an exact posterior"):
        AlignmentPosterior([soft()]).to_arviz()
    with pytest.raises(ConfigError, match=r"cannot sample from 'guid'.*guide"):
        two().to_arviz("guid")
    with pytest.raises(UserError, match="no sentence pair"):
        AlignmentPosterior([]).to_arviz()
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(UserError, match="pip install arviz"):
        two().to_arviz()
