"""Alignment of many files, each into its own output file, resumable."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import TextIO

from pyro_align.errors import DataError, RunError, UserError
from pyro_align.files import atomic_write, delete_abandoned

SUFFIX = ".links"
"""Suffix that is appended to the name of an input file for its file of links."""

ATTEMPTS = 3
"""Maximum number of attempts per file in one call, if the processes are killed."""

AlignShard = Callable[[Path, TextIO], None]
"""Writes the links of one file of sentence pairs."""

Results = Generator[tuple[Path, str | None], None, None]
"""Each file as soon as it is finished, with the reason if it failed."""


def align_shards(
    align: AlignShard, source: Path, target: Path, echo: Callable[[str], None]
) -> dict[Path, str]:
    """Align each file of a folder into a file with the same name plus :data:`SUFFIX`.

    An output file appears only when it is complete. Files whose output exists are skipped, so that
    a second call continues where the first one failed or was killed. If a file fails, the others
    are still aligned.

    Args:
        align: writes the links of one file of sentence pairs.
        source: the folder of sentence pairs; hidden files and link files in it are ignored.
        target: the folder of links, created if necessary.
        echo: called with one line per file.

    Returns:
        The files that failed, with the reason.

    Raises:
        DataError: if ``source`` is not a folder or contains no files.
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
    """Run :func:`align_shards` with any strategy of aligning the files, such as in parallel.

    Args:
        align_all: aligns files with :func:`align_shard`; not called if all are done.
        source: the folder of sentence pairs.
        target: the folder of links.
        echo: called with one line per file.
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
    """Align one file, unless its file of links exists.

    Args:
        align: writes the links.
        shard: the file of sentence pairs.
        target: the folder of links.

    Returns:
        The reason if it failed, else None.
    """
    links = _links(shard, target)
    if links.exists():
        return None
    try:
        with _attempt(shard, links), atomic_write(links, "t") as file:
            align(shard, file)
    except UserError as error:  # the message already names file and line
        return str(error)
    except Exception as error:  # the other files must still be aligned
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
        raise DataError("the folder contains no files of sentence pairs", source)
    return shards


def _links(shard: Path, target: Path) -> Path:
    return target / f"{shard.name}{SUFFIX}"


@contextmanager
def _attempt(shard: Path, links: Path) -> Iterator[None]:
    """Count attempts with empty marker files, which remain only if a process is killed.

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
        f"{shard}: the process that aligned it was killed {ATTEMPTS} times, perhaps because it ran "
        "out of memory: split the file, or its longest sentences"
    )


def _clean(target: Path) -> None:
    """Delete the temporary files of killed processes."""
    delete_abandoned(target)
    for mark in target.glob(f".*{SUFFIX}.[1-{ATTEMPTS}]"):
        mark.unlink(missing_ok=True)
