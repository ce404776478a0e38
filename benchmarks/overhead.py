"""Overhead of Pyro: a training step with Pyro against the same computation in plain PyTorch.

    python benchmarks/overhead.py --save

Both share the networks; the plain version has no Pyro traces, plates, handlers or distributions. In
one process they take turns on the same batch of 64 sentences of 20 tokens; a step is the loss and
its gradient. Gradients are compared first (for the score function with the same samples).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import pandas as pd
import pyro
import torch
from common import machine, markdown, save
from torch import Tensor, nn
from torch.nn.functional import pad

from pyro_align.data.batch import EOS, TextBatch
from pyro_align.distributions.log_partition import pair_log_probs
from pyro_align.distributions.vocabulary_categorical import _ChunkedLogProb
from pyro_align.guides import AmortizedGuide, NoGuide
from pyro_align.inference import ExactMarginal, Likelihood, ScoreFunctionELBO
from pyro_align.models import CategoricalModel, SoftModel
from pyro_align.networks import NetworkConfig, SequenceToSequence


def gold(features: Tensor, emission: Any, batch: TextBatch) -> Tensor:
    """Return log probabilities of the tokens of a batch."""
    flat = _ChunkedLogProb.apply(
        features.flatten(0, 1), emission.weight, emission.bias, batch.target.flatten(), True
    )
    return flat.view(batch.target.shape)


def joined(query: Tensor, values: Tensor) -> Tensor:
    """Return features of both experts; the source expert uses part of the dimensions."""
    return query + pad(values, (0, query.shape[-1] - values.shape[-1]))


def soft(model: Any, guide: Any, batch: TextBatch) -> Tensor:
    """Return the negative log likelihood of soft attention."""
    states, emission = model.networks(batch), model.networks.emission
    query = emission.gain * emission.query(states.hidden)
    mean = states.scores.softmax(-1) @ states.memory.values
    return -gold(joined(query, mean), emission, batch)[batch.target_mask].sum()


def exact(model: Any, guide: Any, batch: TextBatch) -> Tensor:
    """Return the negative log evidence."""
    states, emission = model.networks(batch), model.networks.emission
    log_f = pair_log_probs(
        emission.gain * emission.query(states.hidden),
        states.memory.values,
        emission.weight,
        emission.bias,
        batch.target,
    )
    evidence = (states.scores.log_softmax(-1) + log_f).logsumexp(-1)
    return -evidence[batch.target_mask].sum()


def score_function(model: Any, guide: Any, batch: TextBatch) -> Tensor:
    """Return the surrogate loss of the paper: soft-attention baseline, analytic KL."""
    states, emission = model.networks(batch), model.networks.emission
    networks = model.networks
    sources = guide.source_network(
        guide.dropout(networks.source_embedding(batch.source)), batch.source_lengths
    )
    targets = guide.target_network(
        guide.dropout(networks.target_embedding(batch.target)), batch.target_lengths
    )
    scores = targets @ guide.bilinear(sources).transpose(1, 2)
    log_q = scores.masked_fill(~batch.source_mask.unsqueeze(1), -1e4).log_softmax(-1)
    log_p = states.scores.log_softmax(-1)
    q = log_q.exp()
    z = torch.multinomial(q.flatten(0, 1), 1, replacement=True).view(batch.target.shape)
    query = emission.gain * emission.query(states.hidden)
    picked = states.memory.values.gather(
        1, z.unsqueeze(-1).expand(-1, -1, states.memory.values.shape[-1])
    )
    log_f = gold(joined(query, picked), emission, batch)
    with torch.no_grad():
        mean = log_p.exp() @ states.memory.values
        baseline = gold(joined(query, mean), emission, batch)
    log_q_z = log_q.gather(-1, z.unsqueeze(-1)).squeeze(-1)
    kl = (q * (log_q - log_p)).sum(-1)
    surrogate = log_f + (log_f.detach() - baseline) * log_q_z - kl
    return -surrogate[batch.target_mask].sum()


METHODS: dict[str, tuple[Any, Any, Any, Callable[[Any, Any, TextBatch], Tensor]]] = {
    "soft attention": (SoftModel, NoGuide, Likelihood, soft),
    "exact marginal": (CategoricalModel, NoGuide, ExactMarginal, exact),
    "score function": (CategoricalModel, AmortizedGuide, ScoreFunctionELBO, score_function),
}


def gradients(step: Callable[[], Tensor], parameters: list[Tensor]) -> list[Tensor]:
    torch.manual_seed(1)
    return list(torch.autograd.grad(step(), parameters, materialize_grads=True, allow_unused=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", action="store_true", help="write results/overhead.md")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pyro.enable_validation(False)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(EOS + 1, options.vocabulary, (2, 64, 20), generator=generator)
    batch = TextBatch.from_ids(*ids.tolist()).to(device)
    config = NetworkConfig(embedding=128, encoder_hidden=128, decoder_hidden=128, dropout=0.0)
    rows = []
    with pyro.settings.context(module_local_params=True):
        for name, (model_kind, guide_kind, objective_kind, bare) in METHODS.items():
            torch.manual_seed(0)
            networks = SequenceToSequence.from_config(
                config, options.vocabulary, options.vocabulary
            )
            model = model_kind(networks)
            guide = guide_kind(model)
            programs = nn.ModuleList([model, guide]).to(device)
            parameters = list(programs.parameters())
            objective = objective_kind()
            steps = {
                "Pyro": lambda o=objective, m=model, g=guide: o.differentiable_loss(m, g, batch),
                "bare": lambda b=bare, m=model, g=guide: b(m, g, batch),
            }
            for ours, theirs in zip(
                *(gradients(step, parameters) for step in steps.values()), strict=True
            ):
                torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
            times: dict[str, list[float]] = {side: [] for side in steps}
            for _ in range(options.rounds):
                for side, step in steps.items():
                    began = time.perf_counter()
                    step().backward()
                    if device == "cuda":
                        torch.cuda.synchronize()
                    times[side].append(time.perf_counter() - began)
            medians = {side: statistics.median(each) * 1e3 for side, each in times.items()}
            rows.append(
                {
                    "method": name,
                    "bare, ms": f"{medians['bare']:.1f}",
                    "Pyro, ms": f"{medians['Pyro']:.1f}",
                    "overhead": f"{medians['Pyro'] / medians['bare'] - 1:+.1%}",
                }
            )
    report = f"{markdown(pd.DataFrame(rows))}\n\n{machine(f'{options.threads} thread(s)')}"
    print(report)
    if options.save:
        save("overhead", "Overhead of Pyro", report)


if __name__ == "__main__":
    main()
