"""Region features larger than memory: read random batches of images, and measure the memory used.

    python benchmarks/vqa_memory.py --save

Makes an HDF5 file of 40 GB (36 regions of 2,048 features for each image, sparse, so that it needs
almost no space on disk) and a bottom-up TSV file of 4 GB (which needs that space). Batches of
images drawn at random are read from each in a new process. Exits with 1 if a process ever had more
than 2 GiB resident.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import torch
from common import machine, markdown, save

from pyro_align.data import open_regions

LIMIT_MIB = 2048
REGIONS, SIZE = 36, 2048
IMAGE_BYTES = REGIONS * SIZE * 4


def write_hdf5(path: Path, gigabytes: float) -> None:
    """Write a file whose features take no space: they are allocated, but never written."""
    images = int(gigabytes * 1e9 / IMAGE_BYTES)
    regions = images * REGIONS
    with h5py.File(path, "w") as file:
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        space = h5py.h5s.create_simple((regions, SIZE))
        h5py.h5d.create(file.id, b"image_features", h5py.h5t.IEEE_F32LE, space, layout)
        file["spatial_features"] = np.tile(np.float32([0.1, 0.2, 0.7, 0.6, 0.6, 0.4]), (regions, 1))
        ends = REGIONS * np.arange(1, images + 1)
        file["pos_boxes"] = np.stack([ends - REGIONS, ends], 1)
    path.with_suffix(".json").write_text(json.dumps([str(number) for number in range(images)]))


def write_tsv(path: Path, gigabytes: float) -> None:
    """Write lines with the same random features for all images."""
    random = np.random.default_rng(0)
    features = random.standard_normal((REGIONS, SIZE), np.float32)
    boxes = np.tile(np.float32([10, 20, 70, 60]), (REGIONS, 1))
    columns = [base64.b64encode(each.tobytes()) for each in (boxes, features)]
    rest = b"\t".join([b"100", b"100", str(REGIONS).encode(), *columns]) + b"\n"
    with path.open("wb") as file:
        for number in range(int(gigabytes * 1e9 / len(rest))):
            file.write(b"%d\t%s" % (number, rest))


def peak_mib() -> float:
    """Return the peak resident memory of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def read(path: Path, batches: int, size: int) -> dict[str, float]:
    """Read batches of random images and return the figures of the table."""
    before = peak_mib()
    begin = time.perf_counter()
    store = open_regions([path])
    opened = time.perf_counter() - begin
    images = list(store)
    random = np.random.default_rng(1)
    begin = time.perf_counter()
    for _ in range(batches):
        chosen = [store[images[number]] for number in random.integers(len(images), size=size)]
        batch = torch.from_numpy(np.stack([regions.features for regions in chosen]))
        if batch.shape != (size, REGIONS, SIZE):
            raise SystemExit(f"unexpected shape {tuple(batch.shape)}")
    seconds = time.perf_counter() - begin
    return {
        "GB": path.stat().st_size / 1e9,
        "images": len(images),
        "seconds to open": opened,
        "images read": batches * size,
        "GB read": batches * size * IMAGE_BYTES / 1e9,
        "images/s": batches * size / seconds,
        "MiB resident after imports": before,
        "MiB resident, peak": peak_mib(),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hdf5", type=float, default=40, help="size of the HDF5 file in GB")
    parser.add_argument("--tsv", type=float, default=4, help="size of the TSV file in GB")
    parser.add_argument("--batches", type=int, default=500)
    parser.add_argument("--size", type=int, default=64, help="images in a batch")
    parser.add_argument("--save", action="store_true", help="write results/vqa_memory.md")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.read is not None:
        print(json.dumps(read(options.read, options.batches, options.size)))
        return 0
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PYRO_ALIGN_CACHE": str(Path(folder) / "cache")}
        for name, write, gigabytes in (
            ("regions.h5", write_hdf5, options.hdf5),
            ("regions.tsv", write_tsv, options.tsv),
        ):
            path = Path(folder) / name
            write(path, gigabytes)
            command = [sys.executable, __file__, "--read", str(path)]
            command += ["--batches", str(options.batches), "--size", str(options.size)]
            result = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, text=True, env=environment
            )
            table[{".h5": "HDF5, sparse", ".tsv": "TSV"}[path.suffix]] = json.loads(result.stdout)
            path.unlink()
    frame = pd.DataFrame(table)
    shown = frame.map(lambda value: f"{value:,.2f}" if value < 100 else f"{value:,.0f}")
    report = f"{markdown(shown.reset_index(names='what'))}\n\n{machine('1 thread')}"
    print(report)
    if options.save:
        save("vqa_memory", "Region features larger than memory", report)
    if (frame.loc["MiB resident, peak"] > LIMIT_MIB).any():
        print(f"more than {LIMIT_MIB} MiB resident", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
