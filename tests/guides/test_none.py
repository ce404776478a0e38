"""Guide without sites."""

from __future__ import annotations

from support import tiny_guide, tiny_model

from pyro_align.guides import NoGuide
from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.testing import GuideContract


class TestNoGuideOnSoftModel(GuideContract):
    has_parameters = False

    def create_model(self, **settings):
        return tiny_model(SoftModel, **settings)

    def create(self, model, *, seed=1):
        return tiny_guide(model, NoGuide, seed=seed)


class TestNoGuideOnCategoricalModel(TestNoGuideOnSoftModel):
    def create_model(self, **settings):
        return tiny_model(CategoricalModel, **settings)
