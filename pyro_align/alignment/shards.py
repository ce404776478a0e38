"""Many files, each aligned into one of its own; what is done stays done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from pyro_align.errors import DataError, UserError
from pyro_align.files import whole_file

SUFFIX = ".links"
"""What the name of a file of links adds to the name of the file of sentence pairs."""


def align_shards(
    align: Callable[[Path, TextIO], None],
    source: Path,
    target: Path,
    echo: Callable[[str], None],
) -> dict[Path, str]:
    """Align each file of a folder into a file of the same name and :data:`SUFFIX`.

    A file is written beside and renamed when it is whole, so that one that is there is done: it is
    skipped, and a second call goes on where a first one failed or was killed. A file that cannot
    be aligned does not keep the others from it.

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
    if not source.is_dir():
        raise DataError("no such folder; --shards takes a folder of sentence pairs", source)
    shards = sorted(
        path
        for path in source.iterdir()
        if path.is_file() and path.suffix != SUFFIX and not path.name.startswith(".")
    )
    if not shards:
        raise DataError("there is no file of sentence pairs in this folder", source)
    target.mkdir(parents=True, exist_ok=True)
    failed: dict[Path, str] = {}
    for number, shard in enumerate(shards, start=1):
        links = target / f"{shard.name}{SUFFIX}"
        if links.exists():
            outcome = "done before"
        else:
            try:
                with whole_file(links) as file:
                    align(shard, file)
                outcome = "done"
            except Exception as error:  # whatever it is, the other files are to be done
                known = isinstance(error, UserError)  # names file and line itself
                failed[shard] = str(error) if known else f"{shard}: {type(error).__name__}: {error}"
                outcome = "failed"
        echo(f"{number}/{len(shards)} {shard.name}: {outcome}")
    return failed
