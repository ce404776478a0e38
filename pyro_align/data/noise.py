"""`Noise`: the random seed of the dropout of a batch."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Noise:
    """The random seed of a batch, which makes dropout the same in every computation of the batch.

    In training mode the states of a model are a function of its parameters, the batch and this
    noise. The model, a guide that reads the model's states, a baseline and the exact posterior
    then refer to the same network, whether or not they share the computation.

    Attributes:
        seed: seed of the random numbers.
    """

    seed: int

    @classmethod
    def new(cls) -> Noise:
        """Return noise with a seed drawn from torch's global generator."""
        return cls(int(torch.randint(2**62, ())))

    @contextmanager
    def drawn(self, device: torch.device, stream: str) -> Iterator[None]:
        """Seed torch's generators of the CPU and of ``device`` from this noise.

        On exit, the previous states of the generators are restored.

        Args:
            device: device on which random numbers are drawn.
            stream: name of a stream; the same name gives the same numbers, different names give
                independent ones.
        """
        seed = self.seed ^ zlib.crc32(stream.encode())
        generators = [torch.default_generator]
        if device.type == "cuda":
            index = torch.cuda.current_device() if device.index is None else device.index
            generators.append(torch.cuda.default_generators[index])
        before = [generator.get_state() for generator in generators]
        try:
            for generator in generators:
                generator.manual_seed(seed)
            yield
        finally:
            for generator, state in zip(generators, before, strict=True):
                generator.set_state(state)
