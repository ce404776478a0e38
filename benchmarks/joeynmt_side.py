"""JoeyNMT's part of `peers.py`: runs in JoeyNMT's environment, controlled by lines of JSON.

The first line names a JSON file with sizes, vocabularies and batches; each further line is
`["train", batches, rate]` or `["translate", batch]`, and the answer contains seconds and results.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from joeynmt.batch import Batch
from joeynmt.model import build_model
from joeynmt.search import search
from joeynmt.training import TrainManager
from joeynmt.vocabulary import Vocabulary

UNK, PAD, BOS, EOS = range(4)
"""JoeyNMT's ids of special tokens."""

SWAPPED = {UNK: PAD, PAD: UNK}
"""Ids that mean the other in pyro-align."""


def vocabulary(size: int) -> Vocabulary:
    """Return a vocabulary of numbers; the names of tokens do not matter here."""
    special = {"unk": UNK, "pad": PAD, "bos": BOS, "eos": EOS}
    config = SimpleNamespace(lang_tags=[], sep_token=None, sep_id=None)
    for name, number in special.items():
        setattr(config, f"{name}_token", f"<{name}>")
        setattr(config, f"{name}_id", number)
    return Vocabulary([str(number) for number in range(len(special), size)], config)


def model_of(given: dict[str, Any], input_feeding: bool) -> Any:
    """A recurrent model with the attention of Luong et al. 2015, or a pre-norm Transformer.

    The output layer is tied to the target embedding, of a Transformer also to the source embedding.
    """
    part = _transformer if given["kind"] == "transformer" else _recurrent
    config = {
        "tied_softmax": True,
        "tied_embeddings": given["kind"] == "transformer",
        "initializer": "xavier_uniform",
        "encoder": part(given, given["encoder_hidden"]),
        "decoder": {
            **part(given, given["decoder_hidden"]),
            "attention": "luong",
            "hidden_dropout": given["dropout"],
            "input_feeding": input_feeding,
        },
    }
    vocabularies = [vocabulary(size) for size in given["vocabularies"]]
    if given["kind"] == "transformer":
        vocabularies[1] = vocabularies[0]
    model = build_model(config, *vocabularies)
    model.loss_function = ("crossentropy", given["smoothing"])
    return model


def _recurrent(given: dict[str, Any], hidden: int) -> dict[str, Any]:
    return {
        "rnn_type": "lstm",
        "type": "recurrent",
        "dropout": given["dropout"],
        "hidden_size": hidden,
        "num_layers": given["layers"],
        "embeddings": {"embedding_dim": given["embedding"], "dropout": given["dropout"]},
    }


def _transformer(given: dict[str, Any], hidden: int) -> dict[str, Any]:
    return {
        "type": "transformer",
        "dropout": given["dropout"],
        "hidden_size": hidden,
        "ff_size": given["feedforward"],
        "num_layers": given["layers"],
        "num_heads": given["heads"],
        "layer_norm": "pre",
        "embeddings": {
            "embedding_dim": given["embedding"],
            "dropout": given["dropout"],
            "scale": True,
        },
    }


def batch_of(sources: list[list[int]], targets: list[list[int]] | None) -> Batch:
    """Return padded ids of pyro-align; targets from ``BOS`` to ``EOS``."""

    def padded(rows: list[list[int]]) -> torch.Tensor:
        width = max(map(len, rows))
        return torch.tensor(
            [[SWAPPED.get(each, each) for each in row] + [PAD] * (width - len(row)) for row in rows]
        )

    return Batch(
        src=padded(sources),
        src_length=torch.tensor([len(source) for source in sources]),
        src_prompt_mask=None,
        trg=None if targets is None else padded([[BOS, *target] for target in targets]),
        trg_prompt_mask=None,
        indices=torch.arange(len(sources)),
        device=torch.device("cpu"),
        pad_index=PAD,
        eos_index=EOS,
        is_train=targets is not None,
    )


class Side:
    """A model and its optimiser, trained with JoeyNMT's own step."""

    def __init__(self, given: dict[str, Any], input_feeding: bool):
        torch.manual_seed(0)
        self.given = given
        self.model = model_of(given, input_feeding)
        self.rate = given["learning_rate"]
        if given["kind"] == "transformer":  # what the equalised weights of pyro-align change by
            self.rate /= given["encoder_hidden"] ** 0.5
        self.optimizer = torch.optim.Adam(self.model.parameters(), self.rate)
        self.manager = SimpleNamespace(
            model=self.model,
            args=SimpleNamespace(normalization="tokens", batch_multiplier=1),
            autocast={"device_type": "cpu", "enabled": False},
            n_gpu=0,
            scaler=None,
        )

    def train(self, numbers: list[int], rate: float = 1.0) -> tuple[float, float]:
        """Train on batches; return seconds of this process and mean loss per token.

        Args:
            numbers: numbers of the batches.
            rate: what the learning rate is multiplied by.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * self.rate
        batches = [batch_of(*self.given["train"][number]) for number in numbers]
        began = time.process_time()
        losses = [self.step(batch) for batch in batches]
        return time.process_time() - began, sum(losses) / len(losses)

    def step(self, batch: Batch) -> float:
        """A step, as in the loop of ``TrainManager.train_and_validate``."""
        loss, _ = TrainManager._train_step(self.manager, batch)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.given["clip"])
        self.optimizer.step()
        self.model.zero_grad()
        return float(loss)

    def translate(self, number: int) -> tuple[float, list[list[int]]]:
        """Run beam search.

        Returns:
            Seconds of this process, and ids of pyro-align of each translation.
        """
        sources = self.given["test"][number]
        self.model.eval()
        began = time.process_time()
        batch = batch_of(sources, None)
        reverse = batch.sort_by_src_length()
        longest = max(map(len, sources))
        found, _, _ = search(self.model, batch, 2 * longest + 10, self.given["beam"], 1.0)
        seconds = time.process_time() - began
        return seconds, [
            [SWAPPED.get(each, each) for each in found[row].tolist() if each not in (PAD, EOS)]
            for row in reverse
        ]

    def force(self, number: int) -> tuple[float, float]:
        """Run beam search with translations as long as the longest source; see `search.py`.

        Returns:
            Seconds of this process and number of tokens.
        """
        sources = self.given["test"][number]
        length = max(map(len, sources))
        self.model.eval()
        began = time.process_time()
        batch = batch_of(sources, None)
        batch.sort_by_src_length()
        beam = self.given["beam"]
        search(self.model, batch, length, beam, 1.0, min_output_length=length)
        return time.process_time() - began, float(length * len(sources))


def main() -> None:
    """Answer commands line by line."""
    torch.set_num_threads(1)
    answers = sys.stdout
    sys.stdout = sys.stderr  # JoeyNMT's own output
    path, input_feeding = json.loads(sys.stdin.readline())
    side = Side(json.loads(Path(path).read_text()), input_feeding)
    parameters = sum(each.numel() for each in side.model.parameters())
    print(json.dumps(parameters), file=answers, flush=True)
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(getattr(side, what)(*arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
