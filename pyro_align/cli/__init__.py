"""The command line: one click command a file, imported when it is called."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from pyro_align.errors import UserError

COMMANDS = {
    "fit": "pyro_align.cli.fit:fit",
    "evaluate": "pyro_align.cli.evaluate:evaluate",
    "translate": "pyro_align.cli.translate:translate",
    "align": "pyro_align.cli.align:align",
    "score": "pyro_align.cli.score:score",
    "compare": "pyro_align.cli.compare:compare",
    "diagnose": "pyro_align.cli.diagnose:diagnose",
    "inspect": "pyro_align.cli.inspect:inspect",
    "data": "pyro_align.cli.data:data",
    "list": "pyro_align.cli.list:list_names",
}
"""Commands by name, in the order a user meets them."""


class _Failure(click.ClickException):
    """A user's mistake: told in a sentence, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"error: {self.message}", err=True)


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        # Not list(COMMANDS): the module `list` of this package takes that name when it is imported.
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UserError as error:
            raise _Failure(str(error)) from error
        except BrokenPipeError:
            # Whoever reads has had enough, as in `pyro-align translate … | head`.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)
        except OSError as error:
            # A full disk or a folder without permission, wherever it is met.
            if error.errno is None:
                raise
            place = f"{error.filename}: " if error.filename else ""
            raise _Failure(f"{place}{error.strerror}; files are whole or not there") from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pyro-align", prog_name="pyro-align")
def main() -> None:
    """Latent alignment as probabilistic programs: fit, align, translate, look."""
