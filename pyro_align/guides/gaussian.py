"""A Gaussian for each sentence, from an encoder of the sentence."""

from __future__ import annotations

from typing import Any, Literal

from pyro.nn import pyro_method
from torch import nn

from pyro_align.constraints import CountOrZero, Layers, Rate, Size
from pyro_align.data.batch import Batch
from pyro_align.distributions import AutoregressiveFlow, at_least_fp32, diagonal_normal
from pyro_align.errors import ConfigError
from pyro_align.guides.sentence_guide import SentenceGuide
from pyro_align.nn.recurrence import Cell


class GaussianGuide(SentenceGuide):
    """``q(s | y) = N(μ(y), diag σ(y)²)``: the inference network of Kingma & Welling (2014).

    With a source it is ``q(s | x, y)`` (Zhang et al. 2016).

    ``μ`` and ``log σ`` are linear in what :class:`SentenceGuide` reads, whose arguments it has. A
    normalizing flow can transform the Gaussian (Kingma et al. 2016); it reads the same, and its
    divergence from the prior is estimated from the sample.

    Args:
        flow: number of layers of an inverse autoregressive flow, see
            :class:`~pyro_align.distributions.AutoregressiveFlow`; 0 for the Gaussian itself.
        flow_hidden: number of hidden units of a layer of the flow.

    Raises:
        ConfigError: for a flow of a latent vector of one dimension, or of more dimensions than
            hidden units.
    """

    latents = {"sentence": "gaussian"}

    def __init__(
        self,
        model: object,
        *,
        encoder: Literal["recurrent", "convolutional", "transformer"] = "recurrent",
        cell: Cell = "lstm",
        hidden: Size = 128,
        layers: Layers = 1,
        kernel: Size = 3,
        heads: Size = 4,
        dropout: Rate | None = None,
        share_embeddings: bool = False,
        flow: CountOrZero = 0,
        flow_hidden: Size = 64,
    ):
        super().__init__(
            model,
            encoder=encoder,
            cell=cell,
            hidden=hidden,
            layers=layers,
            kernel=kernel,
            heads=heads,
            dropout=dropout,
            share_embeddings=share_embeddings,
        )
        size, read = self.model.latent_size, self.encoded_size
        self.parameters_of = nn.Linear(read, 2 * size)
        if flow and not 2 <= size <= flow_hidden:
            raise ConfigError(
                f"a flow needs 2 latent dimensions or more, and at least as many hidden units: "
                f"set guide.flow_hidden, which is {flow_hidden}, or the size of the latent "
                f"variable, which is {size}"
            )
        self.flow = AutoregressiveFlow(size, read, flow, flow_hidden) if flow else None

    @pyro_method
    def posterior(self, batch: Batch) -> dict[str, Any]:
        """Return a Normal for each sentence, transformed by the flow if there is one."""
        read = self.encoded(batch).unsqueeze(1)
        normal = diagonal_normal(self.parameters_of(read))
        if self.flow is None:
            return {"sentence": normal}
        return {"sentence": self.flow.transform(normal, at_least_fp32(read))}
