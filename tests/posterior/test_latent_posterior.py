"""Posteriors of latent vectors: principal axes, tables and figures."""

import io

import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from pyro_align.errors import ConfigError, UserError
from pyro_align.posterior import LatentPosterior

RANDOM = np.random.default_rng(0)
LINES = ["a cat", "the dog sleeps", "a bird sings", "the old dog", "it"]
MEANS = RANDOM.normal(size=(5, 3)) * [3.0, 1.0, 0.1]
DIVERGENCES = RANDOM.gamma(1.0, size=(5, 3))


def latents(divergences=DIVERGENCES, means=MEANS):
    return LatentPosterior(LINES, means, np.ones_like(means), divergences, "vae with gaussian")


def test_axes_are_eigenvectors_of_the_covariance():
    coordinates, shares = latents().axes()
    values, vectors = np.linalg.eigh(np.cov(MEANS.T))
    for number in range(2):
        vector = vectors[:, -1 - number]
        vector = vector * np.sign(vector[np.abs(vector).argmax()])
        assert coordinates[:, number] == pytest.approx((MEANS - MEANS.mean(0)) @ vector)
        assert shares[number] == pytest.approx(values[-1 - number] / values.sum())


def test_axes_that_do_not_exist_are_zero():
    coordinates, shares = latents(means=MEANS[:, :1]).axes()
    assert shares.tolist() == [1.0, 0.0]
    assert not coordinates[:, 1].any()
    same = latents(means=np.ones((5, 3)))
    assert same.axes()[1].tolist() == [0.0, 0.0]
    same.plot()


def test_table():
    frame = latents().to_frame()
    assert frame["sentence"].tolist() == LINES
    assert frame["words"].tolist() == [2, 3, 3, 3, 1]
    assert frame["kl"].to_numpy() == pytest.approx(DIVERGENCES.sum(1))
    assert latents(None).to_frame()["kl"].isna().all()


def test_points_have_the_colours_of_numbers():
    figure = latents().plot("kl")
    (points,) = figure.axes[0].collections
    assert np.asarray(points.get_offsets()) == pytest.approx(latents().axes()[0])
    assert np.asarray(points.get_array()) == pytest.approx(DIVERGENCES.sum(1))
    assert figure.axes[1].get_ylabel() == "kl"


def test_values_that_are_no_numbers_have_a_legend():
    kinds = pd.Series(["cat", "$dog", "bird", "$dog", "it"], name="animal")
    ax = latents().plot(kinds).axes[0]
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["$dog", "bird", "cat", "it"]
    assert legend.get_title().get_text() == "animal"
    dogs = np.asarray(ax.collections[0].get_offsets())
    assert dogs == pytest.approx(latents().axes()[0][[1, 3]])


def test_bars_are_means_largest_first(tmp_path):
    figure = latents().plot_divergences(tmp_path / "kl.svg")
    ax = figure.axes[0]
    means = DIVERGENCES.mean(0)
    heights = [bar.get_height() for bar in ax.patches]
    assert heights == pytest.approx(sorted(means, reverse=True))
    labels = [int(text.get_text()) for text in ax.get_xticklabels()]
    assert labels == (np.argsort(-means) + 1).tolist()
    assert (tmp_path / "kl.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize("divergences", [DIVERGENCES, None])
def test_display_in_a_notebook(divergences):
    image = matplotlib.image.imread(io.BytesIO(latents(divergences)._repr_png_()))
    height = 420 if divergences is None else 720
    assert image.shape[:2] == (height, 520)
    # Something is drawn in each half.
    assert image[:420].std() > 0.05
    assert divergences is None or image[420:].std() > 0.05


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: latents().plot("length"), ConfigError, "no column 'length'"),
        (lambda: latents().plot([1, 2]), UserError, "5 sentences, but 2 values"),
        (lambda: latents(None).plot_divergences(), UserError, "not independent"),
        (lambda: latents().plot(path="points.bmp"), ConfigError, "must end in"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_too_many_values_for_a_legend():
    many = LatentPosterior([*"abcdefghijk"], np.eye(11), np.ones((11, 11)))
    with pytest.raises(UserError, match="11 different values"):
        many.plot("sentence")
