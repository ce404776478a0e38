"""JoeyNMT with a latent attention head: validation loss at equal steps, and cost of a step.

    PYRO_ALIGN_DATA=… python benchmarks/joeynmt_latent.py --save

Multi30k German–English, one thread. Three models of JoeyNMT 2.3.0 are trained on the same batches
and take turns after each step: the unchanged model (soft attention), with a second head of
`pyro_align.nn` whose alignment is summed out, and with the same head and emission but soft
attention, which separates the effect of the emission from that of the latent alignment. The loss is
JoeyNMT's own, `model(return_type="loss")`, on the validation set. JoeyNMT and this package run in a
separate environment, which is created in a temporary folder unless given with --python.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import pandas as pd
from common import environment, machine, markdown, save
from peers import PACKAGES, RECIPE, ids_of, shared_settings

from pyro_align.config import Config
from pyro_align.data import ParallelText, index_text
from pyro_align.runs import Run

ROOT = Path(__file__).parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400, help="steps of training for each model")
    parser.add_argument("--every", type=int, default=100, help="steps between validations")
    parser.add_argument("--python", type=Path, help="of an environment that has JoeyNMT")
    parser.add_argument("--set", dest="extra", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--save", action="store_true", help="write results/joeynmt_latent.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        python = options.python or environment(folder / "joeynmt", *PACKAGES, str(ROOT))
        config = Config.load(RECIPE, options.extra)
        run = Run.create(config, folder / "run", echo=lambda line: None)
        vocabularies = (run.source_vocabulary, run.target_vocabulary)
        train, valid = (
            index_text(ParallelText.open(files), vocabularies, config.data)
            for files in (config.data.train, config.data.valid)
        )
        given = {
            **shared_settings(config, [len(each) for each in vocabularies]),
            "every": options.every,
            "train": ids_of(train, config, options.steps),
            "valid": ids_of(valid, config, len(valid)),
        }
        (folder / "given.json").write_text(json.dumps(given))
        side = Path(__file__).with_name("joeynmt_latent_side.py")
        done = subprocess.run(
            [python, "-W", "ignore", side, folder / "given.json"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    report = f"{markdown(table(json.loads(done.stdout), options.every))}\n\n{machine('one thread')}"
    print(report)
    if options.save:
        save("joeynmt_latent", "A latent head in JoeyNMT 2.3.0", report)


def table(found: dict[str, dict], every: int) -> pd.DataFrame:
    """Measure validation loss by steps, and the cost of a step."""
    own = next(iter(found.values()))["step"]
    return pd.DataFrame(
        {
            "model": name,
            "parameters": f"{each['parameters']:,}",
            **{f"loss after {i * every}": f"{loss:.3f}" for i, loss in enumerate(each["losses"])},
            "step, ms": f"{1000 * each['step']:.0f}",
            "to JoeyNMT's": f"{each['step'] / own:.2f}x",
        }
        for name, each in found.items()
    )


if __name__ == "__main__":
    main()
