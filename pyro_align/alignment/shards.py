"""Many files, each aligned into one of its own; what is done stays done."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import TextIO

from pyro_align.errors import DataError, RunError, UserError
from pyro_align.files import atomic_write, delete_abandoned

SUFFIX = ".links"
"""What the name of a file of links adds to the name of the file of sentence pairs."""

ATTEMPTS = 3
"""How often a file is begun in one call; what began it before must have been killed."""

AlignShard = Callable[[Path, TextIO], None]
"""Writes the links of one file of sentence pairs."""

Results = Generator[tuple[Path, str | None], None, None]
"""Each file as soon as it is done with, and why it failed, if it did."""


def align_shards(
    align: AlignShard, source: Path, target: Path, echo: Callable[[str], None]
) -> dict[Path, str]:
    """Align each file of a folder into a file of the same name and :data:`SUFFIX`.

    A file of links appears when it is complete. A file that has one is skipped, so that a second
    call continues where a first one failed or was killed. A file that cannot be aligned does not
    stop the others.

    Args:
        align: writes the links of one file of sentence pairs.
        source: the folder of sentence pairs; hidden files and links in it are left.
        target: the folder of links, made if need be.
        echo: told in a line what became of each file.

    Returns:
        The files that failed, and why.

    Raises:
        DataError: if ``source`` is no folder, or there is no file in it.
    """

    def one_by_one(shards: Sequence[Path]) -> Results:
        for shard in shards:
            yield shard, align_shard(align, shard, target)

    return align_each(one_by_one, source, target, echo)


def align_each(
    align_all: Callable[[Sequence[Path]], Results],
    source: Path,
    target: Path,
    echo: Callable[[str], None],
) -> dict[Path, str]:
    """As :func:`align_shards`, whoever aligns the files and in whatever order.

    Args:
        align_all: aligns files with :func:`align_shard`; not called if all are done.
        source: the folder of sentence pairs.
        target: the folder of links.
        echo: told in a line what became of each file.
    """
    shards = _shards(source)
    target.mkdir(parents=True, exist_ok=True)
    _clean(target)
    numbers = count(1)

    def tell(shard: Path, outcome: str) -> None:
        echo(f"{next(numbers)}/{len(shards)} {shard.name}: {outcome}")

    left = []
    for shard in shards:
        if _links(shard, target).exists():
            tell(shard, "done before")
        else:
            left.append(shard)
    failed: dict[Path, str] = {}
    if left:
        with closing(align_all(left)) as results:
            for shard, reason in results:
                if reason is not None:
                    failed[shard] = reason
                tell(shard, "done" if reason is None else "failed")
        _clean(target)
    return failed


def align_shard(align: AlignShard, shard: Path, target: Path) -> str | None:
    """Align one file, unless its links are there.

    Args:
        align: writes the links.
        shard: the file of sentence pairs.
        target: the folder of links.

    Returns:
        Why it failed, if it did.
    """
    links = _links(shard, target)
    if links.exists():
        return None
    try:
        with _attempt(shard, links), atomic_write(links, "t") as file:
            align(shard, file)
    except UserError as error:  # names file and line itself
        return str(error)
    except Exception as error:  # whatever it is, the other files are to be done
        return f"{shard}: {type(error).__name__}: {error}"
    return None


def _shards(source: Path) -> list[Path]:
    if not source.is_dir():
        raise DataError("no such folder; --shards takes a folder of sentence pairs", source)
    shards = sorted(
        path
        for path in source.iterdir()
        if path.is_file() and path.suffix != SUFFIX and not path.name.startswith(".")
    )
    if not shards:
        raise DataError("there is no file of sentence pairs in this folder", source)
    return shards


def _links(shard: Path, target: Path) -> Path:
    return target / f"{shard.name}{SUFFIX}"


@contextmanager
def _attempt(shard: Path, links: Path) -> Iterator[None]:
    """Count attempts by empty files, which only a process that is killed leaves behind.

    Raises:
        RunError: if :data:`ATTEMPTS` processes were killed.
    """
    for number in range(1, ATTEMPTS + 1):
        mark = links.with_name(f".{links.name}.{number}")
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            continue
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)
        return
    raise RunError(
        f"{shard}: what aligned it was killed {ATTEMPTS} times, perhaps for want of memory: split "
        "the file, or the sentences that are very long"
    )


def _clean(target: Path) -> None:
    """Delete what killed processes left."""
    delete_abandoned(target)
    for mark in target.glob(f".*{SUFFIX}.[1-{ATTEMPTS}]"):
        mark.unlink(missing_ok=True)
