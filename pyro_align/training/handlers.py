"""What training changes in the programs that it runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyro_align.config import TrainingConfig
from pyro_align.data.batch import Batch
from pyro_align.inference import guided_alignment, label_smoothing


@contextmanager
def as_in_training(batch: Batch, settings: TrainingConfig) -> Iterator[None]:
    """Run programs with smoothed labels and the links of a batch, as the settings say.

    Args:
        batch: the batch that the programs are run on.
        settings: settings of the training.
    """
    with (
        label_smoothing(settings.label_smoothing),
        guided_alignment(batch.links, settings.link_weight),
    ):
        yield
