"""A Transformer decoder whose last attention to the source is latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from pyro_align.nn.decoder import Decoder, DecoderState, Likelihood, Memory
from pyro_align.nn.last_position import LastPosition
from pyro_align.nn.positions import Positions
from pyro_align.nn.scorers import Scorer
from pyro_align.nn.transformer import Transformer
from pyro_align.nn.transformer_layer import KeysValues, equalised_linear


@dataclass(frozen=True)
class TransformerState(DecoderState):
    """State of a Transformer decoder after a prefix.

    Attributes:
        past: keys and values of the prefix for each layer; empty before the first token.
        last: with posterior attention, the last position; None before the first token.
    """

    past: tuple[KeysValues, ...] = ()
    last: LastPosition | None = None

    def select(self, index: Int[Tensor, " row"]) -> TransformerState:
        """Return rows by index; indices may repeat."""
        last = None if self.last is None else self.last.select(index)
        return TransformerState(self.position, tuple(each[index] for each in self.past), last)


class TransformerDecoder(Decoder):
    """A Transformer decoder (Vaswani et al. 2017, pre-norm) with one latent attention head.

    All layers but the last attend to the source with soft heads. The last layer attends to it with
    a single head, the scorer: its scores are those of the latent alignment, and the emission reads
    the output of the layer and the position that the alignment selects. With one layer the decoder
    states do not depend on the source, which is then read through the alignment alone.

    Args:
        embedding: size of a target embedding.
        hidden: number of units, a multiple of ``2 * heads``.
        layers: number of layers.
        annotation: size of a source annotation.
        scorer: attention scorer of the latent head.
        dropout: rate within layers.
        heads: number of attention heads.
        feedforward: number of units between feed-forward layers; by default ``4 * hidden``.
        positions: kind of position embeddings, see :class:`~pyro_align.nn.Transformer`.

    Raises:
        ConfigError: if ``hidden`` is not a multiple of ``2 * heads``.
    """

    def __init__(
        self,
        embedding: int,
        hidden: int,
        layers: int,
        annotation: int,
        scorer: Scorer,
        dropout: float,
        *,
        heads: int = 4,
        feedforward: int | None = None,
        positions: Positions = "sinusoidal",
    ):
        super().__init__(hidden)
        self.transformer = Transformer(
            embedding,
            hidden,
            layers,
            heads,
            dropout,
            feedforward=feedforward,
            positions=positions,
            memory=annotation,
        )
        self.scorer = scorer

    def layers_memory(self, annotations: Tensor) -> tuple[KeysValues, ...]:
        """Compute keys and values of the soft heads of each layer but the last."""
        return self.transformer.memories(annotations)

    def initial(self, memory: Memory) -> TransformerState:
        """Return the state before the first token."""
        return TransformerState(0)

    def forward(
        self, embedded: Tensor, state: TransformerState, memory: Memory, likelihood: Likelihood
    ) -> tuple[Tensor, Tensor, TransformerState]:
        """Run all positions at once, each attending to itself and those before."""
        hidden, past = self.transformer.after(state.past, embedded, memory.layers, memory.mask)
        after = TransformerState(state.position + embedded.shape[1], past)
        return hidden, self.scores(hidden, memory), after


class PosteriorFeedingTransformerDecoder(TransformerDecoder):
    """A Transformer decoder whose last layer reads the last context given the token just read.

    Posterior attention (Shankar & Sarawagi 2019), see
    :class:`~pyro_align.nn.last_position.LastPosition`: to the units that the last layer reads at a
    position is added a linear function of the mean annotation of the position before, under the
    posterior of its alignment. It depends on tokens alone, so that alignments stay independent
    given the target. The layers below run at all positions at once, the last one position by
    position.

    Args:
        embedding: size of a target embedding.
        hidden: number of units, a multiple of ``2 * heads``.
        layers: number of layers.
        annotation: size of a source annotation.
        scorer: attention scorer of the latent head.
        dropout: rate within layers.
        **options: other arguments of :class:`TransformerDecoder`.
    """

    def __init__(
        self,
        embedding: int,
        hidden: int,
        layers: int,
        annotation: int,
        scorer: Scorer,
        dropout: float,
        **options: Any,
    ):
        super().__init__(embedding, hidden, layers, annotation, scorer, dropout, **options)
        self.context = equalised_linear(annotation, hidden)

    def forward(
        self,
        embedded: Tensor,
        state: TransformerState,
        memory: Memory,
        likelihood: Likelihood,
    ) -> tuple[Tensor, Tensor, TransformerState]:
        """Run the last layer position by position; each needs the context of the one before."""
        below, kept = self.transformer.below(state.past, embedded, memory.layers, memory.mask)
        top, last = (state.past[-1] if state.past else None), state.last
        hiddens, all_scores = [], []
        for number, units in enumerate(below.split(1, dim=1)):
            if last is not None:
                units = units + self.context(last.context(memory, likelihood, number))
            hidden, top = self.transformer.top(top, units)
            last = LastPosition(hidden, self.scores(hidden, memory))
            hiddens.append(hidden)
            all_scores.append(last.scores)
        assert top is not None
        position = state.position + embedded.shape[1]
        after = TransformerState(position, (*kept, top), last)
        return torch.cat(hiddens, 1), torch.cat(all_scores, 1), after
