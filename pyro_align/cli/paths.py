"""Path types for command-line options, with validation."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click


class InputPath(click.Path):
    """A file or folder to read.

    Args:
        stdin: whether ``-`` means standard input, which is converted to None.
    """

    def __init__(self, *, stdin: bool = False):
        super().__init__(path_type=Path)
        self._stdin = stdin

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reject an empty path, and ``-`` if standard input is not supported."""
        _refuse_empty(self, value, param, ctx)
        if str(value) == "-":
            if self._stdin:
                return None
            self.fail(
                "standard input is not supported here: give a file; write ./- for a file named '-'",
                param,
                ctx,
            )
        _keep_inputs("read", Path(value), ctx)
        return super().convert(value, param, ctx)


class OutputFile(click.Path):
    """A file to write.

    Args:
        stdout: whether ``-`` means standard output, which is converted to None.
    """

    def __init__(self, *, stdout: bool = False):
        super().__init__(path_type=Path)
        self._stdout = stdout

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reject a path that is not a file in an existing folder."""
        _refuse_empty(self, value, param, ctx)
        if str(value) == "-":
            if self._stdout:
                return None
            self.fail("standard output is not supported here: give a file name", param, ctx)
        path = Path(value)
        if path.is_dir() or str(value).endswith("/"):
            self.fail(f"{str(value)!r} is a folder: give a file name", param, ctx)
        if not path.parent.is_dir():
            self.fail(
                f"{str(value)!r}: the folder {path.parent} does not exist: create it first",
                param,
                ctx,
            )
        _keep_inputs("written", path, ctx)
        return super().convert(value, param, ctx)


class OutputFolder(click.Path):
    """A folder to write.

    Args:
        new: whether the command creates the folder.
    """

    def __init__(self, *, new: bool = False):
        super().__init__(path_type=Path)
        self._new = new

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reject a path that is not a folder name."""
        _refuse_empty(self, value, param, ctx)
        path = Path(value)
        if str(value) == "-":
            self.fail("the output is a folder, not standard output: give its name", param, ctx)
        if self._new and path.name in ("", ".."):
            self.fail(
                f"{str(value)!r} is not the name of a new folder: give one, such as runs/a",
                param,
                ctx,
            )
        if path.exists() and not path.is_dir():
            self.fail(f"{str(value)!r} is a file: give a folder name", param, ctx)
        return super().convert(value, param, ctx)


def _refuse_empty(
    kind: click.Path, value: Any, param: click.Parameter | None, ctx: click.Context | None
) -> None:
    if value == "":
        kind.fail("the path is empty; is a variable not set?", param, ctx)


def _keep_inputs(use: Literal["read", "written"], path: Path, ctx: click.Context | None) -> None:
    """Reject an output file that is also an input, perhaps by another name or through a link.

    Options and arguments are converted in any order, so each path is compared with those before.
    """
    if ctx is None:
        return
    standard_input = Path("/dev/stdin")  # the file that it is redirected from, if there is one
    files: dict[str, list[Path]] = ctx.meta.setdefault(
        __name__, {"read": [standard_input], "written": []}
    )
    files[use].append(path)
    for output in filter(Path.is_file, files["written"]):  # not a device, which can be both
        if any(output.samefile(each) for each in files["read"] if each.is_file()):
            raise click.UsageError(
                f"the output {str(output)!r} is also an input, which would be overwritten: give "
                f"another file for the output",
                ctx,
            )
