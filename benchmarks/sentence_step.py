"""A training step of the sentence VAE against the same model written plainly in PyTorch.

    python benchmarks/sentence_step.py --save

The plain version is in the manner of github.com/timbmg/Sentence-VAE: packed sequences for the
encoder, a linear output layer and `cross_entropy` that ignores padding; no Pyro. Both have the same
sizes and number of parameters. In one process with one thread they take turns on the same batch of
64 sentences of 10 to 20 words; a step is loss, gradient and Adam. Times are CPU times of the
process, medians over rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import pandas as pd
import pyro
import torch
from common import machine, markdown, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from pyro_align.data.batch import EOS, PAD, SentenceBatch
from pyro_align.guides import GaussianGuide
from pyro_align.inference import SentenceELBO
from pyro_align.models import SentenceVAE
from pyro_align.networks import LanguageNetwork, LanguageNetworkConfig


class Plain(nn.Module):
    """The sentence VAE, with its loss in `forward`."""

    def __init__(self, vocabulary: int, embedding: int, hidden: int, latent: int, dropout: float):
        super().__init__()
        self.read = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        self.encoder = nn.LSTM(embedding, hidden // 2, batch_first=True, bidirectional=True)
        self.moments = nn.Linear(hidden, 2 * latent)
        self.embedding = nn.Embedding(vocabulary, embedding, padding_idx=PAD)
        self.start = nn.Linear(latent, hidden)
        self.decoder = nn.LSTM(embedding + latent, hidden, batch_first=True)
        self.project = nn.Linear(hidden, embedding)
        self.output = nn.Linear(embedding, vocabulary)
        self.output.weight = self.embedding.weight
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
        """Return the negative lower bound, summed over the batch."""
        packed = pack_padded_sequence(
            self.dropout(self.read(target)), lengths, batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(self.encoder(packed)[0], batch_first=True)
        states = states.masked_fill((target == PAD).unsqueeze(-1), -1e4)
        mean, log_scale = self.moments(states.amax(1)).chunk(2, -1)
        latent = mean + log_scale.exp() * torch.randn_like(mean)
        kl = 0.5 * (mean.square() + (2 * log_scale).exp() - 1 - 2 * log_scale).sum()
        repeated = latent.unsqueeze(1).expand(-1, target.shape[1], -1)
        read = torch.cat([self.dropout(self.embedding(inputs)), repeated], -1)
        hidden = torch.tanh(self.start(latent)).unsqueeze(0)
        states, _ = self.decoder(read, (hidden, torch.zeros_like(hidden)))
        logits = self.output(self.dropout(self.project(states)))
        loss = cross_entropy(
            logits.flatten(0, 1), target.flatten(), ignore_index=PAD, reduction="sum"
        )
        return loss + kl


def stepper(loss: Callable[[], Tensor], parameters: list[Tensor]) -> Callable[[], None]:
    """Return a function that makes one step."""
    optimizer = torch.optim.Adam(parameters, lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[4_000, 10_000])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--save", action="store_true", help="write results/sentence_step.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pyro.enable_validation(False)
    generator = torch.Generator().manual_seed(0)
    sizes = {"embedding": 256, "hidden": 256, "latent": 32, "dropout": 0.3}
    rows = []
    with pyro.settings.context(module_local_params=True):
        for vocabulary in options.vocabulary:
            lengths = torch.randint(10, 21, (64,), generator=generator).tolist()
            ids = [
                [*torch.randint(EOS + 1, vocabulary, (n - 1,), generator=generator).tolist(), EOS]
                for n in lengths
            ]
            batch = SentenceBatch.from_ids(ids)
            torch.manual_seed(0)
            config = LanguageNetworkConfig(**sizes)
            network = LanguageNetwork.from_config(config, vocabulary, config.latent)
            # As in the plain version, which has a projection too.
            network.project = nn.Linear(config.hidden, config.embedding)
            model = SentenceVAE(network)
            guide = GaussianGuide(model, hidden=config.hidden // 2)
            plain = Plain(vocabulary, **sizes)
            ours, theirs = list(nn.ModuleList([model, guide]).parameters()), [*plain.parameters()]
            counts = [sum(p.numel() for p in each) for each in (ours, theirs)]
            assert counts[0] == counts[1], counts
            objective = SentenceELBO()
            steps = {
                "Pyro": stepper(
                    lambda o=objective, m=model, g=guide, b=batch: o.differentiable_loss(m, g, b),
                    ours,
                ),
                "plain": stepper(
                    lambda p=plain, b=batch: p(b.target_input, b.target, b.target_lengths), theirs
                ),
            }
            times: dict[str, list[float]] = {side: [] for side in steps}
            for number in range(options.rounds + 2):
                for side, step in steps.items():
                    began = time.process_time()
                    step()
                    if number >= 2:  # the first rounds allocate memory
                        times[side].append(time.process_time() - began)
            medians = {side: statistics.median(each) * 1e3 for side, each in times.items()}
            rows.append(
                {
                    "vocabulary": vocabulary,
                    "plain, ms": f"{medians['plain']:.1f}",
                    "Pyro, ms": f"{medians['Pyro']:.1f}",
                    "ratio": f"{medians['Pyro'] / medians['plain']:.2f}",
                }
            )
    report = f"{markdown(pd.DataFrame(rows))}\n\n{machine('one thread')}"
    print(report)
    if options.save:
        save("sentence_step", "A step of the sentence VAE", report)


if __name__ == "__main__":
    main()
