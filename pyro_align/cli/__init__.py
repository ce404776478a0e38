"""The command line: one click command per file, imported on first use."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

import click

from pyro_align.cli.output import check_standard_output, flush, prepare_streams
from pyro_align.errors import UserError

COMMANDS = {
    "fit": "pyro_align.cli.fit:fit",
    "evaluate": "pyro_align.cli.evaluate:evaluate",
    "predict": "pyro_align.cli.predict:predict",
    "sample": "pyro_align.cli.sample:sample",
    "interpolate": "pyro_align.cli.interpolate:interpolate",
    "encode": "pyro_align.cli.encode:encode",
    "align": "pyro_align.cli.align:align",
    "score": "pyro_align.cli.score:score",
    "compare": "pyro_align.cli.compare:compare",
    "diagnose": "pyro_align.cli.diagnose:diagnose",
    "inspect": "pyro_align.cli.inspect:inspect",
    "list": "pyro_align.cli.list:list_names",
    "settings": "pyro_align.cli.settings:settings",
}
"""Commands by name, in the order shown by ``--help``."""

ALIASES = {"translate": "predict"}
"""Other names of commands, which ``--help`` does not list."""


class _Failure(click.ClickException):
    """An error caused by user input: prints its message and exits with code 2."""

    def __init__(self, message: str, exit_code: int = 2):
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # of the class, for click

    def show(self, file: Any = None) -> None:
        click.echo(f"error: {self.message}", err=True)


class _Commands(click.Group):
    def main(self, *args: Any, **extra: Any) -> Any:
        prepare_streams()  # before the help is printed
        return super().main(*args, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        # Not list(COMMANDS): importing the module `list` of this package shadows the builtin.
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], COMMANDS, cutoff=0.5)
            if not near:
                raise
            hint = f"Did you mean {' or '.join(map(repr, near))}?"
            raise click.UsageError(f"{error.message} {hint}", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            check_standard_output()
            result = super().invoke(ctx)
            flush()
            return result
        except UserError as error:
            raise _Failure(str(error), error.exit_code) from error
        except BrokenPipeError:
            # Standard output was closed by its reader, as in `pyro-align predict … | head`.
            ctx.exit(0)
        except OSError as error:
            # For example a full disk, or a folder without permission.
            if error.errno is None:
                raise
            place = f"{error.filename}: " if error.filename else ""
            raise _Failure(f"{place}{error.strerror}; no incomplete file was left") from error


@click.group(
    cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True}
)
@click.version_option(package_name="pyro-align", prog_name="pyro-align")
def main() -> None:
    """Latent alignment as probabilistic programs: fit, align, translate and inspect models."""
