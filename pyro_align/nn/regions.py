"""Encoders of the regions of an image."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

GEOMETRY = 9
"""Number of values of :func:`geometry`."""


class RegionEncoder(nn.Module):
    """``r_s = tanh(W f_s + U g_s)`` from features ``f_s`` and the geometry ``g_s`` of each region.

    Features are normalised to mean 0 and variance 1 within each region, since detectors differ in
    the scale of their features. The geometry is the box, its centre, its width, height and area.

    Args:
        feature: number of features of a region.
        size: size of an encoded region.
    """

    def __init__(self, feature: int, size: int):
        super().__init__()
        self.size = size
        self.norm = nn.LayerNorm(feature, elementwise_affine=False)
        self.features = nn.Linear(feature, size)
        self.geometry = nn.Linear(GEOMETRY, size, bias=False)

    def forward(
        self,
        regions: Float[Tensor, "batch source feature"],
        boxes: Float[Tensor, "batch source 4"],
    ) -> Float[Tensor, "batch source size"]:
        """Encode each region by itself.

        Args:
            regions: features.
            boxes: left, top, right and bottom edges, as fractions of the image.
        """
        encoded = self.features(self.norm(regions)) + self.geometry(geometry(boxes))
        return torch.tanh(encoded)


def geometry(boxes: Float[Tensor, "*shape 4"]) -> Float[Tensor, "*shape 9"]:
    """Return edges, centre, width, height and area of boxes."""
    low, high = boxes.chunk(2, -1)
    extent = high - low
    return torch.cat([boxes, (low + high) / 2, extent, extent.prod(-1, keepdim=True)], -1)


class RegionContext(nn.Module):
    """Annotations: each region beside what the question and the other regions make of it.

    The question selects what is read of a region by a Hadamard product (Kim et al. 2017)::

        m_s = [r_s; tanh(W r_s + V [g_s − ḡ_k, a_ks, n_k]_k) ∘ tanh(U q)]

    A glimpse ``k`` is a soft set of regions that the question names, such as the sphere in "the
    cube left of the sphere": ``a_ks = σ(u_k(q) · w(r_s) + b)`` says how much a region belongs to
    it, ``n_k = Σ_s a_ks`` how many regions it has, and ``ḡ_k`` is their mean geometry. Relations,
    and numbers of objects, are read from them.

    Args:
        size: size of an encoded region; an annotation is twice as large.
        question: size of an encoded question.
        glimpses: number of glimpses; 0 for none.
        dropout: rate on the second half of annotations.
    """

    def __init__(self, size: int, question: int, glimpses: int, dropout: float = 0.0):
        super().__init__()
        self.annotation_size = 2 * size
        self.question = nn.Linear(question, size)
        self.region = nn.Linear(size, size)
        self.glimpses = Glimpses(size, question, glimpses) if glimpses else None
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        regions: Float[Tensor, "batch source size"],
        boxes: Float[Tensor, "batch source 4"],
        question: Float[Tensor, "batch question"],
        mask: Bool[Tensor, "batch source"],
    ) -> Float[Tensor, "batch source annotation"]:
        """Compute annotations, which do not depend on padding and are zero there."""
        units = self.region(regions)
        if self.glimpses is not None:
            units = units + self.glimpses(regions, boxes, question, mask)
        gate = torch.tanh(self.question(question)).unsqueeze(1)
        context = self.dropout(torch.tanh(units) * gate)
        return torch.cat([regions, context], -1) * mask.unsqueeze(-1)


class Glimpses(nn.Module):
    """The part of :class:`RegionContext` that compares regions: ``V [g_s − ḡ_k, a_ks, n_k]_k``.

    Args:
        size: size of an encoded region, and of an output.
        question: size of an encoded question.
        count: number of glimpses.
    """

    def __init__(self, size: int, question: int, count: int):
        super().__init__()
        self.queries = nn.ModuleList(nn.Linear(question, size) for _ in range(count))
        self.keys = nn.Linear(size, size)
        # Sets are small at first: most regions are not named.
        self.bias = nn.Parameter(torch.full((count, 1), -1.0))
        self.output = nn.Linear(count * (GEOMETRY + 2), size, bias=False)

    def forward(
        self,
        regions: Float[Tensor, "batch source size"],
        boxes: Float[Tensor, "batch source 4"],
        question: Float[Tensor, "batch question"],
        mask: Bool[Tensor, "batch source"],
    ) -> Float[Tensor, "batch source size"]:
        """Compare each region with the regions of each glimpse."""
        queries = torch.stack([query(question) for query in self.queries], 1)
        scores = queries @ self.keys(regions).transpose(1, 2) / math.sqrt(regions.shape[-1])
        members = torch.sigmoid(scores + self.bias) * mask.unsqueeze(1)
        counts = members.sum(-1, keepdim=True)
        own = geometry(boxes)
        means = members @ own / (counts + 0.1)  # a set may be empty
        relative = own.unsqueeze(2) - means.unsqueeze(1)
        numbers = counts.transpose(1, 2).expand(-1, regions.shape[1], -1)
        read = [relative.flatten(2), members.transpose(1, 2), numbers]
        compared: Tensor = self.output(torch.cat(read, -1))
        return compared
