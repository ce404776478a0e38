import gc
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lightning.fabric.utilities.types import _Stateful

from pyro_align.data.batch import EOS, TextBatch
from pyro_align.data.batching import BatchLoader, BucketBatches, FixedBatches
from pyro_align.data.index import IndexedCorpus
from pyro_align.errors import ConfigError, RunError

length_pairs = st.lists(
    st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=120
).map(lambda pairs: np.array(pairs, dtype=np.int32).T)


def gamma_lengths(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.Generator(np.random.PCG64(seed))
    source = 1 + np.clip(random.gamma(4, 4, count), 1, 90)
    target = 1 + np.clip(source * random.normal(1, 0.2, count), 1, 90)
    return source.astype(np.int32), target.astype(np.int32)


def buckets(lengths, rank: int = 0, world_size: int = 1, **options) -> BucketBatches:
    given = {"tokens": 200, "seed": 0, "shuffle": True} | options
    return BucketBatches(*lengths, rank=rank, world_size=world_size, **given)


def corpus_of(count: int) -> IndexedCorpus:
    source, target = gamma_lengths(count)
    return IndexedCorpus.from_ids(
        [[7] * (n - 1) + [EOS] for n in source], [[9] * (n - 1) + [EOS] for n in target]
    )


def loader_of(count: int, **options) -> BatchLoader:
    corpus = corpus_of(count)
    return BatchLoader(corpus, buckets((corpus.source_lengths, corpus.target_lengths), **options))


@settings(deadline=None)
@given(
    lengths=length_pairs,
    tokens=st.integers(40, 400),
    shuffle=st.booleans(),
    epoch=st.integers(0, 9),
    limit=st.none() | st.integers(1, 10),
)
def test_each_pair_is_in_one_batch_within_the_budget(
    lengths, tokens, shuffle, epoch, limit
) -> None:
    schedule = buckets(lengths, tokens=tokens, shuffle=shuffle, max_sentences=limit)
    batches = schedule.batches(epoch)
    assert len(batches) == len(schedule)
    assert sorted(np.concatenate(batches)) == list(range(lengths.shape[1]))
    for batch in batches:
        assert 1 <= len(batch) <= (limit or lengths.shape[1])
        assert len(batch) * lengths[:, batch].max() <= tokens


@settings(deadline=None)
@given(lengths=length_pairs, world_size=st.integers(2, 5), epoch=st.integers(0, 3))
def test_ranks_share_each_batch(lengths, world_size, epoch) -> None:
    assume(lengths.shape[1] >= world_size)
    # Every batch of one process has enough pairs for all.
    tokens = 40 * world_size
    whole = buckets(lengths, tokens=tokens)
    parts = [buckets(lengths, rank, world_size, tokens=tokens) for rank in range(world_size)]
    expected = whole.batches(epoch)
    assume(min(map(len, expected)) >= world_size)
    for batch, *split in zip(expected, *(part.batches(epoch) for part in parts), strict=True):
        assert sorted(np.concatenate(split)) == sorted(batch)
        assert {len(part) for part in split} <= {
            len(batch) // world_size,
            -(-len(batch) // world_size),
        }


@settings(deadline=None)
@given(lengths=length_pairs, world_size=st.integers(2, 5), tokens=st.integers(80, 200))
def test_the_part_of_each_rank_fits_the_budget(lengths, world_size, tokens) -> None:
    # Budgets so small that whole batches hold fewer pairs than there are processes.
    assume(lengths.shape[1] >= world_size)
    parts = [buckets(lengths, rank, world_size, tokens=tokens) for rank in range(world_size)]
    schedules = [part.batches(2) for part in parts]
    assert {len(schedule) for schedule in schedules} == {len(parts[0])}
    together = [batch for schedule in schedules for batch in schedule]
    assert sorted(np.concatenate(together)) == list(range(lengths.shape[1]))
    for batch in together:
        assert len(batch) > 0
        assert len(batch) * lengths[:, batch].max() <= tokens


def test_an_epoch_depends_on_seed_and_number_alone() -> None:
    lengths = gamma_lengths(3000)

    def print_of(epoch: int, **options) -> bytes:
        return b"|".join(batch.tobytes() for batch in buckets(lengths, **options).batches(epoch))

    schedule = buckets(lengths)
    schedule.batches(5)
    assert b"|".join(batch.tobytes() for batch in schedule.batches(1)) == print_of(1)
    assert len({print_of(0), print_of(1), print_of(0, seed=1), print_of(1, seed=1)}) == 4
    assert print_of(0, shuffle=False) == print_of(1, shuffle=False, seed=1)


@pytest.mark.parametrize("count", [60, 3000])
def test_epochs_group_different_pairs(count: int) -> None:
    # In a batch of an epoch, few pairs of companions were companions in the epoch before.
    schedule = buckets(gamma_lengths(count), tokens=400)

    def companions(epoch: int) -> set[tuple[int, int]]:
        return {(i, j) for batch in schedule.batches(epoch) for i in batch for j in batch if i < j}

    first, second = companions(0), companions(1)
    assert len(first & second) < 0.75 * len(first)


def test_batches_contain_pairs_of_similar_length() -> None:
    source, target = gamma_lengths(30_000)
    batches = buckets((source, target), tokens=4096).batches(0)
    padded = sum(len(batch) * int(source[batch].max() + target[batch].max()) for batch in batches)
    at_random = np.array_split(np.random.Generator(np.random.PCG64(0)).permutation(30_000), 200)
    random = sum(len(batch) * int(source[batch].max() + target[batch].max()) for batch in at_random)
    words = int(source.sum() + target.sum())
    assert words / padded > 0.85
    assert words / random < 0.5
    # The order of the batches is shuffled: short and long ones alternate.
    widths = [int(np.maximum(source, target)[batch].max()) for batch in batches]
    falls = sum(a > b for a, b in pairwise(widths))
    assert 0.3 * len(batches) < falls < 0.7 * len(batches)


def test_invalid_batching_is_rejected() -> None:
    lengths = np.array([[3, 50], [4, 2]], dtype=np.int32)
    with pytest.raises(ConfigError, match=r"pair of 50 tokens .* batch of 49 tokens"):
        buckets(lengths, tokens=49)
    assert len(buckets(lengths, tokens=50)) == 2
    with pytest.raises(ConfigError, match="2 sentence pairs cannot be split among 3"):
        buckets(lengths, world_size=3)
    with pytest.raises(ConfigError, match="at most 1 pairs cannot be split among 2"):
        buckets(lengths, world_size=2, max_sentences=1)
    with pytest.raises(ConfigError, match="0 sentence pairs"):
        buckets(np.zeros((2, 0), dtype=np.int32))
    # Three pairs, two processes, room for one pair each.
    odd = np.full((2, 3), 50, dtype=np.int32)
    with pytest.raises(ConfigError, match=r"increase training\.batch_tokens to 100 or more"):
        buckets(odd, world_size=2, tokens=99)
    assert len(buckets(odd, world_size=2, tokens=100)) == 1


def indices_of(batches: Iterator[TextBatch]) -> list[list[int]]:
    return [batch.indices.tolist() for batch in batches]


def test_a_loader_follows_the_schedule_over_epochs() -> None:
    loader = loader_of(60)
    schedule = loader._buckets
    assert isinstance(loader, _Stateful)
    for epoch in range(3):
        assert loader.state_dict() == {"epoch": epoch, "position": 0}
        assert indices_of(iter(loader)) == [batch.tolist() for batch in schedule.batches(epoch)]
    assert len(loader) == len(schedule) == len(schedule.batches(7))


def test_resume_at_every_position() -> None:
    unbroken = loader_of(60)
    expected = [batch for _ in range(3) for batch in indices_of(iter(unbroken))]
    for stop in range(2 * len(unbroken) + 1):
        first = loader_of(60)
        seen: list[list[int]] = []
        while len(seen) < stop:
            for batch in first:
                seen.append(batch.indices.tolist())
                if len(seen) == stop:
                    break
        state = first.state_dict()
        second = loader_of(60)
        second.load_state_dict(state)
        iter(second)  # as Lightning does, to see whether it can be iterated
        while len(seen) < len(expected):
            seen.extend(indices_of(iter(second)))
        assert seen == expected


def test_batches_prepared_ahead_are_not_counted() -> None:
    loader = loader_of(200)
    iterator = iter(loader)
    for position in range(1, 4):
        next(iterator)
        time.sleep(0.02)
        assert loader.state_dict() == {"epoch": 0, "position": position}


def test_after_the_last_batch_the_state_is_the_next_epoch() -> None:
    # Lightning knows the length and never asks for the end of the iterator.
    loader = loader_of(60)
    iterator = iter(loader)
    for _ in range(len(loader)):
        next(iterator)
    assert loader.state_dict() == {"epoch": 1, "position": 0}
    with pytest.raises(StopIteration):
        next(iterator)
    assert loader.state_dict() == {"epoch": 1, "position": 0}


def test_only_a_fresh_loader_follows_an_announced_epoch() -> None:
    loader = loader_of(60)
    schedule = loader._buckets
    iterator = iter(loader)
    loader.sampler.set_epoch(3)
    assert next(iterator).indices.tolist() == schedule.batches(3)[0].tolist()
    loader.sampler.set_epoch(4)
    assert loader.state_dict() == {"epoch": 3, "position": 1}
    loaded = loader_of(60)
    loaded.load_state_dict({"epoch": 2, "position": 0})
    loaded.sampler.set_epoch(3)
    assert loaded.state_dict() == {"epoch": 2, "position": 0}


def test_fixed_batches_restart() -> None:
    loader = loader_of(60, shuffle=False)
    fixed = FixedBatches(loader._corpus, loader._buckets)
    next(iter(fixed))
    expected = [batch.tolist() for batch in loader._buckets.batches(0)]
    assert indices_of(iter(fixed)) == indices_of(iter(fixed)) == expected
    assert len(fixed) == len(expected) > 1


def test_the_state_of_other_data_is_rejected() -> None:
    loader = loader_of(60)
    with pytest.raises(RunError, match=f"an epoch has {len(loader)} batches"):
        loader.load_state_dict({"epoch": 0, "position": len(loader)})


def worker_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


@pytest.mark.parametrize("how", ["closed", "dropped", "finished", "failed"])
def test_the_thread_ends(how: str) -> None:
    loader = loader_of(200)
    if how == "failed":
        loader._corpus.source_lengths = None  # type: ignore[assignment]
    iterator = iter(loader)
    assert worker_threads() == []  # none before the first batch is asked for
    if how == "failed":
        with pytest.raises(TypeError, match="NoneType"):
            next(iterator)
    else:
        next(iterator)
        assert len(worker_threads()) == 1
    if how == "closed":
        iterator.close()  # type: ignore[attr-defined]
    elif how == "finished":
        for _ in iterator:
            pass
    elif how == "dropped":
        del iterator
        gc.collect()
    deadline = time.monotonic() + 5
    while worker_threads() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert worker_threads() == []


def test_an_error_in_the_thread_is_raised_at_its_batch() -> None:
    loader = loader_of(200)
    gather = loader._corpus.batch
    third = loader._buckets.batches(0)[2].tolist()

    def broken(indices: np.ndarray) -> TextBatch:
        if indices.tolist() == third:
            raise OSError("disk gone")
        return gather(indices)

    loader._corpus.batch = broken  # type: ignore[method-assign]
    iterator = iter(loader)
    next(iterator)
    next(iterator)
    with pytest.raises(OSError, match="disk gone"):
        next(iterator)
    assert loader.state_dict() == {"epoch": 0, "position": 2}


class Recorder(pl.LightningModule):
    """Records the pairs of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[list[int]] = []

    def training_step(self, batch: TextBatch) -> torch.Tensor:
        self.seen.append(batch.indices.tolist())
        return self.weight * batch.num_targets

    def validation_step(self, batch: TextBatch) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def transfer_batch_to_device(
        self, batch: TextBatch, device: torch.device, dataloader_idx: int
    ) -> TextBatch:
        return batch.to(device)


class SaveAlways(pl.Callback):
    """Saves a checkpoint after each step, each validation and each epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, moment: str, trainer: pl.Trainer) -> None:
        if not trainer.sanity_checking:
            trainer.save_checkpoint(self.folder / f"{moment}={trainer.global_step}.ckpt")

    def on_train_batch_end(self, trainer: pl.Trainer, *rest: object) -> None:
        self.save("step", trainer)

    def on_validation_end(self, trainer: pl.Trainer, *rest: object) -> None:
        self.save("validation", trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, *rest: object) -> None:
        self.save("epoch", trainer)


def fit(folder: Path, resume: Path | None = None, **options) -> list[list[int]]:
    module = Recorder()
    validation = FixedBatches(corpus_of(10), buckets(gamma_lengths(10), shuffle=False))
    trainer = pl.Trainer(
        accelerator="cpu",
        callbacks=[SaveAlways(folder)],
        enable_checkpointing=False,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )
    trainer.fit(module, loader_of(24), validation, ckpt_path=resume)
    return module.seen


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")
@pytest.mark.parametrize("options", [{"max_epochs": 3}, {"max_epochs": -1, "max_steps": 10}])
def test_lightning_resumes_from_every_checkpoint(tmp_path: Path, options) -> None:
    unbroken = loader_of(24)
    expected = [batch for _ in range(3) for batch in indices_of(iter(unbroken))][
        : options.get("max_steps")
    ]
    options = {**options, "val_check_interval": 2}
    assert fit(tmp_path / "all", **options) == expected
    checkpoints = list((tmp_path / "all").iterdir())
    assert len(checkpoints) > 1.5 * len(expected)
    for checkpoint in checkpoints:
        step = int(checkpoint.stem.split("=")[1])
        rest = fit(tmp_path / checkpoint.stem, checkpoint, **options)
        assert rest == expected[step:], checkpoint.name


@pytest.mark.cuda
def test_pinned_memory() -> None:
    loader = loader_of(60)
    for kind in (BatchLoader, FixedBatches):
        pinned = kind(loader._corpus, loader._buckets, pin_memory=True)
        assert next(iter(pinned)).source.is_pinned()
    assert not next(iter(loader)).source.is_pinned()
