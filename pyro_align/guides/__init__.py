"""Guides: one Pyro program a file, each built on a model."""

from pyro_align.guides.alignment_guide import AlignmentGuide
from pyro_align.guides.amortized import AmortizedGuide
from pyro_align.guides.none import NoGuide
from pyro_align.guides.prior import PriorGuide

__all__ = ["AlignmentGuide", "AmortizedGuide", "NoGuide", "PriorGuide"]
