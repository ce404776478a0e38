"""The Gaussian guide of a sentence pair."""

from __future__ import annotations

from variational import variational

from pyro_align.guides import GaussianGuide
from pyro_align.models import VariationalSoftModel
from pyro_align.testing import GuideContract, tiny_guide


class TestGaussianGuide(GuideContract):
    has_parameters = True

    def create_model(self, *, seed=0):
        return variational(seed=seed)

    def create(self, model, *, seed=1):
        return tiny_guide(model, GaussianGuide, seed=seed)


class TestGaussianGuideOfSoftAttention(TestGaussianGuide):
    def create_model(self, *, seed=0):
        return variational(VariationalSoftModel, seed=seed)
