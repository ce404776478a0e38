"""JoeyNMT's part of `joeynmt_latent.py`: trains its model with and without a latent head.

Runs in JoeyNMT's environment; reads a JSON file given as argument and prints a JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from joeynmt.decoders import RecurrentDecoder
from joeynmt_side import Side, batch_of
from torch import nn

from pyro_align.nn import LatentAttention, ProductEmission


class LatentDecoder(RecurrentDecoder):
    """JoeyNMT's decoder with a latent head in addition to its own soft attention."""

    def forward(self, **inputs: Any) -> tuple[Any, ...]:
        """Return log probabilities of the next token, with the alignment summed out."""
        _, hidden, _, queries = super().forward(**inputs)
        alignment = self.latent(queries, inputs["encoder_output"], inputs["src_mask"])
        return alignment.log_predictive(self.emission), hidden, alignment.probs, queries


class SoftDecoder(RecurrentDecoder):
    """JoeyNMT's decoder with the same head and emission, but soft attention."""

    def forward(self, **inputs: Any) -> tuple[Any, ...]:
        """Return log probabilities of the next token given the expected context."""
        _, hidden, _, queries = super().forward(**inputs)
        alignment = self.latent(queries, inputs["encoder_output"], inputs["src_mask"])
        context = self.emission.values(alignment.context)
        return self.emission(queries, context).logits, hidden, alignment.probs, queries


SIDES = {
    "JoeyNMT": None,
    "with a second head, soft": SoftDecoder,
    "with a second head, latent": LatentDecoder,
}


def add_head(model: Any, kind: type[RecurrentDecoder]) -> None:
    """Add a head and an emission to JoeyNMT's model."""
    decoder, memory = model.decoder, model.encoder.output_size
    decoder.latent = LatentAttention(decoder.hidden_size, memory, "general")
    decoder.emission = ProductEmission(memory, decoder.hidden_size, decoder.output_layer.weight)
    decoder.output_layer, decoder.__class__ = nn.Identity(), kind


class Trained(Side):
    """A model with or without a head, and its validation losses."""

    def __init__(self, given: dict[str, Any], kind: type[RecurrentDecoder] | None):
        super().__init__(given, input_feeding=False)
        if kind is not None:
            add_head(self.model, kind)
            self.optimizer = torch.optim.Adam(self.model.parameters(), given["learning_rate"])
        self.losses: list[float] = []
        self.seconds: list[float] = []

    def validate(self) -> None:
        """Compute JoeyNMT's validation loss, in nats per token."""
        self.model.eval()
        total, tokens = 0.0, 0
        with torch.no_grad():
            for each in self.given["valid"]:
                batch = batch_of(*each)
                batch.sort_by_src_length()
                loss, *_ = self.model(return_type="loss", **vars(batch))
                total, tokens = total + float(loss), tokens + int(batch.ntokens)
        self.losses.append(total / tokens)


def main() -> None:
    torch.set_num_threads(1)
    answers = sys.stdout
    sys.stdout = sys.stderr  # JoeyNMT's own messages
    given = json.loads(Path(sys.argv[1]).read_text())
    sides = {name: Trained(given, kind) for name, kind in SIDES.items()}
    for side in sides.values():
        side.validate()
    for number in range(len(given["train"])):
        for side in sides.values():
            seconds, _ = side.train([number])
            side.seconds.append(seconds)
        if (number + 1) % given["every"] == 0:
            for name, side in sides.items():
                began = time.perf_counter()
                side.validate()
                print(number + 1, name, side.losses[-1], time.perf_counter() - began)
    found = {
        name: {
            "parameters": sum(each.numel() for each in side.model.parameters()),
            "losses": side.losses,
            "step": median(side.seconds),
        }
        for name, side in sides.items()
    }
    print(json.dumps(found), file=answers)


if __name__ == "__main__":
    main()
