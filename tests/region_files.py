"""Writers of small files of region features in every format."""

from __future__ import annotations

import base64
import json

import h5py
import numpy as np


def random_regions(counts=(2, 3, 1), size=4):
    """Features and relative boxes of images named ``10``, ``11``, …"""
    random = np.random.default_rng(0)
    regions = {}
    for number, count in enumerate(counts, start=10):
        start, extent = random.uniform(0, 0.5, (2, count, 2))
        boxes = np.concatenate([start, start + extent], 1).astype(np.float32)
        features = random.standard_normal((count, size)).astype(np.float32)
        regions[str(number)] = features, boxes
    return regions


def write_hdf5(path, regions, **changes):
    """HDF5 with pos_boxes, and the ids as JSON beside it. Datasets can be replaced or left out."""
    counts = [len(features) for features, _ in regions.values()]
    ends = np.cumsum(counts)
    arrays = {
        "image_features": np.concatenate([features for features, _ in regions.values()]),
        "spatial_features": np.concatenate(
            [np.c_[boxes, boxes[:, 2:] - boxes[:, :2]] for _, boxes in regions.values()]
        ),
        "pos_boxes": np.stack([ends - counts, ends], 1),
    }
    with h5py.File(path, "w") as file:
        for name, array in (arrays | changes).items():
            if array is not None:
                file[name] = array
    ids = {image: number for number, image in enumerate(regions)}
    path.with_name(f"{path.stem}_imgid2idx.json").write_text(json.dumps(ids))
    return path


def tsv_line(image, features, boxes, width=200, height=100, count=None):
    """A line of the bottom-up attention detector."""
    pixels = boxes * np.array([width, height] * 2, np.float32)
    columns = [image, width, height, len(features) if count is None else count]
    encoded = [
        base64.b64encode(each.astype("<f4").tobytes()).decode() for each in (pixels, features)
    ]
    return "\t".join(map(str, [*columns, *encoded])) + "\n"


def write_tsv(path, regions):
    path.write_text("".join(tsv_line(image, *each) for image, each in regions.items()))
    return path


def write_npz(path, regions, **changes):
    counts = [len(features) for features, _ in regions.values()]
    arrays = {
        "images": np.array(list(regions)),
        "offsets": np.cumsum([0, *counts]),
        "features": np.concatenate([features for features, _ in regions.values()]),
        "boxes": np.concatenate([boxes for _, boxes in regions.values()]),
    }
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


WRITERS = {".h5": write_hdf5, ".tsv": write_tsv, ".npz": write_npz}
