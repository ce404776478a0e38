"""A corpus larger than memory: index it, then iterate one shuffled, bucketed epoch.

    python benchmarks/data_pipeline.py --save

Writes random ids directly into an index (without text and vocabulary), iterates one epoch in a new
process, and prints the time of both. The same batches are then used for training with the cheapest
method, soft attention of 128 units with Adam, on a GPU if available. Exits with 1 if the iterating
process ever had more than 1 GiB resident, or if the pipeline is not 20 times as fast as training.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyro
import torch
from common import machine, markdown, save

from pyro_align.data import BatchLoader, BucketBatches, IndexedCorpus
from pyro_align.data.batch import EOS, TextBatch
from pyro_align.data.index_files import IndexWriter
from pyro_align.guides import NoGuide
from pyro_align.inference import Likelihood
from pyro_align.models import SoftModel
from pyro_align.networks import NetworkConfig, SequenceToSequence

LIMIT_MIB = 1024
LEAST_RATIO = 20
VOCABULARY = 32_000
MEAN = 24  # mean length of a side in tokens, without EOS
CHUNK = 100_000
SIDES = ("source", "target")
RATIO = "pipeline to training"


def write(directory: Path, pairs: int) -> None:
    """Index pairs with gamma-distributed lengths, similar on both sides of a pair."""
    random = np.random.Generator(np.random.PCG64(0))
    with IndexWriter(directory, VOCABULARY) as writer:
        for start in range(0, pairs, CHUNK):
            count = min(CHUNK, pairs - start)
            source = np.clip(random.gamma(4, MEAN / 4, count), 1, 200)
            target = np.clip(source * random.normal(1, 0.18, count), 1, 200)
            lengths = np.stack([source, target], axis=1).astype(np.int32) + 1
            ids = random.integers(4, VOCABULARY, lengths.sum())
            ids[lengths.ravel().cumsum() - 1] = EOS
            lines = np.arange(start, start + count, dtype=np.int32) + 1
            writer.add(ids, np.column_stack([lengths, lines]))
        writer.finish("benchmark", skipped=0)


def peak_mib() -> float:
    """Return the peak resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def eaten(loader: BatchLoader, steps: int) -> float:
    """Measure tokens per second of both sides, for training on given batches."""
    vocabulary = 4_000
    device = "cuda" if torch.cuda.is_available() else "cpu"

    def smaller(batch: TextBatch) -> TextBatch:
        sides = {side: getattr(batch, side).clamp_max(vocabulary - 1) for side in SIDES}
        return dataclasses.replace(batch, **sides).to(device)

    batches = [smaller(batch) for batch in itertools.islice(loader, steps)]
    with pyro.settings.context(module_local_params=True):
        config = NetworkConfig(embedding=128, encoder_hidden=128, decoder_hidden=128)
        model = SoftModel(SequenceToSequence.from_config(config, vocabulary, vocabulary)).to(device)
        loss = Likelihood()(model, NoGuide(model))
        optimizer = torch.optim.Adam(loss.parameters())
        begin = time.perf_counter()
        for batch in batches:
            optimizer.zero_grad()
            (loss(batch) / batch.num_targets).backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - begin
    return sum(int(batch.source_lengths.sum()) + batch.num_targets for batch in batches) / seconds


def iterate(directory: Path, tokens: int, steps: int) -> dict[str, float]:
    """Iterate one epoch and return the values of the table."""
    before = peak_mib()
    begin = time.perf_counter()
    corpus = IndexedCorpus.open(directory)
    buckets = BucketBatches(
        corpus.source_lengths, corpus.target_lengths, tokens=tokens, seed=0, shuffle=True
    )
    loader = BatchLoader(corpus, buckets)
    batches = iter(loader)
    seen = np.zeros(len(corpus), dtype=bool)
    first = next(batches)
    ready = time.perf_counter() - begin
    seen[first.indices.numpy()] = True
    pieces, padded, pairs = 0, 0, len(first)
    begin = time.perf_counter()
    for batch in batches:
        seen[batch.indices.numpy()] = True
        pairs += len(batch)
        pieces += int(batch.source_lengths.sum() + batch.target_lengths.sum())
        padded += batch.source.numel() + batch.target.numel()
    seconds = time.perf_counter() - begin
    if not seen.all() or pairs != len(corpus):
        raise SystemExit(
            f"{pairs} pairs were returned, {int(seen.sum())} of them different, of {len(corpus)}"
        )
    peak = peak_mib()
    training = eaten(loader, steps)
    return {
        "batches": len(loader),
        "seconds to the first batch": ready,
        "seconds per epoch": seconds,
        "pairs/s": pairs / seconds,
        "tokens/s, both sides": pieces / seconds,
        "tokens that are not padding": pieces / padded,
        "MiB resident after imports": before,
        "MiB resident, peak": peak,
        "tokens/s of training": training,
        RATIO: pieces / seconds / training,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=5_000_000)
    parser.add_argument("--tokens", type=int, default=4096, help="token budget of a batch")
    parser.add_argument("--steps", type=int, default=20, help="of training")
    parser.add_argument("--threads", type=int, default=1, help="of training")
    parser.add_argument("--save", action="store_true", help="write results/data_pipeline.md")
    parser.add_argument("--iterate", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    pyro.enable_validation(False)
    if options.iterate is not None:
        print(json.dumps(iterate(options.iterate, options.tokens, options.steps)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "index"
        begin = time.perf_counter()
        write(directory, options.pairs)
        table: dict[str, float] = {"pairs": options.pairs}
        table["seconds to write"] = time.perf_counter() - begin
        table["MiB on disk"] = sum(file.stat().st_size for file in directory.iterdir()) / 2**20
        command = [sys.executable, __file__, "--iterate", directory]
        for name in ("tokens", "steps", "threads"):
            command += [f"--{name}", str(getattr(options, name))]
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        table |= json.loads(result.stdout)
    figures = [f"{value:,.2f}" if value < 1000 else f"{value:,.0f}" for value in table.values()]
    report = "\n\n".join(
        [
            markdown(pd.DataFrame({"what": list(table), "figure": figures})),
            machine(f"{options.threads} thread(s) of training"),
        ]
    )
    print(report)
    if options.save:
        save("data_pipeline", "The batch pipeline", report)
    if table[RATIO] < LEAST_RATIO:
        print(f"the pipeline is less than {LEAST_RATIO} times as fast as training", file=sys.stderr)
        return 1
    if table["MiB resident, peak"] > LIMIT_MIB:
        print(f"more than {LIMIT_MIB} MiB resident", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
